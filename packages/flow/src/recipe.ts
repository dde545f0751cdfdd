import { createHash } from 'node:crypto'
import type { ModelManifest } from '@millrace/embed'
import {
  CHUNKING_DEFAULTS,
  CHUNKING_VERSION,
  type ChunkingOptions,
  CLEANING_DEFAULTS,
  CLEANING_VERSION,
  type CleaningOptions,
  checkChunking,
} from '@millrace/text'

/** What is put before a chunk for the model, but not shown. */
export type Context = 'title' | 'none'

/** Everything that decides a vector besides its text. Two recipes with one hash give the same vectors. */
export interface Recipe {
  readonly model: string
  readonly revision: string
  readonly precision: string
  readonly pooling: string
  readonly cleaning: { readonly version: number; readonly steps: CleaningOptions }
  readonly chunking: { readonly version: number; readonly context: Context } & ChunkingOptions
  readonly instructions: { readonly query: string | null; readonly document: string | null }
}

/** What a caller may say of it; the rest are defaults. */
export interface RecipeWishes {
  readonly cleaning?: Wished<CleaningOptions> | undefined
  readonly chunking?: (Wished<ChunkingOptions> & { readonly context?: Context | undefined }) | undefined
}
type Wished<T> = { readonly [K in keyof T]?: T[K] | undefined }

/** @throws CodedError BAD_CHUNKING when a chunk would not fit the model or the overlap not the chunk. */
export function recipeOf(model: ModelManifest, wishes: RecipeWishes): Recipe {
  const { context = 'title', ...wished } = wishes.chunking ?? {}
  const size = Math.min(CHUNKING_DEFAULTS.size, model.tokensMax)
  const chunking = given({ ...CHUNKING_DEFAULTS, size }, wished)
  checkChunking(chunking, model.tokensMax)
  return {
    model: model.id,
    revision: model.revision,
    precision: model.precision,
    pooling: model.pooling,
    cleaning: { version: CLEANING_VERSION, steps: given(CLEANING_DEFAULTS, wishes.cleaning ?? {}) },
    chunking: { version: CHUNKING_VERSION, ...chunking, context },
    instructions: model.instructions,
  }
}

/** The defaults, but for what was given. */
const given = <T extends object>(defaults: T, wished: Wished<T>): T => ({
  ...defaults,
  ...Object.fromEntries(Object.entries(wished).filter(([, value]) => value !== undefined)),
})

/** The same for the same recipe, whatever the order of its fields. */
export const recipeHash = (recipe: object): string =>
  createHash('sha256').update(canonicalJson(recipe)).digest('hex')

/** JSON with the keys of every object sorted. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
