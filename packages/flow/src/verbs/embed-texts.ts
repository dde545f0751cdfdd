import { type Output, termsLiteral, vectorLiteral } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { Lexical } from '@millrace/store'
import {
  type EmbedDeps,
  type Encoder,
  encoderOf,
  encodeTexts,
  outputsFor,
  type QueryResult,
  requireReader,
  type Words,
} from '../search/query.js'
import type { Domain } from './domains.js'

export interface EmbedWishes {
  readonly texts: readonly string[]
  readonly kind: 'query' | 'document'
  /** Default: dense. */
  readonly outputs?: readonly Output[] | undefined
}

export interface EmbeddedTexts {
  readonly model: string
  readonly revision: string
  readonly dims: number
  /** In the order of the texts. */
  readonly texts: readonly QueryResult[]
}

/** Characters of all texts together when a vector a token is wanted: some 4,000 tokens of English, 40 MB of JSON. */
export const COLBERT_CHARS_MAX = 16_384

/**
 * Texts as vectors, for whoever searches in SQL: with a domain cleaned as its documents are and by its model, else taken
 * as they are. A wrong text has an error in its place.
 * @throws CodedError UNKNOWN_MODEL, DOMAIN_NEEDS_VECTORS, MODEL_CHANGED, MISSING_OUTPUT, INVALID_REQUEST for more
 * characters than vectors a token are given for
 */
export async function embedTexts(
  deps: EmbedDeps,
  by: { readonly domain: Domain } | { readonly model: string },
  { texts, kind, outputs = ['dense'] }: EmbedWishes,
): Promise<EmbeddedTexts> {
  if ('domain' in by) requireReader(deps.engine, by.domain, 'Name a model instead of the domain')
  const encoder: Encoder = 'domain' in by ? encoderOf(by.domain) : { model: by.model, kind }
  const { id: model, revision, dims, outputs: given } = deps.engine.manifest(encoder.model)
  const chars = texts.reduce((sum, text) => sum + text.length, 0)
  if (outputs.includes('colbert') && chars > COLBERT_CHARS_MAX) {
    throw new CodedError(
      'INVALID_REQUEST',
      `The texts have ${chars} characters, with a vector a token the limit is ${COLBERT_CHARS_MAX}`,
      { hint: 'Send fewer or shorter texts a call, or leave colbert out', details: { characters: chars } },
    )
  }
  const lexical = given.includes('sparse') ? 'learned' : 'bm25'
  const wanted = outputsFor(
    outputs,
    'domain' in by ? wordsOf(by.domain, lexical) : { lexical, counted: 'terms' },
  )
  const encoded = await encodeTexts(deps, { ...encoder, kind, outputs: wanted }, texts)
  return { model, revision, dims, texts: encoded }
}

/** A domain that keeps no terms has those of a new one. */
const wordsOf = ({ lexical, counted }: Domain, own: Lexical): Words =>
  lexical === null ? { lexical: own, counted: 'terms' } : { lexical, counted }

/** What a statement takes for a query: the values of `vector` and `sparsevec`, as text. */
export const sqlLiterals = ({ vector, terms }: Exclude<QueryResult, { error: CodedError }>) => ({
  ...(vector.length === 0 ? {} : { vector: vectorLiteral(vector) }),
  ...(terms === undefined ? {} : { terms: termsLiteral(terms) }),
})
