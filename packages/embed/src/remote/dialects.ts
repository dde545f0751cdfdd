import { z } from 'zod'
import { badAnswer, wrongDims } from './errors.js'
import type { RemoteKind, RemoteSettings } from './settings.js'

/** How a kind of server is asked for vectors, and what it answers. */
interface Dialect {
  /** What is added to the URL of the manifest. */
  readonly path: string
  readonly body: (texts: readonly string[], settings: RemoteSettings) => unknown
  /**
   * The vectors in the order of the texts, each numbers or base64; undefined when they are not as many.
   * @throws z.ZodError when it is something else
   */
  readonly embeddings: (json: unknown, count: number) => unknown[] | undefined
}

// Checked as a list here and number by number when it is copied: a schema for each number costs ten times that.
const embedding = z.union([z.string(), z.custom<unknown[]>(Array.isArray, 'expected a list of numbers')])
const openaiAnswer = z.looseObject({
  data: z.array(z.looseObject({ index: z.int().optional(), embedding })),
})
const teiAnswer = z.array(embedding)

export const DIALECTS: Readonly<Record<RemoteKind, Dialect>> = {
  openai: {
    path: '/embeddings',
    body: (input, { model }) => ({ model, input, encoding_format: 'float' }),
    embeddings: (json, count) => {
      const { data } = openaiAnswer.parse(json)
      if (data.length !== count) return undefined
      // Nothing promises the order of the list, `index` says whose a vector is.
      const ordered = new Map(data.map(({ index, embedding: one }, place) => [index ?? place, one]))
      const vectors = Array.from({ length: count }, (_, i) => ordered.get(i))
      return vectors.includes(undefined) ? undefined : vectors
    },
  },
  tei: {
    path: '/embed',
    // Not cut: a text that is too long there is an error that says so.
    body: (inputs) => ({ inputs, normalize: true, truncate: false }),
    embeddings: (json, count) => {
      const vectors = teiAnswer.parse(json)
      return vectors.length === count ? vectors : undefined
    },
  },
}

/** The URL of a call, what the manifest's URL has after a `?` included. */
export function urlOf(base: string, path: string): string {
  const url = new URL(base)
  url.pathname = url.pathname.replace(/\/+$/, '') + path
  return url.href
}

/** Bytes that an answer may have: a number in JSON takes 25 at most, and some servers indent. */
export const answerBytesMax = (texts: number, dims: number): number => (texts + 1) * (dims * 64 + 4_096)

/**
 * Reads the vectors out of an answer, in the order of the texts. What is null there is NaN here.
 * @throws CodedError REMOTE_BAD_ANSWER, REMOTE_DIMS
 */
export function readVectors(
  kind: RemoteKind,
  json: unknown,
  wanted: { readonly url: string; readonly count: number; readonly dims: number },
): Float32Array[] {
  const { url, count, dims } = wanted
  let found: unknown[] | undefined
  try {
    found = DIALECTS[kind].embeddings(json, count)
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error
    throw badAnswer(url, z.prettifyError(error).split('\n').slice(0, 4).join(' '), error)
  }
  if (found === undefined) throw badAnswer(url, `there is not one vector for each of ${count} texts`)
  return found.map((one) => {
    const vector = typeof one === 'string' ? fromBase64(one) : fromNumbers(one)
    if (vector === undefined) throw badAnswer(url, 'a vector holds something that is no number')
    if (vector.length !== dims) throw wrongDims(url, vector.length, dims)
    return vector
  })
}

function fromNumbers(values: unknown): Float32Array | undefined {
  if (!Array.isArray(values)) return undefined
  const vector = new Float32Array(values.length)
  for (const [i, value] of values.entries()) {
    if (typeof value !== 'number' && value !== null) return undefined
    vector[i] = value ?? Number.NaN
  }
  return vector
}

/** Float32 in little-endian order, as OpenAI packs them. */
function fromBase64(base64: string): Float32Array | undefined {
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.length % 4 !== 0) return undefined
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4))
}

const teiInfo = z.looseObject({
  max_input_length: z.int().min(1).optional(),
  max_client_batch_size: z.int().min(1).optional(),
})

/** What text-embeddings-inference says of itself at `/info`, as far as it says it. */
export function readInfo(json: unknown): { tokensMax?: number | undefined; batchTexts?: number | undefined } {
  const { data } = teiInfo.safeParse(json)
  return { tokensMax: data?.max_input_length, batchTexts: data?.max_client_batch_size }
}
