import type { LayoutPart, PreparedChunk, PreparedParent } from '@millrace/store'
import { type Cleaned, clean, divideText, fitContexts, templateOf, textHash } from '@millrace/text'
import { placeOf } from './place.js'
import type { Recipe } from './recipe.js'

/** Counts tokens, special tokens included, of many texts in one call. */
export type Count = (texts: string[]) => Promise<number[]>

/** What is prepared of a document. */
export interface PreparedText {
  readonly title: string | null
  readonly text: string
  /** Pages, sheets or slides of the text. */
  readonly layout?: readonly LayoutPart[] | undefined
}

export interface Preparation {
  readonly chunks: readonly PreparedChunk[]
  readonly parents: readonly PreparedParent[]
  /** Characters of the cleaned text, but white space, that are in no chunk. */
  readonly cut: number
  readonly warnings: readonly string[]
}

/** Of a chunk's tokens, what title and headings may take at most; longer ones are shortened. */
const CONTEXT_SHARE = 1 / 4

/**
 * A document as the recipe cuts it: cleaned, chunked, hashed. Spans are in the text as submitted; the hash is
 * of exactly what the tokenizer will be given. The same input gives the same chunks on every machine.
 */
export async function prepareDocument(
  document: PreparedText,
  recipe: Pick<Recipe, 'cleaning' | 'chunking' | 'instructions'>,
  count: Count,
): Promise<Preparation> {
  const layout = document.layout ?? []
  const pages = layout.filter((part) => part.kind === 'page').map((part) => part.start)
  const cleaned = clean(document.text, recipe.cleaning.steps, pages)
  if (cleaned.text === '') return { chunks: [], parents: [], cut: 0, warnings: ['EMPTY_AFTER_CLEANING'] }
  const { version, context: contextKind, template: own, ...options } = recipe.chunking
  const template = templateOf(contextKind, own)
  const title = oneLine(document.title ?? '', recipe)
  // The engine puts the model's instruction first: it counts, and it is part of what the hash is of.
  const instruction = recipe.instructions.document ?? ''
  const division = await divideText({
    text: cleaned.text,
    options,
    count,
    version,
    context: async (paths) => {
      const contexts = await fitContexts(template, title, paths, count, options.size * CONTEXT_SHARE)
      return contexts.map((context) => instruction + context)
    },
  })
  const empty = await countOnce(division.chunks.map((piece) => piece.context))
  // Nothing of it means anything to the model: accents alone, private characters.
  const kept = division.chunks.filter((piece) => piece.tokens > (empty.get(piece.context) ?? 0))
  const chunks = kept.map((piece) => ({
    ...spanOf(piece),
    tokens: piece.tokens,
    hash: textHash('document', piece.context + piece.text),
    context: piece.context.slice(instruction.length),
    text: piece.text,
    headings: piece.headings,
    parent: piece.parent,
  }))
  const parents = division.parents.map((parent) => ({
    ...spanOf(parent),
    text: parent.text,
    headings: parent.headings,
  }))
  return {
    chunks,
    parents,
    cut: uncovered(cleaned, kept),
    warnings: chunks.length === 0 ? ['EMPTY_AFTER_CLEANING'] : [],
  }

  function spanOf(piece: { readonly start: number; readonly end: number }) {
    const { start, end } = cleaned.span(piece.start, piece.end)
    return { startAt: start, endAt: end, place: placeOf(layout, start, end) }
  }

  async function countOnce(texts: readonly string[]): Promise<Map<string, number>> {
    const distinct = [...new Set(texts)]
    const counts = distinct.length === 0 ? [] : await count(distinct)
    return new Map(distinct.map((text, index) => [text, counts[index] ?? 0]))
  }
}

/** Characters but white space that lie in none of the spans, which are in order. */
function uncovered(
  { text }: Cleaned,
  spans: readonly { readonly start: number; readonly end: number }[],
): number {
  let cut = 0
  let covered = 0
  for (const { start, end } of [...spans, { start: text.length, end: text.length }]) {
    if (start > covered) cut += text.slice(covered, start).replaceAll(/\s/g, '').length
    covered = Math.max(covered, end)
  }
  return cut
}

/** Steps for a title: those of version 1, whatever the recipe; of later ones the recipe's. */
const TITLE_STEPS = { newlines: true, controls: true, nfc: true, tables: true, whitespace: true }
const NOT_OF_TITLES = { frontMatter: false, htmlComments: false, pageHeaders: false }

const oneLine = (title: string, { cleaning }: Pick<Recipe, 'cleaning'>): string =>
  clean(title, { ...cleaning.steps, ...TITLE_STEPS, ...NOT_OF_TITLES }).text.replaceAll(/\s*\n\s*/g, ' ')
