import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** What a killed run leaves behind has this name, in the folder of its target. */
const STAGE_PREFIX = '.quantize-'

/** Older ones belong to nobody: bge-m3 takes minutes. */
const STAGE_MS_MAX = 24 * 60 * 60 * 1_000

/** The file with a graph's data, beside it: the name that exporters give it. */
export const dataFileOf = (graph: string): string => `${graph}_data`

/** A folder beside the target in which files have the names they will have, so that the graph finds its data. */
export interface Stage {
  /** Where the graph is written. */
  readonly path: string
  /** Puts everything in its place. Whoever is killed before leaves no graph under the target's name. */
  commit(): Promise<void>
  /** Removes the folder and what is in it. */
  discard(): Promise<void>
}

/**
 * @param target the graph's path in the end
 * @param now for tests. Default Date.now
 */
export async function openStage(target: string, now: () => number = Date.now): Promise<Stage> {
  const folder = dirname(target)
  await mkdir(folder, { recursive: true })
  for (const name of await readdir(folder)) {
    const left = join(folder, name)
    if (!name.startsWith(STAGE_PREFIX)) continue
    // Gone meanwhile: somebody else tidied up, or is done.
    const { mtimeMs } = await stat(left).catch(() => ({ mtimeMs: now() }))
    if (mtimeMs < now() - STAGE_MS_MAX) await rm(left, { recursive: true, force: true })
  }
  const stage = await mkdtemp(join(folder, STAGE_PREFIX))
  const graph = basename(target)
  return {
    path: join(stage, graph),
    commit: async () => {
      // The old graph goes first and the new one comes last: a graph never stands beside data of another.
      await rm(target, { force: true })
      await rm(dataFileOf(target), { force: true })
      const others = (await readdir(stage)).filter((name) => name !== graph)
      for (const name of [...others, graph]) await rename(join(stage, name), join(folder, name))
    },
    discard: () => rm(stage, { recursive: true, force: true }),
  }
}
