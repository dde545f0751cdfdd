import { type ModelManifest, requireEmbedder } from '@millrace/embed'
import { CHUNKING_VERSION, CLEANING_DEFAULTS, CLEANING_VERSION } from '@millrace/text'
import { type Chunking, changedRecipe, type Recipe, type RecipeWishes } from '../recipe.js'

/** A recipe for a generation that begins today. */
export interface NextRecipe {
  readonly recipe: Recipe
  /** What did not fit the model and was made to. */
  readonly adapted: readonly { readonly field: string; readonly from: number; readonly to: number }[]
}

/**
 * The recipe of a generation beside one with `standing`: what is not wished stays, but in the versions and with the files
 * of today. Chunks that would be too long for another model become as long as it takes; a size that was wished is not
 * touched.
 * @throws CodedError NOT_AN_EMBEDDER, BAD_CHUNKING
 */
export function nextRecipe(standing: Recipe, model: ModelManifest, wishes: RecipeWishes): NextRecipe {
  requireEmbedder(model)
  const isOtherKind = wishes.chunking?.kind !== undefined && wishes.chunking.kind !== standing.chunking.kind
  // Of another kind the options are that kind's own, which fit.
  const { chunking, adapted } = isOtherKind
    ? { chunking: standing.chunking, adapted: [] }
    : fitted(standing.chunking, model.tokensMax, wishes.chunking)
  const current: Recipe = {
    ...standing,
    chunking: { ...chunking, version: CHUNKING_VERSION },
    // A step that the standing recipe does not name came later: nobody has switched it off.
    cleaning: { version: CLEANING_VERSION, steps: { ...CLEANING_DEFAULTS, ...standing.cleaning.steps } },
  }
  const { id, revision, precision, pooling, instructions } = model
  const wished = changedRecipe(current, model, wishes)
  return { recipe: { ...wished, model: id, revision, precision, pooling, instructions }, adapted }
}

function fitted(
  standing: Chunking,
  tokensMax: number,
  wished: RecipeWishes['chunking'],
): { readonly chunking: Chunking; readonly adapted: NextRecipe['adapted'] } {
  const size = wished?.size ?? Math.min(standing.size, tokensMax)
  // It takes as much of a chunk as before.
  const share = Math.floor((standing.overlap * size) / standing.size)
  const overlap = wished?.overlap ?? (size < standing.size ? share : standing.overlap)
  const adapted = [
    { field: 'chunking.size', from: standing.size, to: size, wished: wished?.size },
    { field: 'chunking.overlap', from: standing.overlap, to: overlap, wished: wished?.overlap },
  ].flatMap(({ wished, ...change }) => (wished === undefined && change.from !== change.to ? [change] : []))
  return { chunking: { ...standing, size, overlap }, adapted }
}
