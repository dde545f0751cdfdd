import type {
  ColbertVectors,
  Embedded,
  EmbedOutput,
  Engine,
  Output,
  Priority,
  SparseVector,
  TextKind,
} from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { CountedWords, Lexical } from '@millrace/store'
import { type CleaningOptions, clean } from '@millrace/text'
import { isExternal, needsVectors } from '../external.js'
import { requireSameModel } from '../models.js'
import type { Domain } from '../verbs/domains.js'
import { cacheKey, type QueryCache } from './cache.js'
import { heaviest } from './terms.js'

export interface EmbedDeps {
  readonly engine: Pick<Engine, 'embed' | 'manifest'>
  readonly cache: QueryCache
  /** Of what is embedded. Default: interactive for queries, bulk for the rest. */
  readonly priority?: Priority | undefined
}

/** What a search needs of a query. */
export interface EmbeddedQuery {
  /** As the model read it: cleaned, without the model's instruction. */
  readonly text: string
  /** Unit length. Shared with others who asked the same: leave it as it is. */
  readonly vector: Float32Array
  /** The model's lexical weights, or for a model without them how often each token is in the query. */
  readonly terms?: SparseVector
  readonly colbert?: ColbertVectors
  /** Special tokens included. */
  readonly tokens: number
  /** More than 1: longer than the model takes, and pooled over that many windows. */
  readonly windows: number
}

/** Why one text has no vectors; its neighbours have theirs. */
export interface QueryFailure {
  readonly error: CodedError
}

export type QueryResult = EmbeddedQuery | QueryFailure

/** How texts are made into vectors. */
export interface Encoder {
  readonly model: string
  readonly kind: TextKind
  /** Undefined: texts are taken as they are. */
  readonly cleaning?: Partial<CleaningOptions> | undefined
  /** Default: dense. */
  readonly outputs?: readonly EmbedOutput[] | undefined
  /** Default: interactive for queries, bulk for the rest. */
  readonly priority?: Priority | undefined
}

/**
 * Queries cleaned as the domain's documents are, and embedded as one batch, ahead of bulk work unless told otherwise. A wrong one alone has an
 * error in its place: MISSING_QUERY when it is blank, INVALID_CHARACTER, and those of `Engine.embed`.
 * @throws CodedError DOMAIN_NEEDS_VECTORS, MODEL_CHANGED, UNKNOWN_MODEL, MISSING_OUTPUT, and those of `Engine.load`
 */
export async function embedQueries(
  deps: EmbedDeps,
  domain: Domain,
  queries: readonly string[],
  wishes: Pick<Encoder, 'outputs' | 'priority'> = {},
): Promise<QueryResult[]> {
  requireReader(deps.engine, domain, 'Send vector instead of query')
  return encodeTexts(deps, { ...encoderOf(domain), ...wishes }, queries)
}

/** What sparse is of texts: the weights of the model, or counts. */
export interface Words {
  readonly lexical: Lexical | null
  readonly counted: CountedWords
}

/** What is asked of a model: where it has no weights of words, those of a text are how often it has each. */
export const outputsFor = (outputs: readonly Output[], { lexical, counted }: Words): readonly EmbedOutput[] =>
  outputs.map((output) => (output === 'sparse' && lexical !== 'learned' ? counted : output))

/** How the queries of a domain are read. */
export const encoderOf = (domain: Domain): Encoder => ({
  model: domain.model,
  kind: 'query',
  cleaning: domain.recipe.cleaning.steps,
})

/** @throws CodedError DOMAIN_NEEDS_VECTORS, MODEL_CHANGED, UNKNOWN_MODEL where no text can be read for the domain */
export function requireReader(engine: Pick<Engine, 'manifest'>, domain: Domain, hint: string): void {
  if (isExternal(domain)) throw needsVectors(domain.name, hint)
  requireSameModel(engine, domain.recipe)
}

/**
 * The same for any texts; those that were asked for lately are not computed again.
 * @throws CodedError UNKNOWN_MODEL, MISSING_OUTPUT, and those of `Engine.load`
 */
export async function encodeTexts(
  { engine, cache, priority }: EmbedDeps,
  encoder: Encoder,
  texts: readonly string[],
): Promise<QueryResult[]> {
  const { id: model, revision } = engine.manifest(encoder.model)
  const outputs = [...new Set<EmbedOutput>(encoder.outputs ?? ['dense'])].sort()
  const cleaned = texts.map((text) => readText(text, encoder))
  const good = cleaned.filter((text) => typeof text === 'string')
  const results = await cache.through(
    good.map((text) => cacheKey([model, revision, encoder.kind, outputs, text])),
    (places) =>
      engine.embed({
        model,
        texts: places.map((place) => good[place] ?? ''),
        kind: encoder.kind,
        outputs,
        priority: encoder.priority ?? priority ?? (encoder.kind === 'query' ? 'interactive' : 'bulk'),
      }),
  )
  let next = 0
  return cleaned.map((text) => {
    if (typeof text !== 'string') return { error: text }
    const result = results[next++]
    if (result === undefined) throw new CodedError('INTERNAL', 'The engine returned no vector')
    return 'error' in result ? result : asQuery(text, result)
  })
}

const asQuery = (
  text: string,
  { vector, sparse, terms = sparse, colbert, tokens, windows }: Embedded,
): EmbeddedQuery => ({
  text,
  vector,
  ...(terms === undefined ? {} : { terms: heaviest(terms) }),
  ...(colbert === undefined ? {} : { colbert }),
  tokens,
  windows,
})

/** The text that the model is to read, or why it cannot. */
function readText(text: string, { cleaning, kind }: Encoder): string | CodedError {
  if (!text.isWellFormed()) return badCharacter()
  const cleaned = cleaning === undefined ? text : cleanText(text, cleaning)
  if (kind !== 'query' || cleaned.trim() !== '') return cleaned
  return new CodedError('MISSING_QUERY', 'The query is blank', { hint: 'Write what you look for' })
}

/**
 * A text as those of documents are cleaned.
 * @throws CodedError INVALID_CHARACTER
 */
export function cleanText(text: string, cleaning: Partial<CleaningOptions>): string {
  if (!text.isWellFormed()) throw badCharacter()
  // Front matter is a matter of files: a query that begins with --- is a query.
  return clean(text, { ...cleaning, frontMatter: false, pageHeaders: false }).text
}

const badCharacter = () =>
  new CodedError('INVALID_CHARACTER', 'The text contains half of a surrogate pair', {
    hint: 'Send valid UTF-8',
  })
