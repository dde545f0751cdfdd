import type { Engine } from '@millrace/embed'
import {
  type Besides,
  bandOf,
  besidesOf,
  changeDomain,
  createDomain,
  type Domain,
  deleteDomain,
  EF_SEARCH_DEFAULT,
  findDomain,
  isExternal,
  listDomains,
  type MadeWith,
  madeWith,
  NO_BESIDES,
  SCORE_KINDS,
  staleBands,
} from '@millrace/flow'
import { countDocuments, type DocumentCounts, NO_DOCUMENTS } from '@millrace/store'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { domainChange, domainDetail, domainIn, domainOut } from '../schemas/domains.js'
import { domainName, problems } from '../schemas/shared.js'

const named = z.strictObject({ name: domainName })

export const domainRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.post(
    '/v1/domains',
    {
      schema: {
        summary: 'Create a domain',
        tags: ['domains'],
        body: domainIn,
        response: { 201: domainOut, ...problems },
      },
    },
    async (request, reply) => {
      const domain = await createDomain(deps, request.body)
      return reply.status(201).send(show(domain, deps.engine))
    },
  )
  app.get(
    '/v1/domains',
    {
      schema: {
        summary: 'List the domains',
        tags: ['domains'],
        response: { 200: z.object({ domains: z.array(domainDetail) }), ...problems },
      },
    },
    async () => {
      const domains = await listDomains(deps)
      const ids = domains.map((domain) => domain.id)
      const [counts, besides] = [await countDocuments(deps.db, ids), await besidesOf(deps.db, ids)]
      return { domains: domains.map((domain) => detail(domain, deps.engine, { counts, besides })) }
    },
  )
  app.get(
    '/v1/domains/:name',
    {
      schema: {
        summary: 'A domain, its settings and its documents by state',
        tags: ['domains'],
        params: named,
        response: { 200: domainDetail, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const ids = [domain.id]
      const [counts, besides] = [await countDocuments(deps.db, ids), await besidesOf(deps.db, ids)]
      return detail(domain, deps.engine, { counts, besides })
    },
  )
  app.patch(
    '/v1/domains/:name',
    {
      schema: {
        summary: 'Change thresholds, levels, search and index; what decides vectors cannot be changed',
        tags: ['domains'],
        params: named,
        body: domainChange,
        response: { 200: domainOut, ...problems },
      },
    },
    async (request) => {
      return show(await changeDomain(deps, request.params.name, request.body), deps.engine)
    },
  )
  app.delete(
    '/v1/domains/:name',
    {
      schema: {
        summary: 'Delete a domain with all its documents and vectors',
        tags: ['domains'],
        params: named,
        response: { 204: z.null(), ...problems },
      },
    },
    async (request, reply) => {
      await deleteDomain(deps, request.params.name)
      return reply.status(204).send(null)
    },
  )
}

/** A model whose files have gone since is absent. Where vectors are brought, there is none to load. */
export function stateOf(engine: Engine, id: string) {
  if (isExternal({ model: id })) return 'ready'
  return engine.models().some((model) => model.id === id) ? engine.state(id) : 'absent'
}

interface Beside {
  readonly counts: ReadonlyMap<number, DocumentCounts>
  readonly besides: ReadonlyMap<number, Besides>
}

const detail = (domain: Domain, engine: Engine, { counts, besides }: Beside) => ({
  ...show(domain, engine),
  documents: { ...(counts.get(domain.id) ?? NO_DOCUMENTS) },
  ...(besides.get(domain.id) ?? NO_BESIDES),
})

function show(domain: Domain, engine: Engine): z.infer<typeof domainOut> {
  const { version: _chunking, ...chunking } = domain.recipe.chunking
  const { fusion } = domain.search
  const made = madeWith(engine, domain)
  return {
    name: domain.name,
    generation: { id: String(domain.generationId), state: domain.generationState },
    model: domain.model,
    modelState: stateOf(engine, domain.model),
    dims: domain.dims,
    threshold: domain.threshold,
    levels: domain.levels.map((level) => ({ ...level, name: { ...level.name } })),
    chunking: isExternal(domain) ? null : chunking,
    cleaning: isExternal(domain) ? null : { ...domain.recipe.cleaning.steps },
    storage: domain.storage,
    outputs: [...domain.outputs],
    lexical: domain.lexical,
    index: {
      ...domain.index,
      efSearch: domain.search.efSearch ?? EF_SEARCH_DEFAULT,
      candidates: domain.search.candidates ?? null,
    },
    search: {
      mode: domain.search.mode ?? 'dense',
      fusion: typeof fusion === 'object' ? { ...fusion } : (fusion ?? null),
      rerank: domain.search.rerank == null ? null : { ...domain.search.rerank },
    },
    scores: otherScores(domain, made),
    staleThresholds: staleBands(domain, made).map((stale) => ({ ...stale })),
    createdAt: domain.createdAt.toISOString(),
    updatedAt: domain.updatedAt.toISOString(),
  }
}

/** Threshold and levels of other scores than dense, where some were set. */
function otherScores(domain: Domain, made: MadeWith): z.infer<typeof domainOut>['scores'] {
  return Object.fromEntries(
    SCORE_KINDS.flatMap((kind) => {
      const band = kind === 'dense' ? undefined : bandOf(domain, kind, made)
      if (band === undefined) return []
      const levels = band.levels?.map((level) => ({ ...level, name: { ...level.name } })) ?? null
      return [[kind, { threshold: band.threshold, levels }]]
    }),
  )
}
