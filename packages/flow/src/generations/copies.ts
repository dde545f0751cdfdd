import type { CountedWords, Lexical, StorageForm, TextOutput } from '@millrace/store'
import { isExternal } from '../external.js'
import type { Recipe } from '../recipe.js'

/** What decides what is kept of a text. */
export interface MadeOf {
  readonly model: string
  readonly recipe: Pick<Recipe, 'model' | 'revision' | 'precision' | 'pooling' | 'chunking'>
  readonly storage: StorageForm
  readonly outputs: readonly TextOutput[]
  readonly lexical: Lexical | null
  readonly counted: CountedWords
}

/** What a generation takes over from another one where the text is the same, instead of computing it. */
export interface Copies {
  /** Whether what is taken over is what the model would give; false: codes of a coarser form are all that there is. */
  readonly exact: boolean
}

/** How much of a vector a form keeps. */
const FINENESS: Readonly<Record<StorageForm, number>> = { full: 4, half: 3, binary: 3, sq8: 2, sq4: 1 }

/**
 * Undefined: nothing, since the same text would give another vector, or more is to be kept of it than there is. What the
 * model reads before a text is part of the text, and so of its hash; what it reads before a query is not stored.
 */
export function copiesOf(live: MadeOf, wanted: MadeOf): Copies | undefined {
  if (!isExternal(live) && !(sameEmbedder(live, wanted) && hasOutputs(live, wanted))) return undefined
  return { exact: FINENESS[wanted.storage] <= FINENESS[live.storage] }
}

/**
 * The coarsest form that vectors came through on their way, where it is coarser than the one they are kept in: they have
 * its precision. Null: they are as good as their own form can be.
 */
export function copiedThrough(own: StorageForm, forms: readonly StorageForm[]): StorageForm | null {
  return forms.reduce<StorageForm | null>(
    (coarsest, form) => (FINENESS[form] < FINENESS[coarsest ?? own] ? form : coarsest),
    null,
  )
}

function sameEmbedder({ recipe: a }: MadeOf, { recipe: b }: MadeOf): boolean {
  const same =
    a.model === b.model && a.revision === b.revision && a.precision === b.precision && a.pooling === b.pooling
  // Only a whole document can be longer than the model takes: a chunk has one window, however windows become one.
  const bothWhole = a.chunking.kind === 'document' && b.chunking.kind === 'document'
  return same && (!bothWhole || a.chunking.pooling === b.chunking.pooling)
}

function hasOutputs(live: MadeOf, wanted: MadeOf): boolean {
  if (!wanted.outputs.every((output) => live.outputs.includes(output))) return false
  if (!wanted.outputs.includes('sparse')) return true
  return live.lexical === wanted.lexical && (wanted.lexical === 'learned' || live.counted === wanted.counted)
}
