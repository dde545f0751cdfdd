import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { madeDataDir } from '../../../../test/support/template.js'

const folders: string[] = []

/** Each file that takes folders gives them back: `afterAll(removeFolders)`. */
export async function removeFolders(): Promise<void> {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

/** An empty folder. */
export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-embedded-'))
  folders.push(folder)
  return folder
}

/** A data folder with a database in it, a copy of one made once: making one takes seconds. */
export async function madeFolder(): Promise<string> {
  const folder = await newFolder()
  await cp(await madeDataDir(), folder, { recursive: true })
  return folder
}
