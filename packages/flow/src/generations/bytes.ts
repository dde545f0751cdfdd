import { type Form, indexForm, type RowBytes, vectorBytes } from '@millrace/store'
import type { Wanted } from './wanted.js'

/** What a generation is going to have. */
export interface Volume {
  readonly chunks: number
  readonly tokens: number
}

/** Of the entries of a chunk in the indexes over chunks. */
const CHUNK_KEYS = 110
/** Of a chunk: what its row has beside its text, and of a text that was not measured the bytes of a token. */
const CHUNK_ROW = 140
const TOKEN_TEXT = 5
/** Different terms of a text, a token; and of a term its id, its weight and its place in the index. */
const TERMS_A_TOKEN = 0.6
const TERM_BYTES = 4 + 8 + 6
const ROW_BYTES = 100

/**
 * What a generation takes on disk, about: of its own rows what the live one's take on an average, by tokens, of others what
 * their form says.
 * @param indexed whether it will have an HNSW index
 */
export function estimateBytes(
  wanted: Pick<Wanted, 'storage' | 'dims' | 'index' | 'outputs' | 'lexical'>,
  volume: Volume,
  live: Volume & { readonly rows: RowBytes; readonly lexical: Wanted['lexical'] },
  indexed: boolean,
): number {
  const { chunks, tokens } = volume
  if (chunks === 0) return 0
  const each = tokens / chunks
  const stretch = live.tokens > 0 ? each / (live.tokens / live.chunks) : 1
  const form: Form = { storage: wanted.storage, dims: wanted.dims }
  const chunk = live.rows.chunk === null ? CHUNK_ROW + TOKEN_TEXT * each : live.rows.chunk * stretch
  const parts = [
    chunk + CHUNK_KEYS,
    vectorBytes(form),
    indexed ? (indexForm({ ...form, m: wanted.index.m })?.bytes ?? 0) : 0,
    wanted.outputs.includes('sparse')
      ? termsBytes(each, wanted.lexical === live.lexical ? live.rows.terms : null, stretch)
      : 0,
    wanted.outputs.includes('colbert')
      ? live.rows.colbert === null
        ? ROW_BYTES + each * Math.ceil(wanted.dims / 8)
        : live.rows.colbert * stretch
      : 0,
  ]
  return Math.round(chunks * parts.reduce((sum, bytes) => sum + bytes, 0))
}

const termsBytes = (tokens: number, measured: number | null, stretch: number): number =>
  measured === null ? ROW_BYTES + TERM_BYTES * TERMS_A_TOKEN * tokens : measured * stretch
