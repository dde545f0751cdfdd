import { createHash } from 'node:crypto'
import { CodedError } from '@millrace/errors'
import { type ExternalChunk, storeExternal, type Tx } from '@millrace/store'
import { CHUNKING_DEFAULTS, CLEANING_STEPS, type CleaningOptions } from '@millrace/text'
import type { Reason } from './accept.js'
import type { Recipe } from './recipe.js'

/** The model of a domain whose documents bring their vectors. */
export const EXTERNAL = 'external'

/** Of an external domain; the most that pgvector's type `vector` holds. */
export const DIMS_MAX = 16_000

/** Chunks of one document. */
export const VECTOR_CHUNKS_MAX = 10_000

export const isExternal = ({ model }: { readonly model: string }): boolean => model === EXTERNAL

/** The dims that the vectors of documents must have; null: the domain takes texts. */
export const externalDims = (domain: { readonly model: string; readonly dims: number }): number | null =>
  isExternal(domain) ? domain.dims : null

/**
 * The general bands that an imported model gets too: where the cosines of related texts lie differs from model to
 * model, and nothing is known of this one.
 */
export const EXTERNAL_LEVELS = [
  { key: 'same', above: 0.85, name: { zh: '极度相似', en: 'nearly the same' } },
  { key: 'related', above: 0.6, name: { zh: '语义相关', en: 'related' } },
  { key: 'unrelated', above: null, name: { zh: '不相关', en: 'unrelated' } },
] as const

/** What is stored of it: whatever else decides a vector is the caller's. */
export const storedRecipe = (dims: number) => ({ model: EXTERNAL, revision: '', dims })

/** As a recipe, for code that reads one: nothing is cleaned, and nothing is put before a text. */
export const externalRecipe = (): Recipe => ({
  model: EXTERNAL,
  revision: '',
  precision: 'float32',
  pooling: 'none',
  cleaning: {
    version: 0,
    steps: Object.fromEntries(CLEANING_STEPS.map((step) => [step, false])) as unknown as CleaningOptions,
  },
  chunking: { version: 0, ...CHUNKING_DEFAULTS, context: 'none' },
  instructions: { query: null, document: null },
})

/** A chunk as a caller writes it. JSON has no NaN: what programs write for it may be anything, null often. */
export interface GivenChunk {
  readonly text?: string | undefined
  readonly vector: readonly unknown[]
}

export interface ReadChunks {
  /** The texts of the chunks with a blank line between them. */
  readonly text: string
  readonly chunks: readonly ExternalChunk[]
  /** Of the bounds and vectors of the chunks, hexadecimal: what `text` does not say of them. */
  readonly digest: string
}

const SEPARATOR = '\n\n'

/** The chunks of a document for a domain of `dims`, their vectors at unit length; or why they cannot be kept. */
export function readVectors(
  given: readonly GivenChunk[],
  dims: number,
  limits: { readonly chunks: number } = { chunks: VECTOR_CHUNKS_MAX },
): ReadChunks | Reason {
  if (given.length === 0) return { code: 'NO_CHUNKS', message: 'The document has no chunks' }
  if (given.length > limits.chunks) {
    return {
      code: 'TOO_MANY_CHUNKS',
      message: `The document has ${given.length} chunks, the limit is ${limits.chunks}`,
    }
  }
  const chunks: ExternalChunk[] = []
  const hash = createHash('sha256')
  let startAt = 0
  for (const [i, { text = '', vector: numbers }] of given.entries()) {
    const vector = readVector(numbers, dims)
    if (!(vector instanceof Float32Array)) return { ...vector, message: `Chunk ${i}: ${vector.message}` }
    const endAt = startAt + text.length
    hash.update(`${startAt} ${endAt} `).update(new Uint8Array(vector.buffer))
    chunks.push({ startAt, endAt, text, vector })
    startAt = endAt + SEPARATOR.length
  }
  const text = given.map((chunk) => chunk.text ?? '').join(SEPARATOR)
  return { text, chunks, digest: hash.digest('hex') }
}

/** Numbers as a float32 vector of unit length, or why they are none. Lengths are judged as float32 too. */
export function readVector(numbers: readonly unknown[], dims: number): Float32Array | Reason {
  if (numbers.length !== dims) {
    return {
      code: 'VECTOR_DIMS',
      message: `The vector has ${numbers.length} dimensions, the domain's have ${dims}`,
    }
  }
  const vector = new Float32Array(dims)
  let squares = 0
  for (const [i, number] of numbers.entries()) {
    const value = typeof number === 'number' ? Math.fround(number) : Number.NaN
    if (!Number.isFinite(value)) return { code: 'VECTOR_NOT_FINITE', message: notFinite(number, i) }
    vector[i] = value
    // In doubles, where no square of a float32 overflows or vanishes.
    squares += value * value
  }
  if (squares === 0) return { code: 'VECTOR_ZERO', message: 'The vector is all zeros: it has no direction' }
  const length = Math.sqrt(squares)
  for (let i = 0; i < dims; i++) vector[i] = (vector[i] ?? 0) / length
  return vector
}

function notFinite(value: unknown, place: number): string {
  const is = typeof value === 'number' ? 'too large for a float32' : `${kindOf(value)}, no number`
  return `Number ${place} of the vector is ${is}`
}

const kindOf = (value: unknown): string => {
  if (value === null) return 'null'
  return typeof value === 'string' ? 'a text' : `of the type ${Array.isArray(value) ? 'array' : typeof value}`
}

/** A vector to search with. @throws CodedError VECTOR_DIMS, VECTOR_NOT_FINITE, VECTOR_ZERO */
export function requireVector(numbers: readonly unknown[], dims: number): Float32Array {
  const vector = readVector(numbers, dims)
  if (vector instanceof Float32Array) return vector
  throw new CodedError(vector.code, vector.message, {
    hint: "Send one of the model that made the domain's vectors",
    details: { dims },
  })
}

export const MODEL_NEEDS_TEXT: Reason = {
  code: 'MODEL_NEEDS_TEXT',
  message: "The document brings vectors, and the domain's model makes its own: send a text",
}

export const DOMAIN_NEEDS_VECTORS: Reason = {
  code: 'DOMAIN_NEEDS_VECTORS',
  message: 'The domain has no model of its own: send chunks with vectors',
}

/** A text was sent where there is no model to read it. */
export const needsVectors = (domain: string, hint: string): CodedError =>
  new CodedError('DOMAIN_NEEDS_VECTORS', `Domain "${domain}" has no model of its own to read texts`, {
    hint,
    details: { domain },
  })

/** Keeps the chunks of those documents that bring some and were written. False when the domain is gone. */
export async function keepVectors(
  tx: Tx,
  to: { readonly generationId: number; readonly ingestionId: number },
  documents: readonly { readonly externalId: string; readonly vectors?: readonly ExternalChunk[] }[],
  written: ReadonlyMap<string, { readonly id: number; readonly revision: number }>,
): Promise<boolean> {
  const rows = documents.flatMap(({ externalId, vectors }) => {
    const row = written.get(externalId)
    return row === undefined || vectors === undefined ? [] : [{ ...row, chunks: vectors }]
  })
  return (await storeExternal(tx, to, rows)) !== undefined
}
