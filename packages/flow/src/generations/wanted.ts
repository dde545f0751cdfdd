import type { Engine, Level } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { IndexSettings, StorageForm, TextOutput } from '@millrace/store'
import { EXTERNAL, isExternal, storedRecipe } from '../external.js'
import { canonicalJson, type Recipe, type RecipeWishes, recipeHash } from '../recipe.js'
import { COLBERT } from '../search/rerank.js'
import { requireSearch } from '../search/settings.js'
import { type Domain, indexOf, outputsOf, refuseRecipe } from '../verbs/domains.js'
import type { MadeOf } from './copies.js'
import { type NextRecipe, nextRecipe } from './recipe.js'

/** What another generation is to be; what is left out stays as it is in the live one. */
export interface MakingWishes extends RecipeWishes {
  readonly model?: string | undefined
  readonly storage?: StorageForm | undefined
  readonly outputs?: readonly TextOutput[] | undefined
  readonly index?: { readonly [K in keyof IndexSettings]?: IndexSettings[K] | undefined } | undefined
  /** False: nothing is taken over, every vector is computed. Default true. */
  readonly copy?: boolean | undefined
  /** Only vectors of documents that were published since are taken over. */
  readonly copySince?: Date | undefined
}

/** A generation as it is to be made. */
export interface Wanted extends MadeOf {
  readonly dims: number
  readonly recipe: Recipe
  /** As it is stored. */
  readonly stored: Readonly<Record<string, unknown>>
  readonly recipeHash: string
  readonly index: IndexSettings
  /** The model's. */
  readonly levels: readonly Level[]
  readonly adapted: NextRecipe['adapted']
}

/** What differs between two generations. `words`: what bm25 counts; `vectors`: nothing but that they are computed anew. */
export type Change =
  | 'model'
  | 'revision'
  | 'instructions'
  | 'cleaning'
  | 'chunking'
  | 'storage'
  | 'outputs'
  | 'words'
  | 'index'
  | 'vectors'

/**
 * A change of how vectors are kept leaves the recipe as it stands, with its versions and so with its thresholds; every
 * other generation is made with the versions and the files of today.
 * @throws CodedError NOT_FOR_EXTERNAL, MISSING_OUTPUT, BAD_INDEX, UNKNOWN_MODEL, NOT_AN_EMBEDDER, BAD_CHUNKING, and those
 * of the domain's own searches where they could not be answered any more
 */
export function wantedOf(
  { engine }: { readonly engine: Pick<Engine, 'manifest'> },
  live: Domain,
  wishes: MakingWishes,
): Wanted {
  const index = indexOf(live.index, wishes.index)
  if (isExternal(live)) return externalWanted(live, wishes, index)
  if (wishes.model === EXTERNAL) {
    throw new CodedError('NOT_FOR_EXTERNAL', 'The texts of a domain with a model bring no vectors', {
      hint: 'Choose a model that is here (GET /v1/models, millrace models list), or create an external domain',
    })
  }
  const manifest = engine.manifest(wishes.model ?? live.model)
  const next: NextRecipe = isOnlyKept(live, manifest, wishes)
    ? { recipe: live.recipe, adapted: [] }
    : nextRecipe(live.recipe, manifest, wishes)
  const kept = outputsOf(engine, manifest.id, wishes.outputs ?? live.outputs)
  const isSame = next.recipe === live.recipe
  const wanted: Wanted = {
    model: manifest.id,
    dims: manifest.dims,
    recipe: next.recipe,
    stored: { ...next.recipe },
    recipeHash: isSame ? live.recipeHash : recipeHash(next.recipe),
    storage: wishes.storage ?? live.storage,
    ...kept,
    counted: isSame && kept.lexical === live.lexical ? live.counted : 'terms',
    index,
    levels: manifest.levels,
    adapted: next.adapted,
  }
  requireSearches(engine, live, wanted)
  return wanted
}

/** Whether it is about how vectors are kept and nothing else, with a model that makes the same ones. */
function isOnlyKept(
  { model, recipe }: Domain,
  manifest: { readonly revision: string; readonly precision: string; readonly pooling: string },
  wishes: MakingWishes,
): boolean {
  const { storage, outputs, index, cleaning, chunking, copy, copySince } = wishes
  const isOther = (wishes.model ?? model) !== model || cleaning !== undefined || chunking !== undefined
  const isAnew = copy === false || copySince !== undefined
  const isKept = storage !== undefined || outputs !== undefined || index !== undefined
  const isSameModel =
    manifest.revision === recipe.revision &&
    manifest.precision === recipe.precision &&
    manifest.pooling === recipe.pooling
  return isKept && !isOther && !isAnew && isSameModel
}

function externalWanted(live: Domain, wishes: MakingWishes, index: IndexSettings): Wanted {
  refuseRecipe(wishes)
  const { model, outputs, copy, copySince, storage = live.storage } = wishes
  const other = outputs?.find((output) => output !== 'dense')
  if ((model !== undefined && model !== EXTERNAL) || other !== undefined) {
    throw new CodedError(
      'NOT_FOR_EXTERNAL',
      'The vectors of an external domain came with its documents, and no model can make others of them',
      { hint: 'Only storage and index can be changed; for a model create another domain' },
    )
  }
  if (copy === false || copySince !== undefined) {
    throw new CodedError('NOT_FOR_EXTERNAL', 'The vectors of an external domain cannot be computed anew', {
      hint: 'Leave copy and copySince out: they are taken over as they are',
    })
  }
  const { recipe, recipeHash, dims, lexical, counted, levels } = live
  return {
    ...{ model: EXTERNAL, dims, recipe, recipeHash, lexical, counted, storage, index, levels },
    stored: storedRecipe(dims),
    outputs: live.outputs,
    adapted: [],
  }
}

/** What the domain's searches do by themselves has to be possible with the new one too. */
function requireSearches(engine: Pick<Engine, 'manifest'>, live: Domain, wanted: Wanted): void {
  const { mode, fusion, rerank } = live.search
  const own = rerank?.by === COLBERT ? rerank : undefined
  try {
    requireSearch(engine, wanted, { mode, fusion, rerank: own }, { rerank: own })
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    throw new CodedError(error.code, `Searches of "${live.name}" would be refused: ${error.message}`, {
      hint: `Change search of the domain first, with PATCH /v1/domains/${live.name}, or keep what it needs in outputs`,
      details: error.details,
    })
  }
}

type Compared = Omit<Wanted, 'levels' | 'stored' | 'adapted'>

/** What is different in `wanted`, in the order of the list above. */
export function changesOf(
  live: Compared,
  wanted: Compared,
  { copy, copySince }: Pick<MakingWishes, 'copy' | 'copySince'> = {},
): Change[] {
  const differ = (a: unknown, b: unknown) => canonicalJson(a) !== canonicalJson(b)
  const [was, is] = [live.recipe, wanted.recipe]
  const isOtherModel = live.model !== wanted.model
  const madeBy = ({ revision, precision, pooling }: Recipe) => ({ revision, precision, pooling })
  const found: Record<Change, boolean> = {
    model: isOtherModel,
    revision: !isOtherModel && differ(madeBy(was), madeBy(is)),
    instructions: !isOtherModel && differ(was.instructions, is.instructions),
    cleaning: differ(was.cleaning, is.cleaning),
    chunking: differ(was.chunking, is.chunking),
    storage: live.storage !== wanted.storage,
    outputs:
      differ([...live.outputs].sort(), [...wanted.outputs].sort()) ||
      (!isOtherModel && live.lexical !== wanted.lexical),
    words: wanted.lexical === 'bm25' && live.lexical === 'bm25' && live.counted !== wanted.counted,
    index: differ(live.index, wanted.index),
    vectors: copy === false || copySince !== undefined,
  }
  return (Object.keys(found) as Change[]).filter((change) => found[change])
}
