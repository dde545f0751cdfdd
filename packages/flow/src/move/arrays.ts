import {
  bitBytes,
  type Form,
  halfBits,
  halfValue,
  OUTLIERS,
  type Outliers,
  type StorageForm,
  type StoredRow,
} from '@millrace/store'
import { NPY_BYTES, type NpyArray, type NpyType } from './npy.js'

/** A file of an archive that holds a column of vectors: what it is called, its type, and how many numbers a row has. */
export interface ArrayKind {
  readonly name: 'hashes' | 'embedding' | 'codes' | 'bits' | 'outlier-places' | 'outlier-values'
  readonly type: NpyType
  readonly columns: number
}

export const HASH_BYTES = 32
/** In outlier-places: a vector with fewer outliers than columns. */
const NONE = -1

/** The files that vectors of a form are in, in the order in which they come. */
export function arrayKinds(form: Form): readonly ArrayKind[] {
  const { storage, dims } = form
  const hashes: ArrayKind = { name: 'hashes', type: '|u1', columns: HASH_BYTES }
  const half: ArrayKind = { name: 'embedding', type: '<f2', columns: dims }
  const bits: ArrayKind = { name: 'bits', type: '|u1', columns: bitBytes(form) }
  const outliers = Math.min(OUTLIERS, dims)
  const kinds: Readonly<Record<StorageForm, readonly ArrayKind[]>> = {
    full: [{ name: 'embedding', type: '<f4', columns: dims }],
    half: [half],
    binary: [half, bits],
    sq8: [{ name: 'codes', type: '|i1', columns: dims }, bits],
    sq4: [
      { name: 'codes', type: '|i1', columns: Math.ceil(dims / 2) },
      { name: 'outlier-places', type: '<i4', columns: outliers },
      { name: 'outlier-values', type: '<f4', columns: outliers },
      bits,
    ],
  }
  return [hashes, ...kinds[storage]]
}

/** Bytes of a row in all its files. */
export const arrayBytes = (form: Form): number =>
  arrayKinds(form).reduce((sum, { type, columns }) => sum + NPY_BYTES[type] * columns, 0)

/** Rows as arrays, one a kind. */
export function arraysOf(
  form: Form,
  rows: readonly StoredRow[],
): readonly (NpyArray & Pick<ArrayKind, 'name'>)[] {
  return arrayKinds(form).map(({ name, type, columns }) => {
    const width = columns * NPY_BYTES[type]
    const data = Buffer.alloc(rows.length * width)
    for (const [i, row] of rows.entries()) {
      writeRow(data.subarray(i * width, (i + 1) * width), row, { name, type, columns })
    }
    return { name, type, rows: rows.length, columns, data }
  })
}

function writeRow(into: Buffer, row: StoredRow, { name, type, columns }: ArrayKind): void {
  switch (name) {
    case 'hashes':
      row.hash.copy(into)
      return
    case 'bits':
      row.bits.copy(into)
      return
    case 'codes':
      Buffer.from(row.codes.buffer, row.codes.byteOffset, row.codes.length).copy(into)
      return
    case 'embedding':
      row.embedding.forEach((value, i) => {
        if (type === '<f4') into.writeFloatLE(value, 4 * i)
        else into.writeUInt16LE(halfBits(value), 2 * i)
      })
      return
    case 'outlier-places':
      for (let i = 0; i < columns; i++) into.writeInt32LE(row.outliers.indices[i] ?? NONE, 4 * i)
      return
    case 'outlier-values':
      for (let i = 0; i < columns; i++) into.writeFloatLE(row.outliers.values[i] ?? 0, 4 * i)
  }
}

/** The rows of arrays, of which there is one a kind and all have as many rows; or what is wrong with one of them. */
export function rowsOf(form: Form, arrays: ReadonlyMap<string, NpyArray>): StoredRow[] | string {
  const count = arrays.get('hashes')?.rows ?? 0
  const rows: StoredRow[] = []
  for (let i = 0; i < count; i++) {
    const bytes = (name: ArrayKind['name']): Buffer => {
      const array = arrays.get(name)
      if (array === undefined) return Buffer.alloc(0)
      const width = array.columns * NPY_BYTES[array.type]
      return array.data.subarray(i * width, (i + 1) * width)
    }
    const row: StoredRow = {
      hash: Buffer.from(bytes('hashes')),
      embedding: readEmbedding(bytes('embedding'), arrays.get('embedding')?.type),
      codes: Int8Array.from(bytes('codes'), (byte) => (byte << 24) >> 24),
      outliers: readOutliers(bytes('outlier-places'), bytes('outlier-values'), form.dims),
      bits: Buffer.from(bytes('bits')),
    }
    const wrong = wrongRow(form, row)
    if (wrong !== undefined) return `row ${i} ${wrong}`
    rows.push(row)
  }
  return rows
}

function readEmbedding(bytes: Buffer, type: NpyType | undefined): Float32Array {
  if (type === '<f2') {
    return Float32Array.from({ length: bytes.length / 2 }, (_, i) => halfValue(bytes.readUInt16LE(2 * i)))
  }
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))
}

function readOutliers(places: Buffer, values: Buffer, dims: number): Outliers {
  const all = Array.from({ length: places.length / 4 }, (_, i) => [
    places.readInt32LE(4 * i),
    values.readFloatLE(4 * i),
  ])
  const kept = all.filter(([place]) => place !== NONE)
  return {
    indices: Int32Array.from(kept, ([place = 0]) => place),
    values: Float32Array.from(kept, ([, value = 0]) => value),
    dims,
  }
}

/** How far from 1 the length of a stored vector may be: float32 rounds little, float16 more. */
const LENGTH_ERROR = { full: 1e-4, half: 5e-3, binary: 5e-3 } as const

/** Undefined: nothing. */
function wrongRow({ storage, dims }: Form, { embedding, codes, outliers }: StoredRow): string | undefined {
  if (storage === 'full' || storage === 'half' || storage === 'binary') {
    const length = lengthOf(embedding)
    // NaN too: it is nothing's neighbour.
    return Math.abs(length - 1) <= LENGTH_ERROR[storage] ? undefined : `has the length ${length}, not 1`
  }
  const { indices, values } = outliers
  const places = indices.every((place, i) => place >= 0 && place < dims && place > (indices[i - 1] ?? -1))
  if (!places) return 'has outliers at places that are not in it, or not in their order'
  if (!values.every((value) => Number.isFinite(value) && value !== 0))
    return 'has outliers that are no numbers'
  if (storage === 'sq8' && codes.includes(-128)) return 'has a code that stands for nothing'
  return codes.some((code) => code !== 0) || indices.length > 0 ? undefined : 'is all zeros'
}

const lengthOf = (vector: Float32Array): number =>
  Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
