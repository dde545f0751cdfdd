import type { LayoutPart, PreparedChunk, PreparedParent } from '@millrace/store'
import { CLEANING_DEFAULTS, chunk, clean, fitContext, textHash } from '@millrace/text'
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

/** Of a chunk's tokens, what a title may take at most; a longer one is shortened. */
const TITLE_SHARE = 1 / 4

/**
 * A document as the recipe cuts it: cleaned, chunked, hashed. Spans are in the text as submitted; the hash is
 * of exactly what the tokenizer will be given. The same input gives the same chunks on every machine.
 */
export async function prepareDocument(
  document: PreparedText,
  recipe: Pick<Recipe, 'cleaning' | 'chunking' | 'instructions'>,
  count: Count,
): Promise<Preparation> {
  const cleaned = clean(document.text, recipe.cleaning.steps)
  if (cleaned.text === '') return { chunks: [], parents: [], cut: 0, warnings: ['EMPTY_AFTER_CLEANING'] }
  const { version: _version, context: contextKind, ...options } = recipe.chunking
  const title = contextKind === 'title' ? oneLine(document.title ?? '') : ''
  const context = title === '' ? '' : `${await fitContext(title, count, options.size * TITLE_SHARE)}\n`
  // The engine puts the model's instruction first: it counts, and it is part of what the hash is of.
  const before = (recipe.instructions.document ?? '') + context
  const cut = await chunk({ text: cleaned.text, options, count, context: before })
  const [tokensBefore = 0] = await count([before])
  // Nothing of it means anything to the model: accents alone, private characters.
  const kept = cut.filter((piece) => piece.tokens > tokensBefore)
  const chunks = kept.map((piece) => {
    const span = cleaned.span(piece.start, piece.end)
    return {
      startAt: span.start,
      endAt: span.end,
      tokens: piece.tokens,
      hash: textHash('document', before + piece.text),
      context,
      text: piece.text,
      headings: [],
      place: null,
      parent: null,
    }
  })
  return { chunks, parents: [], cut: 0, warnings: chunks.length === 0 ? ['EMPTY_AFTER_CLEANING'] : [] }
}

const oneLine = (title: string): string =>
  clean(title, { ...CLEANING_DEFAULTS, frontMatter: false, htmlComments: false }).text.replaceAll(
    /\s*\n\s*/g,
    ' ',
  )
