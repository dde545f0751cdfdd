import { createReadStream, rmSync } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { constants } from 'node:os'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { z } from 'zod'
import type { Client } from '../client.js'
import { domainPath } from '../domain.js'
import { type Checked, checkArchive, peekDomain } from './check.js'

export const TAR = 'application/x-tar'

export const importedSchema = z.object({
  domain: z.string(),
  model: z.string(),
  ingestion: z.string(),
  documents: z.number(),
  ready: z.number(),
  chunks: z.number(),
  vectors: z.number(),
  files: z.number(),
  golden: z.number(),
  bytes: z.number(),
})
export type Imported = z.infer<typeof importedSchema>

/** What is told while it goes on: so much of so much; 0: nobody knows of how much. */
export type OnProgress = (done: number, total: number) => void

/**
 * Writes a domain's archive into a file, under its name only once it is whole and was checked.
 * @throws CodedError FILE_EXISTS, BAD_ARCHIVE, CONNECTION_LOST, CANNOT_WRITE
 */
export async function exportTo(
  client: Client,
  domain: string,
  to: { readonly path: string; readonly force: boolean },
  onProgress: OnProgress,
): Promise<Checked> {
  const there = await stat(to.path).catch(() => undefined)
  if (there?.isDirectory() || /[\\/]$/.test(to.path)) {
    throw new CodedError('CANNOT_WRITE', `${to.path} is a folder`, { hint: 'Name a file in it with -o' })
  }
  if (!to.force && there !== undefined) {
    throw new CodedError('FILE_EXISTS', `There is a file ${to.path}`, {
      hint: 'Choose another with -o, or write over it with --force',
    })
  }
  const pieces = await client.download(`${domainPath(domain)}/export`)
  const unfinished = `${to.path}.${process.pid}.part`
  const forget = removedWhenKilled(unfinished)
  try {
    const file = await open(unfinished, 'w').catch((error: unknown) => {
      throw cannotWrite(to.path, error)
    })
    try {
      const write = async (piece: Uint8Array) => {
        await file.appendFile(piece).catch((error: unknown) => {
          throw cannotWrite(to.path, error)
        })
      }
      const checked = await checkArchive(watched(pieces, client), write, onProgress)
      await file.sync()
      await file.close()
      await rename(unfinished, to.path).catch((error: unknown) => {
        throw cannotWrite(to.path, error)
      })
      return checked
    } finally {
      await file.close().catch(() => undefined)
    }
  } finally {
    forget()
    await rm(unfinished, { force: true })
  }
}

/** Removes a file that is not finished when somebody ends the process. Returned is what calls that off. */
function removedWhenKilled(path: string): () => void {
  const end = (signal: NodeJS.Signals) => {
    rmSync(path, { force: true })
    process.exit(128 + constants.signals[signal])
  }
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const signal of signals) process.once(signal, end)
  return () => {
    for (const signal of signals) process.off(signal, end)
  }
}

/** The same to standard output: whoever reads it has the exit code to know that it is whole. */
export async function exportThrough(
  client: Client,
  domain: string,
  out: (piece: Uint8Array) => Promise<void>,
  onProgress: OnProgress,
): Promise<Checked> {
  const pieces = await client.download(`${domainPath(domain)}/export`)
  const write = (piece: Uint8Array) =>
    out(piece).catch((error: unknown) => {
      throw cannotWrite('Standard output', error)
    })
  return checkArchive(watched(pieces, client), write, onProgress)
}

async function* watched(pieces: AsyncIterable<Uint8Array>, client: Client): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces
  } catch (error) {
    throw new CodedError('CONNECTION_LOST', `The connection to ${client.url} broke: ${reasonOf(error)}`, {
      hint: 'Nothing was kept: run it again',
      cause: error,
    })
  }
}

const reasonOf = (error: unknown): string =>
  messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error)

const cannotWrite = (path: string, cause: unknown): CodedError =>
  new CodedError('CANNOT_WRITE', `${path} cannot be written: ${messageOf(cause)}`, {
    hint: 'Check the folder, its rights and the room on the disk',
    cause,
  })

/**
 * Creates a domain from an archive, under its own name or another.
 * @throws CodedError NO_SUCH_FILE, BAD_ARCHIVE, DOMAIN_EXISTS, and what the server says
 */
export async function importFrom(
  client: Client,
  from: { readonly path: string; readonly stdin: () => AsyncIterable<Uint8Array> },
  domain: string | undefined,
  onProgress: OnProgress,
): Promise<Imported> {
  const total = from.path === '-' ? 0 : await sizeOf(from.path)
  const opened = await peekDomain(from.path === '-' ? from.stdin() : createReadStream(from.path))
  const name = domain ?? opened.domain
  try {
    await refuseExisting(client, name)
    const bytes = counted(opened.bytes, (done) => onProgress(done, total))
    return await client.send(`${domainPath(name)}/import`, { contentType: TAR, bytes }, importedSchema)
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'UNREACHABLE') throw error
    throw new CodedError('CONNECTION_LOST', `${error.message}, while the archive was sent`, {
      hint: 'Nothing of it was kept: run it again',
      cause: error,
    })
  } finally {
    await opened.bytes.return(undefined)
  }
}

/** Before gigabytes are sent that nobody takes. */
async function refuseExisting(client: Client, name: string): Promise<void> {
  const isThere = await client.get(domainPath(name), z.unknown()).then(
    () => true,
    (error: unknown) => {
      if (codeOf(error) === 'UNKNOWN_DOMAIN') return false
      throw error
    },
  )
  if (!isThere) return
  throw new CodedError('DOMAIN_EXISTS', `There is a domain "${name}" already`, {
    hint: 'Import it under another name with --domain',
  })
}

async function* counted(
  pieces: AsyncIterable<Uint8Array>,
  onBytes: (done: number) => void,
): AsyncGenerator<Uint8Array> {
  let done = 0
  for await (const piece of pieces) {
    yield piece
    done += piece.length
    onBytes(done)
  }
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    (cause: unknown) => {
      const why = codeOf(cause) === 'ENOENT' ? 'There is no file' : `${messageOf(cause)}:`
      throw new CodedError('NO_SUCH_FILE', `${why} ${path}`, { hint: 'Check the path', cause })
    },
  )
