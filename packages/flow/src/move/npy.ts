/**
 * The .npy format, version 1.0, of numpy: a head that says type and shape, then the numbers as they lie in memory.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */

/** float32, float16, a byte with a sign, a byte, int32: little-endian. */
export type NpyType = '<f4' | '<f2' | '|i1' | '|u1' | '<i4'

export interface NpyArray {
  readonly type: NpyType
  readonly rows: number
  readonly columns: number
  /** Row after row, little-endian. */
  readonly data: Buffer
}

export const NPY_BYTES: Readonly<Record<NpyType, number>> = {
  '<f4': 4,
  '<f2': 2,
  '|i1': 1,
  '|u1': 1,
  '<i4': 4,
}

const MAGIC = Buffer.from('\x93NUMPY\x01\x00', 'latin1')
/** The numbers begin at a multiple of this. */
const ALIGNED = 64

export function writeNpy({ type, rows, columns, data }: NpyArray): Buffer {
  const dict = `{'descr': '${type}', 'fortran_order': False, 'shape': (${rows}, ${columns}), }`
  const head = MAGIC.length + 2
  const length = Math.ceil((head + dict.length + 1) / ALIGNED) * ALIGNED - head
  const size = Buffer.alloc(2)
  size.writeUInt16LE(length)
  return Buffer.concat([MAGIC, size, Buffer.from(`${dict.padEnd(length - 1)}\n`, 'latin1'), data])
}

const DICT = /^\{'descr': '([^']+)', 'fortran_order': (True|False), 'shape': \((\d+), (\d+)\),? *\}\s*$/

const isType = (type: string): type is NpyType => Object.hasOwn(NPY_BYTES, type)

/** What a file holds, or why it cannot be read. */
export function readNpy(bytes: Buffer): NpyArray | string {
  const head = MAGIC.length + 2
  if (bytes.length < head || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    return 'it is no .npy file of version 1.0'
  const start = head + bytes.readUInt16LE(MAGIC.length)
  const [, type = '', fortran, rows, columns] = DICT.exec(bytes.toString('latin1', head, start)) ?? []
  if (!isType(type)) return 'its head does not say an array of rows and columns of a known type'
  if (fortran === 'True') return 'it is in Fortran order'
  const data = bytes.subarray(start)
  const array = { type, rows: Number(rows), columns: Number(columns), data }
  if (data.length === array.rows * array.columns * NPY_BYTES[type]) return array
  return `its head says ${rows} rows of ${columns}, and that is not how many bytes follow`
}
