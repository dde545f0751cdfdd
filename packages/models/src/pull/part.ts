import type { Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { hashFor, type WantedFile } from '../digest.js'

/** What a file that is not complete is called, so that nobody takes it for whole. */
export const partPath = (path: string): string => `${path}.partial`

/** A file that grows, with the hash of what is there. */
export interface Part {
  /** Bytes that are there. */
  bytes(): number
  append(chunk: Uint8Array): Promise<void>
  /** Forgets what is there. */
  restart(): Promise<void>
  /** The hash of what is there, in hex; the part takes no more bytes until it restarts. */
  digest(): string
  /** On the disk, under its own name. */
  settle(): Promise<void>
  discard(): Promise<void>
  close(): Promise<void>
}

/**
 * Opens what is there of a file, hashing it, or begins one. What is longer than the file is no part of it, and begun
 * anew.
 * @param path the complete file's
 * @throws CodedError MODELS_DIR_UNUSABLE
 */
export async function openPart(path: string, file: WantedFile): Promise<Part> {
  const partial = partPath(path)
  const handle = await mkdir(dirname(path), { recursive: true })
    // Neither emptied nor for appending only: it is written where it ends, and may begin anew.
    .then(() => open(partial, 'a').then((made) => made.close()))
    .then(() => open(partial, 'r+'))
    .catch((error: unknown) => {
      throw unwritable(path, error)
    })
  let hash = hashFor(file)
  let bytes = (await handle.stat()).size
  if (bytes > file.bytes) bytes = 0
  await handle.truncate(bytes)
  if (bytes > 0) await hashInto(hash, partial)
  return {
    bytes: () => bytes,
    append: async (chunk) => {
      await writeAll(handle, chunk, bytes).catch((error: unknown) => {
        throw unwritable(path, error)
      })
      hash.update(chunk)
      bytes += chunk.length
    },
    restart: async () => {
      await handle.truncate(0)
      hash = hashFor(file)
      bytes = 0
    },
    digest: () => hash.digest('hex'),
    settle: async () => {
      // Before the name: after a power cut a complete name must not stand over missing bytes.
      await handle.sync()
      await handle.close()
      await rename(partial, path)
    },
    discard: async () => {
      await handle.close()
      await rm(partial, { force: true })
    },
    close: () => handle.close(),
  }
}

async function hashInto(hash: Hash, path: string): Promise<void> {
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, at + done)
    done += bytesWritten
  }
}

/** What a disk says when a file of a model cannot be written. */
export function unwritable(path: string, error: unknown): CodedError {
  if (codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT') {
    return new CodedError('DISK_TOO_SMALL', `The disk is full: ${path} cannot be written`, {
      hint: 'Make room and run it again: it goes on where it stopped',
      cause: error,
    })
  }
  return new CodedError('MODELS_DIR_UNUSABLE', `Cannot write ${path}: ${messageOf(error)}`, {
    hint: 'Check the rights of the folder, or choose another with MODELS_DIR',
    cause: error,
  })
}
