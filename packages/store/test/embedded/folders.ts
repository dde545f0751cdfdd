import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEmbedded } from '@millrace/store/embedded/index'
import { afterAll } from 'vitest'

const folders: string[] = []

// At the file's level: a hook that a running test adds is never called.
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
})

/** An empty folder that is removed when the file's tests are over. */
export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-embedded-'))
  folders.push(folder)
  return folder
}

let made: Promise<string> | undefined

/** A data folder with a database in it, a copy of one made once: making one takes seconds. */
export async function madeFolder(): Promise<string> {
  made ??= make()
  const folder = await newFolder()
  await cp(await made, folder, { recursive: true })
  return folder
}

async function make(): Promise<string> {
  const folder = await newFolder()
  const database = await openEmbedded({ dataDir: folder })
  await database.close()
  return folder
}
