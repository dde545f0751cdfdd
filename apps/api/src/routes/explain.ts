import { explain, findDomain, findDomains, type SearchRequest, searchSeveral } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { explainIn, explainOut, severalIn, severalOut } from '../schemas/queries.js'
import { domainName, problems } from '../schemas/shared.js'
import { boundedText, languageOf, showResult } from './search.js'

export const explainRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  const { queryChars } = deps.settings.limits
  const soughtOf = (query: string | undefined, vector: readonly unknown[] | undefined) =>
    vector === undefined ? { query: boundedText(queryChars, 'query', query ?? '') } : { vector }
  app.post(
    '/v1/domains/:name/explain',
    {
      schema: {
        summary: 'Why a document is among the hits of a search, or not',
        tags: ['search'],
        params: z.strictObject({ name: domainName }),
        body: explainIn,
        response: { 200: explainOut, ...problems },
      },
    },
    async (request) => {
      const { documentId, query, vector, ...options } = request.body
      const domain = await findDomain(deps, request.params.name)
      const asked: SearchRequest = { ...options, ...soughtOf(query, vector) }
      // As plain values: what goes out is described by its schema.
      return structuredClone(await explain(deps, domain, asked, documentId)) as z.infer<typeof explainOut>
    },
  )
  app.post(
    '/v1/search',
    {
      schema: {
        summary: 'One query in several domains whose models agree, merged by score',
        tags: ['search'],
        body: severalIn,
        response: { 200: severalOut, ...problems },
      },
    },
    async (request) => {
      const { domains: names, query, vector, ...options } = request.body
      const asked: SearchRequest = { ...options, ...soughtOf(query, vector) }
      const domains = await findDomains(deps, names)
      const { domains: each, ...result } = await searchSeveral(deps, domains, asked)
      const shown = showResult({ ...result, threshold: null, stale: null, warnings: [] }, languageOf(request))
      const { threshold: _threshold, staleThreshold: _stale, warnings: _warnings, ...rest } = shown
      return {
        ...rest,
        hits: shown.hits.map((hit, i) => ({ ...hit, domain: result.hits[i]?.domain ?? '' })),
        domains: each.map(({ name, threshold, stale, warnings }) => ({
          name,
          threshold,
          staleThreshold: stale === null ? null : { ...stale },
          warnings: warnings.map((warning) => ({ ...warning })),
        })),
      }
    },
  )
}
