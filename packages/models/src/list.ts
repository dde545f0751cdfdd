import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import {
  findFolders,
  folderFiles,
  type ModelFolder,
  type ModelManifest,
  type Output,
  type Task,
  variantsOf,
} from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { knownModels } from './known.js'

/** A model that is here, or can be had. */
export interface ListedModel {
  readonly id: string
  readonly name: string
  /** Its folder; null when it is not here. */
  readonly dir: string | null
  /** Files that are not there in their size; of a model that is not here, all. */
  readonly missing: readonly string[]
  /** Whether `pull` can fetch it. */
  readonly isOnHub: boolean
  /** The default one first. */
  readonly variants: readonly ListedVariant[]
  /** What it is for. */
  readonly task: Task
  /** None of one that reranks. */
  readonly outputs: readonly Output[]
  readonly dims: number
  /** What it reads in one pass, in tokens. */
  readonly tokensMax: number
  readonly languages: readonly string[]
  readonly licence: string
}

export interface ListedVariant {
  /** What it is asked for with. */
  readonly id: string
  /** `remote`: a server computes its vectors. */
  readonly precision: ModelManifest['precision']
  /** Of all files it needs. */
  readonly bytes: number
}

/**
 * The models in these folders, and the known ones that are in none of them; in the order of their ids.
 * @param onBroken is told of folders whose manifest cannot be read. Default: they are passed over
 */
export function listModels(
  dirs: readonly string[],
  known = knownModels(),
  onBroken: (dir: string, error: CodedError) => void = () => undefined,
): ListedModel[] {
  const found = findFolders(existing(dirs), onBroken)
  const here = [...found.values()].map(({ dir, folder }) => listed(folder, dir))
  const away = [...known.values()].filter(({ id }) => !found.has(id)).map((folder) => listed(folder, null))
  return [...here, ...away].sort((a, b) => (a.id < b.id ? -1 : 1))
}

function listed(folder: ModelFolder, dir: string | null): ListedModel {
  const { id, name, task, hub, outputs, dims, tokensMax, languages, licence } = folder
  return {
    id,
    name,
    dir,
    missing: missingFiles(folder, dir),
    isOnHub: hub !== null,
    variants: variantsOf(folder).map((variant) => ({
      id: variant.id,
      precision: variant.precision,
      bytes: variant.files.reduce((sum, { bytes }) => sum + bytes, 0),
    })),
    task,
    outputs,
    dims,
    tokensMax,
    languages,
    licence,
  }
}

/** By size: hashes are for `verify`. */
const missingFiles = (folder: ModelFolder, dir: string | null): string[] =>
  folderFiles(folder)
    .filter(
      ({ path, bytes }) =>
        dir === null || statSync(join(dir, path), { throwIfNoEntry: false })?.size !== bytes,
    )
    .map(({ path }) => path)

/** A folder that was named, and is not there yet, has no models. */
const existing = (dirs: readonly string[]): string[] => dirs.filter((dir) => existsSync(dir))

/** A model as it is meant, and where it is; null: not here. */
export interface NamedModel {
  readonly folder: ModelFolder
  readonly dir: string | null
}

/**
 * The models that an id means, here or known; `id@precision` means the folder of `id`.
 * @throws CodedError UNKNOWN_MODEL, naming those there are
 */
export function namedModel(dirs: readonly string[], wanted: string, known = knownModels()): NamedModel {
  const found = findFolders(existing(dirs), () => undefined)
  const [id = wanted, precision] = wanted.split('@')
  const here = found.get(id)
  const folder = here?.folder ?? known.get(id)
  const has = precision === undefined || folder?.variants.some((one) => one.precision === precision)
  if (folder !== undefined && has) return { folder, dir: here?.dir ?? null }
  const there = listModels(dirs, known).flatMap(({ variants }) => variants.map((variant) => variant.id))
  throw new CodedError('UNKNOWN_MODEL', `There is no model "${wanted}": there are ${there.join(', ')}`, {
    hint: 'Choose one of them, or bring your own: millrace models import DIR --id ID',
  })
}

/**
 * What `pull` fetches. A known model goes before what is here, which may be of an older release, or have a manifest
 * that cannot be read.
 * @throws CodedError UNKNOWN_MODEL, naming those there are
 */
export function pullable(dirs: readonly string[], wanted: string, known = knownModels()): NamedModel {
  const folder = known.get(wanted)
  if (folder !== undefined) return { folder, dir: null }
  const named = namedModel(dirs, wanted, known)
  return { ...named, folder: known.get(named.folder.id) ?? named.folder }
}
