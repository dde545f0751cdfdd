import { closeSync, fsyncSync, openSync } from 'node:fs'
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'

/** Where the database lies within a data folder. */
export const folderOf = (dataDir: string): string => join(dataDir, 'pg')

const markOf = (dataDir: string): string => join(dataDir, 'pg.unfinished')

/** Makes the data folder. Throws DATA_DIR_UNUSABLE with the system's reason. */
export async function makeDataDir(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true })
  } catch (error) {
    throw new CodedError('DATA_DIR_UNUSABLE', `Cannot make the data folder ${dataDir}: ${messageOf(error)}`, {
      hint: 'Choose another DATA_DIR: a folder that this user may write to',
      cause: error,
    })
  }
}

/**
 * Call before the database is opened. Making one takes seconds, and a kill in the middle leaves a folder that
 * Postgres refuses for ever: so a mark says that it is being made, and what stands under the mark is put aside
 * (kept, under the name returned) and made anew. Nobody was ever connected to it.
 */
export async function beginFolder(dataDir: string, now: Date): Promise<string | undefined> {
  const [folder, mark] = [folderOf(dataDir), markOf(dataDir)]
  const made = await exists(folder)
  if (made && !(await exists(mark))) return undefined
  await writeFile(mark, '')
  if (!made) return undefined
  const aside = `${folder}.${now.toISOString().replaceAll(':', '')}`
  await rename(folder, aside)
  return aside
}

/** Call once the database is open, before anybody may connect. */
export async function endFolder(dataDir: string): Promise<void> {
  await rm(markOf(dataDir), { force: true })
  if (process.platform === 'win32') return
  // A mark that comes back with a power cut would put aside a folder full of data.
  const entry = openSync(dataDir, 'r')
  try {
    fsyncSync(entry)
  } finally {
    closeSync(entry)
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
