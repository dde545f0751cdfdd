import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import {
  bytesOf,
  dimsOf,
  makeExternal,
  makeTensor,
  type TensorProto,
  type TensorShape,
} from '@millrace/embed/onnx'

type Values = Int8Array | Float32Array

/** Takes tensors one after the other, in pieces, and gives what stands for each in the graph. */
export interface TensorSink {
  /** @param pieces the values' bytes, in order */
  add(shape: TensorShape, pieces: AsyncIterable<Uint8Array>): Promise<TensorProto>
  /** The file beside the graph, when there is one. */
  finish(): Promise<{ readonly bytes: number; readonly sha256: string } | undefined>
  /** Lets go of the file, whatever state it is in. */
  close(): Promise<void>
}

/** The bytes of values, not copied. */
export const bytesOfValues = ({ buffer, byteOffset, byteLength }: Values): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

/** Keeps the tensors in the graph. */
export function openInside(): TensorSink {
  return {
    add: async ({ name, dims, dataType }, pieces) => {
      const tensor = makeTensor(name, [0], new Uint8Array())
      return Object.assign(tensor, { dims: [...dims], dataType, rawData: await gather(pieces) })
    },
    finish: async () => undefined,
    close: async () => {},
  }
}

/** Smaller ones stay in the graph, as exporters do it: onnxruntime infers shapes from constants there. */
const OUTSIDE_BYTES_MIN = 1024

/** Tensors begin at multiples of it: a cache line, and enough for every element type. */
const ALIGNMENT = 64

/** Writes the tensors to a file, and keeps its hash as it goes. @param path its name goes into the graph */
export async function openBeside(path: string): Promise<TensorSink> {
  const file: FileHandle = await open(path, 'wx')
  const hash = createHash('sha256')
  let offset = 0
  const append = async (bytes: Uint8Array) => {
    hash.update(bytes)
    for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
    offset += bytes.length
  }
  const inside = openInside()
  return {
    add: async (shape, pieces) => {
      if (bytesOf(shape) < OUTSIDE_BYTES_MIN) return inside.add(shape, pieces)
      await append(new Uint8Array((ALIGNMENT - (offset % ALIGNMENT)) % ALIGNMENT))
      const start = offset
      for await (const piece of pieces) await append(piece)
      const external = { location: basename(path), offset: start, length: offset - start }
      return makeExternal(shape.name, dimsOf(shape), shape.dataType, external)
    },
    finish: async () => {
      await file.sync()
      return { bytes: offset, sha256: hash.digest('hex') }
    },
    close: () => file.close(),
  }
}

async function gather(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return all.length === 1 ? (all[0] ?? new Uint8Array()) : Buffer.concat(all)
}
