import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { from as copyFrom } from 'pg-copy-streams'
import type { Tx } from './connect.js'
import type { Outliers } from './storage/codes.js'
import { halfBits } from './storage/half.js'

/** Writes values of one SQL type in PostgreSQL's binary format. */
export interface Encoding<T> {
  /** Bytes that `write` will take; -1: null. */
  readonly size: (value: T) => number
  readonly write: (into: Buffer, at: number, value: T) => void
}

export const int4: Encoding<number> = {
  size: () => 4,
  write: (into, at, value) => void into.writeInt32BE(value, at),
}

/** Ids and counts fit a double. */
export const int8: Encoding<number> = {
  size: () => 8,
  write: (into, at, value) => void into.writeBigInt64BE(BigInt(value), at),
}

/** Microseconds since 2000 (timestamptz_recv). */
export const timestamp: Encoding<Date> = {
  size: () => 8,
  write: (into, at, date) =>
    void into.writeBigInt64BE(BigInt(date.getTime() - Date.UTC(2000, 0, 1)) * 1_000n, at),
}

export const text: Encoding<string> = {
  size: (value) => Buffer.byteLength(value),
  write: (into, at, value) => void into.write(value, at),
}

export const bytea: Encoding<Buffer> = {
  size: (value) => value.length,
  write: (into, at, value) => void value.copy(into, at),
}

/** A version byte, then the JSON (jsonb_recv). `json`: what JSON.stringify gave. */
export const jsonb: Encoding<string> = {
  size: (json) => 1 + Buffer.byteLength(json),
  write: (into, at, json) => void into.write(json, into.writeUInt8(1, at)),
}

/** int16 dims, int16 unused, then big-endian float4 (pgvector, vector_recv). */
export const vector: Encoding<Float32Array> = {
  size: (values) => 4 + 4 * values.length,
  write: (into, at, values) => {
    const first = into.writeInt16BE(0, into.writeInt16BE(values.length, at))
    Buffer.from(values.buffer, values.byteOffset, values.byteLength).copy(into, first)
    // Swapped in one go: a call a number would take most of the time of a COPY.
    into.subarray(first, first + values.byteLength).swap32()
  },
}

/** int16 dims, int16 unused, then big-endian float2 (pgvector, halfvec_recv). */
export const halfvec: Encoding<Float32Array> = {
  size: (values) => 4 + 2 * values.length,
  write: (into, start, values) => {
    let at = into.writeInt16BE(0, into.writeInt16BE(values.length, start))
    for (const value of values) at = into.writeUInt16BE(halfBits(value), at)
  },
}

/** int32 dims, int32 of them not zero, int32 unused, their indices from 0, their values (pgvector, sparsevec_recv). */
export const sparsevec: Encoding<Outliers> = {
  size: ({ indices }) => 12 + 8 * indices.length,
  write: (into, start, { indices, values, dims }) => {
    let at = into.writeInt32BE(0, into.writeInt32BE(indices.length, into.writeInt32BE(dims, start)))
    for (const index of indices) at = into.writeInt32BE(index, at)
    for (const value of values) at = into.writeFloatBE(value, at)
  },
}

/** How many bits there are, then the bits, the first one the highest of the first byte (bit_recv). */
export const bits = (length: number): Encoding<Buffer> => ({
  size: (bytes) => 4 + bytes.length,
  write: (into, at, bytes) => void bytes.copy(into, into.writeInt32BE(length, at)),
})

const CHAR_OID = 18

/** An array of "char", the type of one byte; each element with its length before it (array_recv). */
export const charArray: Encoding<Int8Array> = {
  size: (values) => 20 + 5 * values.length,
  write: (into, start, values) => {
    let at = start
    for (const number of [1, 0, CHAR_OID, values.length, 1]) at = into.writeInt32BE(number, at)
    for (const value of values) at = into.writeInt8(value, into.writeInt32BE(1, at))
  },
}

const TEXT_OID = 25

/** Dimensions, whether there are nulls, the elements' type; length and first index; the elements (array_recv). */
export const textArray: Encoding<readonly string[]> = {
  size: (values) =>
    values.length === 0 ? 12 : values.reduce((sum, value) => sum + 4 + Buffer.byteLength(value), 20),
  write: (into, start, values) => {
    let at = start
    for (const number of values.length === 0 ? [0, 0, TEXT_OID] : [1, 0, TEXT_OID, values.length, 1]) {
      at = into.writeInt32BE(number, at)
    }
    for (const value of values) {
      const bytes = into.write(value, at + 4)
      into.writeInt32BE(bytes, at)
      at += 4 + bytes
    }
  },
}

/** One value as a parameter of a statement: pg sends buffers as they are, in the binary format. */
export function parameter<T>({ size, write }: Encoding<T>, value: T): Buffer {
  const into = Buffer.alloc(size(value))
  write(into, 0, value)
  return into
}

/** Null stays null. */
export const nullable = <T>({ size, write }: Encoding<T>): Encoding<T | null> => ({
  size: (value) => (value === null ? -1 : size(value)),
  write: (into, at, value) => {
    if (value !== null) write(into, at, value)
  },
})

/** A column and what stands in it, row by row. */
export interface Column<Row> {
  readonly name: string
  readonly size: (row: Row) => number
  readonly write: (into: Buffer, at: number, row: Row) => void
}

export const column = <Row, T>(name: string, encoding: Encoding<T>, of: (row: Row) => T): Column<Row> => ({
  name,
  size: (row) => encoding.size(of(row)),
  write: (into, at, row) => encoding.write(into, at, of(row)),
})

const SIGNATURE = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
const TRAILER = Buffer.from([0xff, 0xff])
/** Written at a time: a buffer a row would be a call into the socket a row. */
const PIECE_BYTES = 256 * 1024

/** PostgreSQL's binary COPY format: https://www.postgresql.org/docs/18/sql-copy.html, "Binary Format". */
export function* binaryRows<Row>(rows: Iterable<Row>, columns: readonly Column<Row>[]): Generator<Buffer> {
  let piece = Buffer.allocUnsafe(PIECE_BYTES)
  let at = SIGNATURE.copy(piece, 0)
  const sizes = new Array<number>(columns.length).fill(0)
  for (const row of rows) {
    let need = 2
    columns.forEach((each, i) => {
      const size = each.size(row)
      sizes[i] = size
      need += 4 + Math.max(0, size)
    })
    if (at > 0 && at + need > piece.length) {
      yield piece.subarray(0, at)
      piece = Buffer.allocUnsafe(Math.max(PIECE_BYTES, need))
      at = 0
    }
    at = piece.writeInt16BE(columns.length, at)
    columns.forEach((each, i) => {
      const size = sizes[i] ?? -1
      at = piece.writeInt32BE(size, at)
      each.write(piece, at, row)
      at += Math.max(0, size)
    })
  }
  yield piece.subarray(0, at)
  yield TRAILER
}

/** Into a table, on servers: PGlite cannot COPY from its client. */
export async function copyRows<Row>(
  tx: Tx,
  table: string,
  columns: readonly Column<Row>[],
  rows: Iterable<Row>,
): Promise<void> {
  const names = columns.map(({ name }) => name).join(', ')
  const into = tx.client.query(copyFrom(`copy ${table} (${names}) from stdin with (format binary)`))
  await pipeline(Readable.from(binaryRows(rows, columns)), into)
}
