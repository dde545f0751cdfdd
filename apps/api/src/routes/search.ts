import type { Level } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  explainSearch,
  findDomain,
  missingText,
  type SearchHit,
  type SearchOutcome,
  type SearchRequest,
  type SearchResult,
  type SimilarityExplanation,
  searchGeneration,
  searchNamed,
  similarity,
} from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import {
  type hitOut,
  k,
  type resultOut,
  searchIn,
  searchOut,
  similarityIn,
  similarityOut,
} from '../schemas/search.js'
import { domainName, problems } from '../schemas/shared.js'

export const searchRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  const { queryChars } = deps.settings.limits
  const bounded = (field: string, text: string): string => boundedText(queryChars, field, text)
  app.post(
    '/v1/domains/:name/search',
    {
      // The answer is made field by field below: comparing it with the schema again took longer than writing it.
      serializerCompiler: () => JSON.stringify,
      schema: {
        summary: 'The K chunks that fit best, by meaning, words or both, none below the threshold',
        tags: ['search'],
        params: z.strictObject({ name: domainName }),
        body: searchIn,
        response: { 200: searchOut, ...problems },
      },
    },
    async (request) => {
      const language = languageOf(request)
      const { name } = request.params
      const { query, vector, queries, explain, generation, ...options } = request.body
      const search: typeof searchNamed = (deps, name, requests, shared) =>
        generation === undefined
          ? searchNamed(deps, name, requests, shared)
          : searchGeneration(deps, { name, generation }, requests, shared)
      if (queries !== undefined) {
        const asked = queries.map((one, i) => requestOf(options, one, `queries/${i}`, bounded))
        const { outcomes } = await search(deps, name, asked.filter(isRequest), options)
        const next = outcomes.values()
        const results = asked.flatMap((one) => (isRequest(one) ? (next.next().value ?? []) : one))
        return { results: results.map((outcome) => showOutcome(outcome, language)) }
      }
      const asked =
        vector === undefined ? { ...options, query: bounded('query', query ?? '') } : { ...options, vector }
      const { domain, outcomes } = await search(deps, name, [asked])
      const [outcome] = outcomes
      if (outcome === undefined) throw new CodedError('INTERNAL', 'The search came to nothing')
      if ('error' in outcome) throw outcome.error
      const shown = showSearched(outcome, language)
      if (explain !== true) return shown
      const { isCompared, exactRanks, missed } = await explainSearch(deps, domain, asked, outcome)
      return {
        ...shown,
        explain: { isCompared, exactRanks: [...exactRanks], missed: missed.map((one) => ({ ...one })) },
      }
    },
  )
  app.post(
    '/similarity',
    {
      schema: {
        summary: 'How near two texts are in meaning',
        tags: ['search'],
        body: similarityIn,
        response: { 200: similarityOut, ...problems },
      },
    },
    async (request) => {
      const { text_a, text_b, domain: name, explain } = request.body
      if (text_a == null || text_b == null) throw missingText()
      const texts = { a: bounded('text_a', text_a), b: bounded('text_b', text_b) }
      const domain = name === undefined ? undefined : await findDomain(deps, name)
      const by = domain === undefined ? { model: deps.defaultModel } : { domain }
      const { level, explain: explained, ...found } = await similarity(deps, texts, by, { explain })
      const levels = domain?.levels ?? deps.engine.manifest(deps.defaultModel).levels
      return {
        ...found,
        level: level.name[languageOf(request)],
        levelKey: level.key,
        levels: copy(levels),
        ...(explained === undefined ? {} : { explain: showExplained(explained) }),
      }
    },
  )
}

type Options = Omit<z.infer<typeof searchIn>, 'query' | 'vector' | 'queries' | 'explain' | 'generation'>
type Queries = NonNullable<z.infer<typeof searchIn>['queries']>

/** One of several searches, with what is said for all; or what is wrong with it alone. */
function requestOf(
  options: Options,
  one: Queries[number],
  field: string,
  bounded: (field: string, text: string) => string,
): SearchRequest | { readonly error: CodedError } {
  const { query, vector, ...own }: Exclude<Queries[number], string> =
    typeof one === 'string' ? { query: one } : one
  const said = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined))
  try {
    if (own.k !== undefined) boundedK(`${field}/k`, own.k)
    return vector === undefined
      ? { ...options, ...said, query: bounded(field, query ?? '') }
      : { ...options, ...said, vector }
  } catch (error) {
    if (error instanceof CodedError) return { error }
    throw error
  }
}

const isRequest = (one: SearchRequest | { readonly error: CodedError }): one is SearchRequest =>
  !('error' in one)

/** @throws CodedError INVALID_REQUEST */
function boundedK(field: string, value: unknown): void {
  const { success, error } = k.safeParse(value)
  if (success) return
  throw new CodedError('INVALID_REQUEST', `${field}: ${error.issues[0]?.message}`, {
    hint: `k is a whole number from 1 to ${k.maxValue}`,
    details: [{ path: field, value }],
  })
}

/** @throws CodedError INVALID_REQUEST for a text that is longer than queries may be */
export function boundedText(charsMax: number, field: string, text: string): string {
  if (text.length <= charsMax) return text
  throw new CodedError(
    'INVALID_REQUEST',
    `${field} has ${text.length} characters, the limit is ${charsMax}`,
    {
      hint: 'Ask with a shorter text',
      details: [{ path: field, value: text.length }],
    },
  )
}

function showOutcome(outcome: SearchOutcome, language: Language) {
  if (!('error' in outcome)) return showSearched(outcome, language)
  const { code, message, hint } = outcome.error
  return { error: { code, message, ...(hint === undefined ? {} : { hint }) } }
}

const showSearched = (result: SearchResult, language: Language): z.infer<typeof resultOut> => {
  return { ...showResult(result, language), generation: result.generation }
}

/** A result as it goes out: what only the next step needs stays here. */
export function showResult(
  result: Omit<SearchResult, 'generation'>,
  language: Language,
): Omit<z.infer<typeof resultOut>, 'generation'> {
  const { hits, stale, warnings, ...rest } = result
  return {
    ...rest,
    staleThreshold: stale === null ? null : { ...stale },
    warnings: warnings.map((warning) => ({ ...warning })),
    hits: hits.map(showHit(language)),
  }
}

/** Field by field: what is not named here stays here, also where nobody compares it with the schema. */
const showHit =
  (language: Language) =>
  (hit: SearchHit): z.infer<typeof hitOut> => ({
    documentId: hit.documentId,
    title: hit.title,
    chunk: hit.chunk,
    start: hit.start,
    end: hit.end,
    text: hit.text,
    similarity: hit.similarity === null ? null : rounded(hit.similarity),
    score: rounded(hit.score),
    rankedBy: hit.rankedBy,
    scores: Object.fromEntries(Object.entries(hit.scores).map(([kind, score]) => [kind, rounded(score)])),
    level: hit.level === null ? null : hit.level.name[language],
    levelKey: hit.level === null ? null : hit.level.key,
    metadata: { ...hit.metadata },
    headings: [...hit.headings],
    place: hit.place,
    parent: hit.parent,
  })

/** Six decimals: what a float32 holds of a number near 1. */
const SCORE_SCALE = 1e6
const rounded = (score: number): number => Math.round(score * SCORE_SCALE) / SCORE_SCALE

function showExplained({ scores, lexical, a, b, matches }: SimilarityExplanation) {
  const orNull = (score: number | null) => (score === null ? null : rounded(score))
  return {
    scores: {
      dense: rounded(scores.dense),
      sparse: orNull(scores.sparse),
      colbert: orNull(scores.colbert),
    },
    lexical,
    a: { text: a.text, tokens: [...a.tokens] },
    b: { text: b.text, tokens: [...b.tokens] },
    matches: matches.map((match) => ({
      token: match.token,
      weight: rounded(match.weight),
      a: [...match.a],
      b: [...match.b],
    })),
  }
}

const copy = (levels: readonly Level[]) => levels.map((level) => ({ ...level, name: { ...level.name } }))

export type Language = 'zh' | 'en'

/** Chinese unless the caller asks for English first. */
export const languageOf = (request: { language(of: string[]): string | false }): Language =>
  request.language(['zh', 'en']) === 'en' ? 'en' : 'zh'
