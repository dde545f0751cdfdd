import { bitsOf } from '../storage/codes.js'
import { columnsOf, EMPTY, type Form, type Stored } from '../storage/form.js'
import { halfValue } from '../storage/half.js'
import type { Terms } from '../terms.js'

/** What Postgres writes of a value in its binary format (…_send), by column. */
export type RawRow = Readonly<Record<string, Buffer>>

/** The columns of a form as bytes: `select` of it gives a row for `readStored`. */
export const rawColumns = (form: Form, alias: string): string =>
  columnsOf(form)
    .map(({ name, type }) => `${sendOf(type)}(${alias}.${name}) as ${name}`)
    .join(', ')

const sendOf = (type: string): string =>
  type === '"char"[]' ? 'array_send' : `${type.replace(/\(.*/, '')}_send`

/** A row of the table of vectors as it stands there. */
export function readStored(form: Form, row: RawRow): Stored {
  const { embedding, codes, outliers, bits } = row
  return {
    embedding: embedding === undefined ? EMPTY.embedding : readEmbedding(form, embedding),
    codes: codes === undefined ? EMPTY.codes : readCodes(codes),
    outliers: outliers === undefined ? EMPTY.outliers : { ...readSparse(outliers), dims: form.dims },
    bits: bits === undefined ? EMPTY.bits : bits.subarray(4),
  }
}

/** int16 dims, int16 unused, big-endian numbers (vector_send, halfvec_send). */
function readEmbedding({ storage, dims }: Form, bytes: Buffer): Float32Array {
  if (storage !== 'full')
    return Float32Array.from({ length: dims }, (_, i) => halfValue(bytes.readUInt16BE(4 + 2 * i)))
  return floats(bytes.subarray(4))
}

/** Big-endian float4, in memory of their own. */
function floats(bytes: Buffer): Float32Array {
  const own = Buffer.alloc(bytes.length)
  bytes.copy(own)
  own.swap32()
  return new Float32Array(own.buffer, own.byteOffset, own.length / 4)
}

/** An array: 20 bytes of head, then each element with its length before it (array_send). */
const readCodes = (bytes: Buffer): Int8Array =>
  Int8Array.from({ length: Math.max(0, bytes.length - 20) / 5 }, (_, i) => bytes.readInt8(24 + 5 * i))

/** int32 dims, int32 elements, int32 unused, indices from 0, values (sparsevec_send). */
function readSparse(bytes: Buffer): { readonly indices: Int32Array; readonly values: Float32Array } {
  const count = bytes.readInt32BE(4)
  const indices = Int32Array.from({ length: count }, (_, i) => bytes.readInt32BE(12 + 4 * i))
  return { indices, values: floats(bytes.subarray(12 + 4 * count)) }
}

/** What a text's terms are, of the bytes of their weights. */
export function readTerms(weights: Buffer): Terms {
  const { indices, values } = readSparse(weights)
  return { ids: indices, weights: values }
}

/** Bytes of a vector's bits; 0: its form has none. */
export const bitBytes = ({ storage, dims }: Form): number =>
  storage === 'full' || storage === 'half' ? 0 : Math.ceil(bitsOf(dims) / 8)
