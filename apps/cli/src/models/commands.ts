import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { folderFiles, MANIFEST_FILE } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  checkFolder,
  type ImportOptions,
  importModel,
  knownModels,
  listModels,
  type NamedModel,
  namedModel,
  type Pulled,
  pullable,
  pullModel,
  pullRepo,
  quantizeModel,
  type RepoWishes,
  readHub,
} from '@millrace/models'
import { placesOf } from '../environment.js'
import { pullBars, stageBar } from './bars.js'
import {
  type Broken,
  showBroken,
  showImported,
  showModels,
  showPulled,
  showQuantized,
  showVerified,
  type Verified,
} from './show.js'
import { sizeText } from './units.js'

type Env = Readonly<Record<string, string | undefined>>

/** What a command prints: as JSON, and in words. */
export interface Shown {
  readonly value: unknown
  readonly text: string
  /** Default 0. */
  readonly exitCode?: number
}

export function listCommand(env: Env): Shown {
  const broken: Broken[] = []
  const models = listModels(placesOf(env).dirs, knownModels(), (dir, { message }) =>
    broken.push({ dir, message }),
  )
  return { value: { models, broken }, text: showModels(models) + showBroken(broken) }
}

/**
 * Of a known model, or one that is here: what is missing of its files. Of OWNER/NAME: the repository's model, imported.
 * @param isQuiet no bars: standard error stays empty but for errors
 */
export function pullCommand(env: Env, what: string, wishes: RepoWishes, isQuiet: boolean): Promise<Shown> {
  if (!what.includes('/')) return pullKnown(env, what, isQuiet)
  const known = [...knownModels().values()].find(({ hub }) => hub?.repo === what)
  const isPlain = Object.values(wishes).every((wish) => wish === undefined)
  if (known !== undefined && isPlain) return pullKnown(env, known.id, isQuiet)
  return pullUnknown(env, what, wishes, isQuiet)
}

async function pullUnknown(env: Env, repo: string, wishes: RepoWishes, isQuiet: boolean): Promise<Shown> {
  const bars = isQuiet ? undefined : pullBars(wishes.id ?? repo)
  const pulled = await withInterrupt((signal) =>
    pullRepo(repo, wishes, {
      modelsDir: placesOf(env).target,
      hub: readHub(env),
      signal,
      ...(bars ? { progress: bars } : {}),
    }),
  ).finally(() => bars?.stop())
  const { folder, ...shown } = pulled
  return { value: { ...shown, manifest: folder }, text: showImported(pulled) }
}

async function pullKnown(env: Env, id: string, isQuiet: boolean): Promise<Shown> {
  const { target, dirs } = placesOf(env)
  const { folder, dir } = pullable([target, ...dirs], id)
  const begun = performance.now()
  // One that came with the repository, or in another way, is not fetched but compared.
  const isElsewhere = dir !== null && dir !== join(target, folder.id)
  if (isElsewhere && folder.hub === null) return verifyCommand(env, folder.id)
  const bars = isQuiet ? undefined : pullBars(folder.id)
  const pulled = await withInterrupt((signal) =>
    pullModel(folder, { modelsDir: target, hub: readHub(env), signal, ...(bars ? { progress: bars } : {}) }),
  ).finally(() => bars?.stop())
  const seconds = (performance.now() - begun) / 1_000
  return {
    value: { ...pulled, seconds } satisfies Pulled & { seconds: number },
    text: showPulled(pulled, seconds),
  }
}

/** Without an id, every model that is here. */
export async function verifyCommand(env: Env, id?: string): Promise<Shown> {
  const { target, dirs } = placesOf(env)
  const all = [...new Set([target, ...dirs])]
  const broken: Broken[] = []
  const here = listModels(all, knownModels(), (dir, { message }) => broken.push({ dir, message }))
  const ids = id === undefined ? here.flatMap((one) => (one.dir === null ? [] : [one.id])) : [id]
  const models: Verified[] = []
  for (const one of ids) {
    models.push(await verifyOne(namedModel(all, one), target))
  }
  const seen = id === undefined ? broken : []
  const isGood = seen.length === 0 && models.every(({ bad }) => bad.length === 0)
  return {
    value: { ok: isGood, models, broken: seen },
    text: showVerified(models) + showBroken(seen),
    exitCode: isGood ? 0 : 1,
  }
}

export type ImportWishes = Pick<
  ImportOptions,
  'id' | 'graph' | 'pooling' | 'queryInstruction' | 'documentInstruction' | 'licence' | 'languages'
>

export async function importCommand(
  env: Env,
  dir: string,
  wishes: ImportWishes,
  isQuiet: boolean,
): Promise<Shown> {
  const isTold = !isQuiet && process.stderr.isTTY
  const imported = await importModel(dir, {
    ...wishes,
    modelsDir: placesOf(env).target,
    onFile: ({ path, bytes }) => {
      if (isTold && bytes >= TOLD_BYTES_MIN) process.stderr.write(`${path} (${sizeText(bytes)})\n`)
    },
  })
  const { folder, ...shown } = imported
  return { value: { ...shown, manifest: folder }, text: showImported(imported) }
}

/** @param isQuiet no bar: standard error stays empty but for errors */
export async function quantizeCommand(
  env: Env,
  id: string,
  options: { readonly bits: 7 | 8; readonly force: boolean },
  isQuiet: boolean,
): Promise<Shown> {
  const { target, dirs } = placesOf(env)
  const { folder, dir } = namedModel([...new Set([target, ...dirs])], id)
  if (dir === null) {
    throw new CodedError('MODEL_NOT_HERE', `${folder.id} is not here`, {
      hint: `millrace models pull ${folder.id}`,
    })
  }
  const begun = performance.now()
  const bar = isQuiet ? undefined : stageBar()
  const made = await withInterrupt((signal) =>
    quantizeModel(dir, {
      ...options,
      signal,
      onProgress: (progress) => bar?.update(progress),
    }),
  ).finally(() => bar?.stop())
  const seconds = (performance.now() - begun) / 1_000
  return { value: { ...made, seconds }, text: showQuantized(made, seconds) }
}

/** Files below this are copied and hashed before anybody reads their names, in bytes. */
const TOLD_BYTES_MIN = 100_000_000

async function verifyOne({ folder, dir }: NamedModel, target: string): Promise<Verified> {
  const place = dir ?? join(target, folder.id)
  if (!existsSync(place)) {
    throw new CodedError('MODEL_NOT_HERE', `${folder.id} is not here: there is no folder ${place}`, {
      hint: `millrace models pull ${folder.id}, or copy its folder to that place`,
    })
  }
  const files = folderFiles(folder)
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  // A folder that was copied file by file: without its manifest nothing finds it.
  const noManifest = { path: MANIFEST_FILE, problem: 'missing', has: null, wanted: '' } as const
  const bad = [...(dir === null ? [noManifest] : []), ...(await checkFolder(place, folder))]
  return { id: folder.id, dir: place, files: files.length, bytes, bad }
}

/** Ctrl+C stops what runs in an orderly way; the second one ends the process at once. */
async function withInterrupt<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const signal of signals) process.once(signal, interrupt)
  try {
    return await run(stop.signal)
  } finally {
    for (const signal of signals) process.off(signal, interrupt)
  }
}
