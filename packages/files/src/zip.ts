import type { Readable } from 'node:stream'
import { messageOf } from '@millrace/errors'
import yauzl from 'yauzl'
import { fileBroken, fileEncrypted, unpackedTooLarge } from './errors.js'
import { type Limits, RATIO_FREE_BYTES } from './limits.js'

/** What a ZIP of an office format holds. */
export interface Archive {
  /** Names of its entries, as they are written. */
  readonly names: ReadonlySet<string>
  /** An entry's bytes, inflated now; null when there is none of that name. */
  readonly read: (name: string) => Promise<Buffer | null>
  /** Inflates every entry and keeps none, for a library that would inflate them without a limit. */
  readonly weigh: () => Promise<void>
}

/**
 * Opens a ZIP. Bytes are counted as they are inflated, whatever the headers say: above the limits it throws
 * FILE_UNPACKED_TOO_LARGE. One that is damaged is FILE_BROKEN.
 */
export async function openZip(bytes: Uint8Array, limits: Limits): Promise<Archive> {
  const entries = new Map<string, yauzl.Entry>()
  const file = await list(bytes, limits, (entry) => entries.set(entry.fileName, entry))
  const allowed = Math.min(
    limits.unpackedBytes,
    Math.max(RATIO_FREE_BYTES, bytes.length * limits.unpackedRatio),
  )
  const counted = new Set<string>()
  let unpacked = 0
  const inflate = async (entry: yauzl.Entry, keep: (part: Buffer) => void) => {
    const isNew = !counted.has(entry.fileName)
    for await (const part of partsOf(file, entry)) {
      if (isNew) unpacked += part.length
      if (unpacked > allowed) {
        throw unpackedTooLarge(`The file's ${bytes.length} bytes unpack to more than ${allowed}`, {
          bytes: bytes.length,
          max: allowed,
        })
      }
      keep(part)
    }
    counted.add(entry.fileName)
  }
  return {
    names: new Set(entries.keys()),
    read: async (name) => {
      const entry = entries.get(name)
      if (entry === undefined) return null
      const parts: Buffer[] = []
      await inflate(entry, (part) => parts.push(part))
      return Buffer.concat(parts)
    },
    weigh: async () => {
      for (const entry of entries.values()) await inflate(entry, () => undefined)
    },
  }
}

function list(bytes: Uint8Array, limits: Limits, add: (entry: yauzl.Entry) => void): Promise<yauzl.ZipFile> {
  return new Promise((resolve, reject) => {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    yauzl.fromBuffer(buffer, { lazyEntries: true, autoClose: false }, (error, file) => {
      if (error !== null) return reject(fileBroken(error.message, error))
      if (file.entryCount > limits.entries) return reject(tooManyEntries(file.entryCount, limits))
      file.on('error', (cause: Error) => reject(fileBroken(cause.message, cause)))
      file.on('entry', (entry: yauzl.Entry) => {
        if (!entry.fileName.endsWith('/')) add(entry)
        file.readEntry()
      })
      file.on('end', () => resolve(file))
      file.readEntry()
    })
  })
}

const tooManyEntries = (count: number, limits: Limits) =>
  unpackedTooLarge(`The file packs ${count} files; ${limits.entries} are read at most`, {
    entries: count,
    max: limits.entries,
  })

async function* partsOf(file: yauzl.ZipFile, entry: yauzl.Entry): AsyncGenerator<Buffer> {
  if ((entry.generalPurposeBitFlag & 1) === 1) throw fileEncrypted()
  try {
    for await (const part of await openEntry(file, entry)) yield part as Buffer
  } catch (error) {
    throw fileBroken(`${entry.fileName}: ${messageOf(error)}`, error)
  }
}

const openEntry = (file: yauzl.ZipFile, entry: yauzl.Entry): Promise<Readable> =>
  new Promise((resolve, reject) => {
    file.openReadStream(entry, (error, stream) => (error === null ? resolve(stream) : reject(error)))
  })
