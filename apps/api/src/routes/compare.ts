import {
  type ComparedOutcome,
  type ComparedPair,
  comparedPair,
  compareQueries,
  compareSets,
  findDomain,
  type PlacedHit,
  type SearchRequest,
} from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { generationsCompareIn, generationsCompareOut } from '../schemas/compare.js'
import { named } from '../schemas/golden.js'
import { problems } from '../schemas/shared.js'
import { showComparison } from './golden.js'
import { boundedText } from './search.js'

type Body = z.infer<typeof generationsCompareIn>
type Out = z.infer<typeof generationsCompareOut>

export const compareRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.post(
    '/v1/domains/:name/compare',
    {
      schema: {
        summary: 'What two generations of a domain find, side by side: what moved, and why',
        tags: ['generations'],
        params: named,
        body: generationsCompareIn,
        response: { 200: generationsCompareOut, 202: generationsCompareOut, ...problems },
      },
    },
    async (request, reply) => {
      const requests = requestsOf(request.body, deps.settings.limits.queryChars)
      const domain = await findDomain(deps, request.params.name)
      const pair = await comparedPair(deps, domain, request.body.generations)
      const about = aboutOf(pair)
      if (request.body.golden === true) {
        const golden = await compareGoldenSets(deps, pair, request.body)
        return reply.status(golden.state === 'running' ? 202 : 200).send({ ...about, results: [], golden })
      }
      const outcomes = await compareQueries(deps, pair, requests)
      const [only] = outcomes
      if (outcomes.length === 1 && only !== undefined && 'error' in only) throw only.error
      const results = outcomes.map((outcome, n) => showOutcome(requests[n], outcome))
      return { ...about, results, golden: null }
    },
  )
}

/** One for each text or vector; none for a golden set. */
function requestsOf(body: Body, queryChars: number): SearchRequest[] {
  const { query, vector, queries, golden: _golden, generations: _generations, ...options } = body
  if (vector !== undefined) return [{ ...options, vector }]
  const texts = queries ?? (query === undefined ? [] : [query])
  return texts.map((text, n) => ({
    ...options,
    query: boundedText(queryChars, queries === undefined ? 'query' : `queries/${n}`, text),
  }))
}

const aboutOf = ({ a, b, warnings }: ComparedPair): Pick<Out, 'generations' | 'warnings'> => ({
  generations: [a, b].map(({ domain, documents }) => ({
    id: String(domain.generationId),
    state: domain.generationState,
    model: domain.model,
    documents,
  })),
  warnings: warnings.map((warning) => ({ ...warning })),
})

async function compareGoldenSets(
  deps: ApiDeps,
  pair: ComparedPair,
  { k, mode, fusion, rerank, threshold, candidates, efSearch, exact }: Body,
): Promise<NonNullable<Out['golden']>> {
  const wishes = { k, mode, fusion, rerank, threshold, candidates, efSearch, exact }
  const { runs, comparison } = await compareSets(deps, pair, wishes)
  return {
    state: comparison === null ? 'running' : 'finished',
    runs: { a: String(runs.a.id), b: String(runs.b.id) },
    comparison: comparison === null ? null : showComparison(runs.a, runs.b, comparison),
  }
}

function showOutcome(request: SearchRequest | undefined, outcome: ComparedOutcome): Out['results'][number] {
  const query = request !== undefined && 'query' in request ? request.query : null
  if ('error' in outcome) {
    const { code, message, hint } = outcome.error
    return { query, error: { code, message, ...(hint === undefined ? {} : { hint }) } }
  }
  const moved = { same: 0, up: 0, down: 0, other: 0, new: 0, gone: 0 }
  for (const { move } of outcome.rows) moved[move]++
  return {
    query,
    a: { ...outcome.a },
    b: { ...outcome.b },
    moved,
    rows: outcome.rows.map(({ documentId, title, move, a, b, why }) => ({
      documentId,
      title,
      move,
      a: a === null ? null : showPlaced(a),
      b: b === null ? null : showPlaced(b),
      why: why.map((reason) => ({ ...reason })),
    })),
  }
}

const TEXT_CHARS = 300
const rounded = (score: number): number => Math.round(score * 1e6) / 1e6

const showPlaced = ({ rank, chunk, start, end, text, score, rankedBy, scores, level }: PlacedHit) => ({
  rank,
  chunk,
  start,
  end,
  text: text.slice(0, TEXT_CHARS).toWellFormed(),
  score: rounded(score),
  rankedBy,
  scores: Object.fromEntries(Object.entries(scores).map(([kind, value]) => [kind, rounded(value)])),
  level,
})
