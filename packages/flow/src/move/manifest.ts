import { type Engine, requireReranker } from '@millrace/embed'
import { CodedError, messageOf } from '@millrace/errors'
import type { ImportedDomain } from '@millrace/store'
import { CHUNKING_VERSION, CLEANING_VERSION } from '@millrace/text'
import { z } from 'zod'
import { isExternal, storedRecipe } from '../external.js'
import { canonicalJson, changedRecipe, type Recipe, recipeHash } from '../recipe.js'
import { checkBand } from '../search/bands.js'
import { COLBERT } from '../search/rerank.js'
import { badArchive } from './archive.js'
import { MANIFEST } from './entries.js'
import { FORMAT, FORMAT_VERSION, type Manifest, manifestSchema } from './format.js'
import { decode, readJson } from './lines.js'

/** @throws CodedError ARCHIVE_TOO_NEW, BAD_ARCHIVE */
export function readManifest(bytes: Buffer): Manifest {
  const text = decode(MANIFEST, bytes)
  const { format, formatVersion } = readJson(
    MANIFEST,
    text,
    z.object({ format: z.string(), formatVersion: z.number() }),
  )
  if (format !== FORMAT) throw badArchive(MANIFEST, `the format is "${format.slice(0, 40)}", not ${FORMAT}`)
  if (formatVersion > FORMAT_VERSION) throw tooNew('format', formatVersion, FORMAT_VERSION)
  return readJson(MANIFEST, text, manifestSchema)
}

type CheckedBand = [score: Parameters<typeof checkBand>[1], band: Parameters<typeof checkBand>[2]]

const tooNew = (what: string, version: number, known: number) =>
  new CodedError(
    'ARCHIVE_TOO_NEW',
    `The archive's ${what} is version ${version}, this Millrace knows ${known}`,
    {
      hint: 'Import it with the Millrace that exported it, or a later one',
      details: { what, version, known },
    },
  )

/** Only the parts of a recipe that code relies on before it is handed one; the rest is under its hash. */
const recipeSchema = z.object({
  model: z.string(),
  revision: z.string(),
  precision: z.string(),
  pooling: z.string(),
  cleaning: z.object({ version: z.number(), steps: z.record(z.string(), z.boolean()) }),
  chunking: z.looseObject({
    version: z.number(),
    kind: z.string(),
    size: z.number(),
    overlap: z.number(),
    context: z.string(),
  }),
  instructions: z.object({ query: z.string().nullable(), document: z.string().nullable() }),
})

/**
 * The domain that a manifest describes, under another name, and what is put before a chunk when it is embedded. Nothing
 * was written yet.
 * @throws CodedError BAD_ARCHIVE, ARCHIVE_TOO_NEW, ARCHIVE_MODEL
 */
export function acceptManifest(
  engine: Engine,
  name: string,
  { domain, generation }: Manifest,
): { readonly domain: ImportedDomain; readonly instruction: string } {
  const { model, dims, recipe } = generation
  const refuse = (reason: string) => badArchive(MANIFEST, reason)
  if (recipeHash(recipe) !== generation.recipeHash) throw refuse('the recipe does not have its hash')
  const wantsSparse = generation.outputs.includes('sparse')
  if (wantsSparse !== (generation.lexical !== null)) throw refuse('lexical is of sparse, and of nothing else')
  if (!generation.outputs.includes('dense')) throw refuse('outputs lack dense')
  for (const { score, threshold, levels } of domain.thresholds)
    checkKept(generation, score, { threshold, levels })
  const imported: ImportedDomain = {
    name,
    search: domain.search,
    bands: domain.thresholds,
    ...generation,
    outputs: [...new Set(generation.outputs)],
  }
  if (isExternal(generation)) {
    if (canonicalJson(recipe) !== canonicalJson(storedRecipe(dims))) throw refuse('the recipe has other dims')
    return { domain: imported, instruction: '' }
  }
  const known = readJson(MANIFEST, JSON.stringify(recipe), recipeSchema, 'generation.recipe.')
  if (known.model !== model) throw refuse('the recipe is of another model')
  if (known.chunking.version > CHUNKING_VERSION)
    throw tooNew('chunking', known.chunking.version, CHUNKING_VERSION)
  if (known.cleaning.version > CLEANING_VERSION)
    throw tooNew('cleaning', known.cleaning.version, CLEANING_VERSION)
  requireModel(engine, known, dims)
  // Throws what a domain with that chunking could not be created with either.
  changedRecipe(recipe as unknown as Recipe, engine.manifest(model), {})
  requireItsReranker(engine, domain.search.rerank?.by)
  return { domain: imported, instruction: known.instructions.document ?? '' }
}

/** A threshold or levels that could not be set either. */
function checkKept(generation: Manifest['generation'], ...band: CheckedBand): void {
  try {
    checkBand(generation, ...band)
  } catch (error) {
    throw badArchive(MANIFEST, messageOf(error), error)
  }
}

function requireModel(engine: Engine, recipe: Pick<Recipe, 'model' | 'revision'>, dims: number): void {
  const { model, revision } = recipe
  if (!engine.models().some(({ id }) => id === model)) {
    throw wrongModel(`The vectors were made with ${model}, which is not here`, model, revision, null)
  }
  const here = engine.manifest(model)
  if (here.revision !== revision) {
    const message = `The vectors were made with revision ${revision} of ${model}; the model that is here is revision ${here.revision}`
    throw wrongModel(message, model, revision, here.revision)
  }
  if (here.dims !== dims)
    throw badArchive(MANIFEST, `${model} has ${here.dims} dims, the archive's vectors ${dims}`)
}

function requireItsReranker(engine: Engine, by: string | undefined): void {
  if (by === undefined || by === COLBERT) return
  if (!engine.models().some(({ id }) => id === by)) {
    throw wrongModel(`The domain's searches rerank with ${by}, which is not here`, by, null, null)
  }
  requireReranker(engine.manifest(by))
}

const wrongModel = (message: string, model: string, revision: string | null, here: string | null) =>
  new CodedError('ARCHIVE_MODEL', message, {
    hint: `Bring that model first: millrace models pull ${model}, then restart; nothing was written`,
    details: { model, revision, here },
  })
