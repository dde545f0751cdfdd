import { open } from 'node:fs/promises'
import { CodedError } from '@millrace/errors'

/** What the bytes of an ONNX file tell without its being parsed. */
export interface Scan {
  /** Names of the files that hold its tensors, relative to the graph's folder, each once. */
  readonly externalData: readonly string[]
  /** Which of `OPERATORS` occur in it. */
  readonly operators: ReadonlySet<Operator>
}

/** Operators that say how a graph is quantized. */
const OPERATORS = ['DynamicQuantizeLinear', 'MatMulInteger', 'QLinearMatMul', 'MatMulNBits'] as const
export type Operator = (typeof OPERATORS)[number]

const CHUNK_BYTES = 1 << 22
/** Of a chunk that are looked at with the next one again: longer than any path. */
const OVERLAP_BYTES = 1 << 13

/**
 * Reads an ONNX file from end to end, in bounded memory. External data are named in entries of a map, key "location":
 * field 1 of eight bytes, then field 2, the path. A search finds those without a parser of the format, and a graph
 * may have gigabytes inside.
 * @throws CodedError INVALID_GRAPH when a file that it names is not below its folder
 */
export async function scanGraph(path: string): Promise<Scan> {
  const externalData = new Set<string>()
  const operators = new Set<Operator>()
  const handle = await open(path)
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES + OVERLAP_BYTES)
    let kept = 0
    for (;;) {
      const { bytesRead } = await handle.read(buffer, kept, CHUNK_BYTES)
      if (bytesRead === 0) break
      const seen = buffer.subarray(0, kept + bytesRead)
      for (const name of locationsIn(seen)) externalData.add(name)
      for (const operator of OPERATORS) if (seen.includes(operator)) operators.add(operator)
      kept = Math.min(OVERLAP_BYTES, seen.length)
      buffer.copyWithin(0, seen.length - kept, seen.length)
    }
  } finally {
    await handle.close()
  }
  for (const name of externalData) {
    if (!/^[\w.-]+(\/[\w.-]+)*$/.test(name) || name.split('/').includes('..')) {
      throw new CodedError('INVALID_GRAPH', `${path} wants its tensors from "${name}"`, {
        hint: 'External data must be below the folder of the graph, in names of letters, digits, . _ and -',
      })
    }
  }
  return { externalData: [...externalData].sort(), operators }
}

const LOCATION = Buffer.from([0x0a, 8, ...Buffer.from('location'), 0x12])

function locationsIn(bytes: Buffer): string[] {
  const names: string[] = []
  for (let at = bytes.indexOf(LOCATION); at >= 0; at = bytes.indexOf(LOCATION, at + 1)) {
    let from = at + LOCATION.length
    let length = 0
    for (let shift = 0; shift < 21; shift += 7) {
      const byte = bytes[from] ?? 0
      from += 1
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    // One that runs over the end is whole in the next chunk.
    if (length > 0 && from + length <= bytes.length) names.push(bytes.toString('utf8', from, from + length))
  }
  return names
}
