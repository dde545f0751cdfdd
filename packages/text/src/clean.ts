import { htmlComments } from './cleaning/comments.js'
import { controls } from './cleaning/controls.js'
import { frontMatter } from './cleaning/matter.js'
import { newlines } from './cleaning/newlines.js'
import { nfc } from './cleaning/nfc.js'
import { tables } from './cleaning/tables.js'
import { whitespace } from './cleaning/whitespace.js'
import type { Rewritten, Span, SpanMap } from './edits.js'

/** Part of the recipe: raised whenever the same text and options would come out differently. */
export const CLEANING_VERSION = 1

/** The steps, in the order in which they run. */
export const CLEANING_STEPS = [
  'newlines',
  'controls',
  'nfc',
  'frontMatter',
  'htmlComments',
  'tables',
  'whitespace',
] as const

export type CleaningStep = (typeof CLEANING_STEPS)[number]

/** Which steps run. */
export type CleaningOptions = Readonly<Record<CleaningStep, boolean>>

export const CLEANING_DEFAULTS: CleaningOptions = {
  newlines: true,
  controls: true,
  nfc: true,
  frontMatter: true,
  htmlComments: true,
  tables: true,
  whitespace: true,
}

const STEPS: Readonly<Record<CleaningStep, (text: string) => Rewritten | null>> = {
  newlines,
  controls,
  nfc,
  frontMatter,
  htmlComments,
  tables,
  whitespace,
}

/** Removing a comment can uncover front matter, and the other way round: this often, then what is left stays. */
const MARKUP_PASSES_MAX = 8

/** A cleaned text and the way back to the text as submitted. */
export interface Cleaned {
  /** The submitted string itself when there was nothing to clean. */
  readonly text: string
  /**
   * The span in the submitted text, in UTF-16 code units, that a span of the cleaned text came from. What was removed
   * at the span's edges stays outside; what was removed within lies inside.
   */
  readonly span: (start: number, end: number) => Span
}

/** Cleans a text, a document's or a query's. Cleaning a cleaned text changes nothing. Linear in the text's length. */
export function clean(text: string, options: CleaningOptions = CLEANING_DEFAULTS): Cleaned {
  const maps: SpanMap[] = []
  let current = text
  const run = (step: CleaningStep): boolean => {
    const rewritten = options[step] ? STEPS[step](current) : null
    if (rewritten === null) return false
    current = rewritten.text
    maps.push(rewritten.map)
    return true
  }

  run('newlines')
  run('controls')
  run('nfc')
  for (let pass = 0; pass < MARKUP_PASSES_MAX; pass++) {
    const changed = [run('frontMatter'), run('htmlComments')]
    if (!changed.includes(true)) break
  }
  run('tables')
  run('whitespace')

  const span = (start: number, end: number): Span =>
    maps.reduceRight<Span>((at, map) => map(at.start, at.end), { start, end })
  return { text: current, span }
}
