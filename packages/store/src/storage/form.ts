import {
  bits as bitsEncoding,
  type Column,
  charArray,
  column,
  halfvec,
  sparsevec,
  vector as vectorEncoding,
} from '../copy.js'
import type { StorageForm } from '../schema.js'
import { bitsOf, encodeSq4, encodeSq8, OUTLIERS, type Outliers, searchBits } from './codes.js'

/** How the vectors of a generation are kept. */
export interface Form {
  readonly storage: StorageForm
  readonly dims: number
}

/** A vector as it is stored; what its form does not have is empty. */
export interface Stored {
  readonly embedding: Float32Array
  readonly codes: Int8Array
  readonly outliers: Outliers
  readonly bits: Buffer
}

/** A vector of no form. */
export const EMPTY: Stored = {
  embedding: new Float32Array(),
  codes: new Int8Array(),
  outliers: { indices: new Int32Array(), values: new Float32Array(), dims: 0 },
  bits: Buffer.alloc(0),
}

/** Of a unit vector. */
export function store(storage: StorageForm, vector: Float32Array): Stored {
  switch (storage) {
    case 'full':
    case 'half':
      return { ...EMPTY, embedding: vector }
    case 'binary':
      return { ...EMPTY, embedding: vector, bits: searchBits(vector) }
    case 'sq8':
      return { ...EMPTY, codes: encodeSq8(vector), bits: searchBits(vector) }
    case 'sq4':
      return { ...EMPTY, ...encodeSq4(vector), bits: searchBits(vector) }
  }
}

/** A column of a table of vectors. */
export interface FormColumn extends Column<Stored> {
  readonly type: string
  /** Bytes in a row. */
  readonly bytes: number
  /** Where rows come by unnest: as text, and what to cast that to. */
  readonly text: (stored: Stored) => string
  readonly cast: readonly string[]
}

/** As pgvector reads it; the sign of a zero too, which a number loses where it becomes a text. */
const numbersText = (values: Float32Array): string =>
  `[${Array.from(values, (value) => (Object.is(value, -0) ? '-0' : value)).join(',')}]`

const full = (dims: number): FormColumn => ({
  ...column('embedding', vectorEncoding, ({ embedding }: Stored) => embedding),
  type: `vector(${dims})`,
  bytes: 8 + 4 * dims,
  text: ({ embedding }) => numbersText(embedding),
  cast: ['vector'],
})

const half = (dims: number): FormColumn => ({
  ...column('embedding', halfvec, ({ embedding }: Stored) => embedding),
  type: `halfvec(${dims})`,
  bytes: 8 + 2 * dims,
  text: ({ embedding }) => numbersText(embedding),
  cast: ['halfvec'],
})

/** "char" is the type of one byte with a sign. */
const codes = (length: number): FormColumn => ({
  ...column('codes', charArray, (stored: Stored) => stored.codes),
  type: '"char"[]',
  bytes: 24 + length,
  text: (stored) => `{${stored.codes.join(',')}}`,
  cast: ['int4[]', '"char"[]'],
})

const outliers = (dims: number): FormColumn => ({
  ...column('outliers', sparsevec, (stored: Stored) => stored.outliers),
  type: `sparsevec(${dims})`,
  bytes: 16 + 8 * Math.min(OUTLIERS, dims),
  text: ({ outliers: { indices, values } }) =>
    `{${[...indices].map((index, i) => `${index + 1}:${values[i]}`).join(',')}}/${dims}`,
  cast: ['sparsevec'],
})

const bits = (dims: number): FormColumn => {
  const length = bitsOf(dims)
  return {
    ...column('bits', bitsEncoding(length), (stored: Stored) => stored.bits),
    type: `bit(${length})`,
    bytes: 8 + Math.ceil(length / 8),
    text: (stored) => `x${stored.bits.toString('hex')}`,
    // What is longer is cut on the right: the last byte may be half empty.
    cast: ['varbit', `bit(${length})`],
  }
}

export function columnsOf({ storage, dims }: Form): readonly FormColumn[] {
  switch (storage) {
    case 'full':
      return [full(dims)]
    case 'half':
      return [half(dims)]
    case 'binary':
      return [half(dims), bits(dims)]
    case 'sq8':
      return [codes(dims), bits(dims)]
    case 'sq4':
      return [codes(Math.ceil(dims / 2)), outliers(dims), bits(dims)]
  }
}

/** Of a row: its header and its place in the page, the hash, alignment. */
const ROW_BYTES = 24 + 4 + 33 + 7
/** What rows can use of a page. */
const PAGE_BYTES = 8_168
/** Postgres moves values out of rows longer than this (TOAST_TUPLE_THRESHOLD) unless told otherwise. */
const TOAST_BYTES = 2_032
const FILL_MIN = 0.7

/**
 * Rows that would be moved out, though pages hold some of them nearly without a gap, stay in the table: they take less
 * room than their pieces elsewhere, and reading them needs no second look-up. Empty: as Postgres does.
 */
export function tableSettings(form: Form): string {
  const row = columnsOf(form).reduce((sum, { bytes }) => sum + bytes, ROW_BYTES)
  const rows = Math.floor(PAGE_BYTES / row)
  const stays = row > TOAST_BYTES && rows >= 2 && (rows * row) / PAGE_BYTES >= FILL_MIN
  return stays ? 'with (toast_tuple_target = 8160)' : ''
}

/** Of an entry of an index over hashes. */
const KEY_BYTES = 64

/** What a vector takes in its table, and in the index that finds it by its text. */
export const vectorBytes = (form: Form): number =>
  columnsOf(form).reduce((sum, { bytes }) => sum + bytes, ROW_BYTES + KEY_BYTES)

/** The expression that gives the unit vector of a row of `alias`, the same as `millrace.embedding_sql`. */
export function embeddingSql({ storage, dims }: Form, alias: string): string {
  switch (storage) {
    case 'full':
    case 'half':
    case 'binary':
      return `${alias}.embedding::vector`
    case 'sq8':
      return `millrace.decode_sq8(${alias}.codes, ${dims})`
    case 'sq4':
      return `millrace.decode_sq4(${alias}.codes, ${alias}.outliers, ${dims})`
  }
}

/** What the HNSW index of a form is on, and the memory that building it takes a row. */
export interface IndexForm {
  readonly column: string
  readonly operators: string
  readonly bytes: number
}

/** pgvector's limits of an HNSW index (its README, "HNSW"). */
const VECTOR_DIMS_MAX = 2_000
const HALFVEC_DIMS_MAX = 4_000
/** A row of the graph beside its vector: 2·m neighbours on its lowest level, twice over with what leads to them. */
const neighbourBytes = (m: number): number => 200 + 2 * m * 16

/** Undefined where pgvector indexes no vector that long: such a domain is searched exactly. */
export function indexOf({ storage, dims, m = 16 }: Form & { readonly m?: number }): IndexForm | undefined {
  const on = (column: string, operators: string, bytes: number): IndexForm => {
    return { column, operators, bytes: Math.ceil(bytes + neighbourBytes(m)) }
  }
  if (storage !== 'full' && storage !== 'half') return on('bits', 'bit_hamming_ops', bitsOf(dims) / 8)
  if (storage === 'full' && dims <= VECTOR_DIMS_MAX) return on('embedding', 'vector_ip_ops', 4 * dims)
  if (dims > HALFVEC_DIMS_MAX) return undefined
  const column = storage === 'half' ? 'embedding' : `(embedding::halfvec(${Number(dims)}))`
  return on(column, 'halfvec_ip_ops', 2 * dims)
}
