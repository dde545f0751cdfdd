import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseFolder } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { WantedFile } from '../digest.js'
import { filesBelow, placeFolder, stagingDir } from '../folder.js'
import { describe, manifestOf } from '../import/describe.js'
import { hashed, type Imported, type ImportOptions, requireId } from '../import/import.js'
import { DESCRIBING, graphAmong } from '../import/source.js'
import { asOnlyOne, type Gathered, gather, OWN_DEPS, type PullOptions, STALL_MS } from './gather.js'
import { readListing } from './listing.js'

/** As for an import; what the repository's card says of licence and languages counts where these do not. */
export type RepoWishes = Partial<
  Pick<
    ImportOptions,
    'id' | 'graph' | 'pooling' | 'queryInstruction' | 'documentInstruction' | 'licence' | 'languages'
  >
> & {
  /** A commit, tag or branch; default `main`. */
  readonly revision?: string | undefined
}

/** `Name` of `OWNER/Name`, as an id. */
const idOf = (repo: string): string =>
  (repo.split('/').at(-1) ?? '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]/g, '-')
    .slice(0, 64)

/**
 * Fetches a model that is not known from a repository of a hub, and imports it: the graph with its external data, the
 * tokenizer and what describes it. Large files are compared with the sha256 that the hub has of them, others with
 * git's hash. What was fetched stays for the next try.
 * @param repo OWNER/NAME
 * @throws CodedError UNKNOWN_MODEL for what cannot be a repository, and those of `pullModel` and of `importModel`
 */
export async function pullRepo(
  repo: string,
  wishes: RepoWishes,
  options: PullOptions,
): Promise<Imported & Gathered> {
  if (!/^\w[\w.-]*\/\w[\w.-]*$/.test(repo)) {
    throw new CodedError(
      'UNKNOWN_MODEL',
      `"${repo}" is neither a model of the list nor a repository, OWNER/NAME`,
      {
        hint: 'millrace models list; a folder of your own: millrace models import DIR --id ID',
      },
    )
  }
  const id = requireId(wishes.id ?? idOf(repo))
  const deps = { ...OWN_DEPS, ...options.deps }
  const { hub, modelsDir, stallMs = STALL_MS } = options
  const target = join(modelsDir, id)
  return asOnlyOne(id, options, deps, async (locked) => {
    if (existsSync(target)) {
      throw new CodedError('MODEL_EXISTS', `There is a folder ${target} already`, {
        hint: `Choose another id with --id, or mend that one: millrace models pull ${id}`,
      })
    }
    const asked = { hub, repo, revision: wishes.revision ?? 'main', stallMs, signal: locked.signal }
    const listing = await readListing(asked, deps)
    const graph = graphAmong(
      listing.files.map(({ path }) => path),
      wishes.graph,
      repo,
    )
    const files = listing.files.filter(({ path }) => isOfModel(path, graph))
    const place = { repo, revision: listing.commit }
    const staging = stagingDir(modelsDir, id)
    const gathered = await gather(files, place, { staging, others: [] }, locked, deps)
    const { licence = listing.licence, languages = nonEmpty(listing.languages) } = wishes
    const importing = { ...wishes, id, modelsDir, graph, licence, languages }
    await removeOthers(staging, files)
    const described = await describe(staging, importing)
    const made = await manifestOf(
      staging,
      described,
      await hashed(staging, described.paths, importing),
      importing,
    )
    const source = `${repo} at ${listing.commit.slice(0, 12)}`
    const folder = parseFolder({ ...made.folder, hub: place, source }, `What was found in ${repo}`)
    await placeFolder(staging, target, folder)
    return { id, dir: target, folder, notes: made.notes, ...gathered }
  })
}

const nonEmpty = (list: readonly string[] | undefined): readonly string[] | undefined =>
  list === undefined || list.length === 0 ? undefined : list

/** Whether a file of a repository is fetched: what describes a model, its graph, and what lies beside that by its name. */
function isOfModel(path: string, graph: string): boolean {
  if (DESCRIBING.includes(path) || path === graph) return true
  const stem = graph.replace(/\.onnx$/, '')
  // model.onnx_data, model.onnx.data, model.onnx_data_1; and not model_fp16.onnx.
  return dirname(path) === dirname(graph) && path.startsWith(`${stem}.onnx`) && !path.endsWith('.onnx')
}

/** What an earlier try has fetched, of another graph or repository, is not this model's. */
async function removeOthers(staging: string, files: readonly WantedFile[]): Promise<void> {
  const wanted = new Set(files.map(({ path }) => path))
  for (const path of await filesBelow(staging)) if (!wanted.has(path)) await rm(join(staging, path))
}
