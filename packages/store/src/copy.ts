import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { from as copyFrom } from 'pg-copy-streams'
import type { Tx } from './connect.js'

/** A value as PostgreSQL's binary format has it, or null. */
type Field = Buffer | null

/** Writes values of one SQL type in PostgreSQL's binary format. */
export type Encode<T> = (value: T) => Buffer

export const int4: Encode<number> = (value) => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** Ids and counts fit a double. */
export const int8: Encode<number> = (value) => {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigInt64BE(BigInt(value))
  return bytes
}

export const text: Encode<string> = (value) => Buffer.from(value)

export const bytea: Encode<Buffer> = (value) => value

/** A version byte, then the JSON (jsonb_recv). */
export const jsonb: Encode<unknown> = (value) => Buffer.concat([Buffer.of(1), text(JSON.stringify(value))])

/** int16 dims, int16 unused, then big-endian float4 (pgvector, vector_recv). */
export const vector: Encode<Float32Array> = (values) => {
  const bytes = Buffer.alloc(4 + 4 * values.length)
  bytes.writeInt16BE(values.length, 0)
  const floats = new Float32Array(values)
  // Swapped in one go: a call a number would take most of the time of a COPY.
  Buffer.from(floats.buffer).swap32().copy(bytes, 4)
  return bytes
}

const TEXT_OID = 25

/** Dimensions, whether there are nulls, the elements' type; length and first index; the elements (array_recv). */
export const textArray: Encode<readonly string[]> = (values) => {
  if (values.length === 0) return Buffer.concat([int4(0), int4(0), int4(TEXT_OID)])
  const parts = [int4(1), int4(0), int4(TEXT_OID), int4(values.length), int4(1)]
  for (const value of values) {
    const bytes = text(value)
    parts.push(int4(bytes.length), bytes)
  }
  return Buffer.concat(parts)
}

/** Null stays null. */
export const nullable =
  <T>(encode: Encode<T>): ((value: T | null) => Field) =>
  (value) =>
    value === null ? null : encode(value)

/** A column and what stands in it, row by row. */
export interface Column<Row> {
  readonly name: string
  readonly of: (row: Row) => Field
}

export const column = <Row, T>(
  name: string,
  encode: (value: T) => Field,
  of: (row: Row) => T,
): Column<Row> => ({ name, of: (row) => encode(of(row)) })

const SIGNATURE = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
const TRAILER = Buffer.from([0xff, 0xff])
/** Written at a time: a buffer a row would be a call into the socket a row. */
const PIECE_BYTES = 256 * 1024

/** PostgreSQL's binary COPY format: https://www.postgresql.org/docs/18/sql-copy.html, "Binary Format". */
export function* binaryRows<Row>(rows: Iterable<Row>, columns: readonly Column<Row>[]): Generator<Buffer> {
  let parts: Buffer[] = [SIGNATURE]
  let bytes = SIGNATURE.length
  for (const row of rows) {
    const fields = columns.map((each) => each.of(row))
    const size = 2 + fields.reduce((sum, field) => sum + 4 + (field?.length ?? 0), 0)
    const record = Buffer.allocUnsafe(size)
    let at = record.writeInt16BE(fields.length, 0)
    for (const field of fields) {
      at = record.writeInt32BE(field?.length ?? -1, at)
      if (field !== null) at += field.copy(record, at)
    }
    parts.push(record)
    bytes += size
    if (bytes >= PIECE_BYTES) {
      yield Buffer.concat(parts, bytes)
      parts = []
      bytes = 0
    }
  }
  yield Buffer.concat([...parts, TRAILER])
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
