import { deleteQueries, findDomain, listQueries, queryStats } from '@millrace/flow'
import type { QueryRow } from '@millrace/store'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import {
  type loggedQuery,
  queriesDelete,
  queriesDeleted,
  queriesPage,
  queriesQuery,
  statsOut,
  statsQuery,
} from '../schemas/queries.js'
import { domainName, problems } from '../schemas/shared.js'

const params = z.strictObject({ name: domainName })

export const queryRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.get(
    '/v1/domains/:name/queries',
    {
      schema: {
        summary: 'What was asked, the newest first; kept only when QUERY_LOG says so',
        tags: ['queries'],
        params,
        querystring: queriesQuery,
        response: { 200: queriesPage, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const { queries, cursor } = await listQueries(deps, domain, request.query)
      return {
        queries: queries.map(showQuery),
        cursor,
      }
    },
  )
  app.delete(
    '/v1/domains/:name/queries',
    {
      schema: {
        summary: 'Forgets what was asked: all of it, or one query by its hash',
        tags: ['queries'],
        params,
        querystring: queriesDelete,
        response: { 200: queriesDeleted, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      return { deleted: await deleteQueries(deps, domain, request.query.hash) }
    },
  )
  app.get(
    '/v1/domains/:name/queries/stats',
    {
      schema: {
        summary: 'The usual queries, those without hits, top scores and latency of the last days',
        tags: ['queries'],
        params,
        querystring: statsQuery,
        response: { 200: statsOut, ...problems },
      },
    },
    async (request) => {
      const { days } = request.query
      const domain = await findDomain(deps, request.params.name)
      const stats = await queryStats(deps, domain, days)
      const shown = (queries: typeof stats.usual) =>
        queries.map(({ lastAt, ...query }) => ({ ...query, lastAt: lastAt.toISOString() }))
      return {
        days,
        log: deps.settings.queryLog,
        ...stats,
        usual: shown(stats.usual),
        withoutAnswer: shown(stats.withoutAnswer),
        topScores: Object.fromEntries(
          Object.entries(stats.topScores).map(([kind, bins]) => [kind, bins.map((bin) => ({ ...bin }))]),
        ),
      }
    },
  )
}

const showQuery = (row: QueryRow): z.infer<typeof loggedQuery> => {
  const { id, at, queryHash, embedMs, searchMs, rerankMs, totalMs, filterFields, top, ...query } = row
  return {
    ...query,
    at: at.toISOString(),
    hash: queryHash.toString('hex'),
    filterFields: [...filterFields],
    top: top.map((hit) => ({ ...hit, score: sixDecimals(hit.score) })),
    tookMs: {
      embed: tenths(embedMs),
      search: tenths(searchMs),
      rerank: rerankMs === null ? null : tenths(rerankMs),
      total: tenths(totalMs),
    },
  }
}

/** As hits of a search show it. */
const sixDecimals = (score: number): number => Math.round(score * 1e6) / 1e6
const tenths = (ms: number): number => Math.round(ms * 10) / 10
