import { createHash } from 'node:crypto'
import { type ModelManifest, requireEmbedder } from '@millrace/embed'
import {
  CHILD_SIZE_DEFAULT,
  CHUNKING_DEFAULTS,
  CHUNKING_VERSION,
  type ChunkingOptions,
  CLEANING_DEFAULTS,
  CLEANING_VERSION,
  type CleaningOptions,
  type ContextKind,
  checkChunking,
  checkTemplate,
  PARENT_SIZE_DEFAULT,
} from '@millrace/text'

export interface Chunking extends ChunkingOptions {
  readonly version: number
  /** What is put before a chunk for the model, but not shown. */
  readonly context: ContextKind
  /** Instead of `context`: a text with `{title}` and `{headings}`. */
  readonly template?: string
}

/** Everything that decides a vector besides its text. Two recipes with one hash give the same vectors. */
export interface Recipe {
  readonly model: string
  readonly revision: string
  readonly precision: string
  readonly pooling: string
  /** Steps that are not named in it are off: they came later. */
  readonly cleaning: { readonly version: number; readonly steps: Partial<CleaningOptions> }
  readonly chunking: Chunking
  readonly instructions: { readonly query: string | null; readonly document: string | null }
}

/** What a caller may say of it; the rest are defaults. */
export interface RecipeWishes {
  readonly cleaning?: Wished<CleaningOptions> | undefined
  readonly chunking?: Wished<Omit<Chunking, 'version'>> | undefined
}
type Wished<T> = { readonly [K in keyof T]?: T[K] | undefined }

/**
 * @throws CodedError NOT_AN_EMBEDDER; BAD_CHUNKING when a chunk would not fit the model, the overlap not the chunk, or an
 * option not the kind
 */
export function recipeOf(model: ModelManifest, wishes: RecipeWishes): Recipe {
  requireEmbedder(model)
  const wished = wishes.chunking ?? {}
  const chunking = given(chunkingDefaults(model, wished.kind ?? CHUNKING_DEFAULTS.kind, wished.size), wished)
  check(chunking, model)
  return {
    model: model.id,
    revision: model.revision,
    precision: model.precision,
    pooling: model.pooling,
    cleaning: { version: CLEANING_VERSION, steps: given(CLEANING_DEFAULTS, wishes.cleaning ?? {}) },
    chunking,
    instructions: model.instructions,
  }
}

/**
 * A recipe that exists, with wishes: what is not wished stays, in the version it was made with. With another kind of
 * chunking the other options are that kind's own.
 * @throws CodedError BAD_CHUNKING
 */
export function changedRecipe(recipe: Recipe, model: ModelManifest, wishes: RecipeWishes): Recipe {
  const { kind } = wishes.chunking ?? {}
  const other = kind !== undefined && kind !== recipe.chunking.kind
  const chunking = other
    ? recipeOf(model, { chunking: wishes.chunking }).chunking
    : given(recipe.chunking, wishes.chunking ?? {})
  check(chunking, model)
  const steps = given(recipe.cleaning.steps, wishes.cleaning ?? {})
  return { ...recipe, chunking, cleaning: { ...recipe.cleaning, steps } }
}

function chunkingDefaults(model: ModelManifest, kind: ChunkingOptions['kind'], size?: number): Chunking {
  const most = kind === 'parent' ? CHILD_SIZE_DEFAULT : CHUNKING_DEFAULTS.size
  const common = {
    version: CHUNKING_VERSION,
    kind,
    size: Math.min(most, model.tokensMax),
    overlap: CHUNKING_DEFAULTS.overlap,
    context: kind === 'markdown' ? 'headings' : 'title',
  } as const
  if (kind === 'document') return { ...common, pooling: 'mean' }
  if (kind === 'parent') return { ...common, parentSize: Math.max(size ?? 0, PARENT_SIZE_DEFAULT) }
  return common
}

function check(chunking: Chunking, model: ModelManifest): void {
  checkChunking(chunking, model.tokensMax)
  if (chunking.template !== undefined) checkTemplate(chunking.template)
}

/** The defaults, but for what was given. */
const given = <T extends object>(defaults: T, wished: Wished<NoInfer<T>>): T => ({
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
