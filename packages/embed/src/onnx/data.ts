import { type FileHandle, open } from 'node:fs/promises'
import { resolve, sep } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'
import type { TensorProto } from './schema.js'
import { bytesWithin, externalOf } from './tensor.js'

/** Reads values of tensors, in pieces, wherever they are: in the graph or in files beside it. */
export interface TensorData {
  /**
   * Bytes of a tensor.
   * @param start in bytes within the tensor. Default 0
   * @param end exclusive. Default: to its end
   * @throws CodedError INVALID_GRAPH, naming file and tensor, when they are not there
   */
  read(tensor: TensorProto, start?: number, end?: number): Promise<Uint8Array>
  close(): Promise<void>
}

/**
 * Opens the data of the graph in a folder. Files are opened when they are first needed; none outside the folder is.
 */
export function openTensorData(dir: string): TensorData {
  const files = new Map<string, Promise<FileHandle>>()
  const fileAt = (location: string): Promise<FileHandle> => {
    const path = resolve(dir, location)
    if (!path.startsWith(resolve(dir) + sep)) throw unreadable(location, 'it leads out of the folder')
    const known = files.get(path)
    if (known !== undefined) return known
    const opened = open(path, 'r')
    files.set(path, opened)
    return opened
  }
  return {
    read: async (tensor, start = 0, end) => {
      const external = externalOf(tensor)
      if (external === undefined) return bytesWithin(tensor).subarray(start, end)
      const { location, offset, length } = external
      const wanted = Buffer.allocUnsafe((end ?? length) - start)
      const file = await fileAt(location).catch((error: unknown) => {
        throw unreadable(location, messageOf(error), error)
      })
      for (let at = 0; at < wanted.length; ) {
        const { bytesRead } = await file.read(wanted, at, wanted.length - at, offset + start + at)
        if (bytesRead === 0) throw unreadable(location, `it ends within ${tensor.name}`)
        at += bytesRead
      }
      return wanted
    },
    close: async () => {
      const opened = await Promise.allSettled(files.values())
      await Promise.all(opened.map((file) => (file.status === 'fulfilled' ? file.value.close() : undefined)))
    },
  }
}

const unreadable = (location: string, why: string, cause?: unknown): CodedError =>
  new CodedError('INVALID_GRAPH', `Cannot read ${location}, which the graph has its data in: ${why}`, {
    hint: 'Copy or pull the model again',
    cause,
  })
