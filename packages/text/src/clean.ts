import { htmlComments } from './cleaning/comments.js'
import { controls } from './cleaning/controls.js'
import { html } from './cleaning/html.js'
import { softHyphens } from './cleaning/hyphens.js'
import { frontMatter } from './cleaning/matter.js'
import { newlines } from './cleaning/newlines.js'
import { nfc } from './cleaning/nfc.js'
import { pageHeaders } from './cleaning/pages.js'
import { symbolRuns } from './cleaning/symbols.js'
import { tables } from './cleaning/tables.js'
import { whitespace } from './cleaning/whitespace.js'
import { fullWidth } from './cleaning/width.js'
import type { Rewritten, Span, SpanMap } from './edits.js'

/** Part of the recipe: raised whenever the same text and options would come out differently. */
export const CLEANING_VERSION = 1

/** The steps, in the order in which they run. */
export const CLEANING_STEPS = [
  'pageHeaders',
  'newlines',
  'controls',
  'softHyphens',
  'fullWidth',
  'nfc',
  'frontMatter',
  'htmlComments',
  'html',
  'tables',
  'symbolRuns',
  'whitespace',
] as const

export type CleaningStep = (typeof CLEANING_STEPS)[number]

/** Which steps run. */
export type CleaningOptions = Readonly<Record<CleaningStep, boolean>>

export const CLEANING_DEFAULTS: CleaningOptions = {
  pageHeaders: true,
  newlines: true,
  controls: true,
  softHyphens: true,
  fullWidth: true,
  nfc: true,
  frontMatter: true,
  htmlComments: true,
  html: true,
  tables: true,
  symbolRuns: true,
  whitespace: true,
}

const STEPS: Readonly<Record<CleaningStep, (text: string, pages: readonly number[]) => Rewritten | null>> = {
  pageHeaders,
  newlines,
  controls,
  softHyphens,
  fullWidth,
  nfc,
  frontMatter,
  htmlComments,
  html,
  tables,
  symbolRuns,
  whitespace,
}

/** Removing a comment or a tag can uncover another, or front matter: this often, then what is left stays. */
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

/**
 * Cleans a text, a document's or a query's. Cleaning a cleaned text changes nothing. Linear in the text's length.
 * @param options a step that is not named is off: older recipes do not know it
 * @param pages where pages start in the text, ascending, for `pageHeaders`; without them form feeds part pages
 */
export function clean(
  text: string,
  options: Partial<CleaningOptions> = CLEANING_DEFAULTS,
  pages: readonly number[] = [],
): Cleaned {
  const maps: SpanMap[] = []
  let current = text
  const run = (step: CleaningStep): boolean => {
    const rewritten = options[step] === true ? STEPS[step](current, pages) : null
    if (rewritten === null) return false
    current = rewritten.text
    maps.push(rewritten.map)
    return true
  }

  run('pageHeaders')
  run('newlines')
  run('controls')
  run('softHyphens')
  run('fullWidth')
  run('nfc')
  for (let pass = 0; pass < MARKUP_PASSES_MAX; pass++) {
    const changed = [run('frontMatter'), run('htmlComments'), run('html')]
    if (!changed.includes(true)) break
  }
  run('tables')
  run('symbolRuns')
  run('whitespace')

  const span = (start: number, end: number): Span =>
    maps.reduceRight<Span>((at, map) => map(at.start, at.end), { start, end })
  return { text: current, span }
}
