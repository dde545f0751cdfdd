import type { Engine } from '@millrace/embed'
import {
  changeDomain,
  createDomain,
  type Domain,
  deleteDomain,
  findDomain,
  isExternal,
  listDomains,
} from '@millrace/flow'
import { countDocuments, type DocumentCounts, NO_DOCUMENTS } from '@millrace/store'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { domainChange, domainDetail, domainIn, domainName, domainOut, problems } from '../schemas.js'

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
      const { storage: _only, ...wishes } = request.body
      const domain = await createDomain(deps, wishes)
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
      const counts = await countDocuments(
        deps.db,
        domains.map((domain) => domain.id),
      )
      return { domains: domains.map((domain) => detail(domain, deps.engine, counts)) }
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
      const counts = await countDocuments(deps.db, [domain.id])
      return detail(domain, deps.engine, counts)
    },
  )
  app.patch(
    '/v1/domains/:name',
    {
      schema: {
        summary: 'Change threshold and levels; what decides vectors cannot be changed',
        tags: ['domains'],
        params: named,
        body: domainChange,
        response: { 200: domainOut, ...problems },
      },
    },
    async (request) => {
      const { storage: _only, ...change } = request.body
      return show(await changeDomain(deps, request.params.name, change), deps.engine)
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

const detail = (domain: Domain, engine: Engine, counts: ReadonlyMap<number, DocumentCounts>) => ({
  ...show(domain, engine),
  documents: { ...(counts.get(domain.id) ?? NO_DOCUMENTS) },
})

function show(domain: Domain, engine: Engine): z.infer<typeof domainOut> {
  const { version: _chunking, ...chunking } = domain.recipe.chunking
  return {
    name: domain.name,
    model: domain.model,
    modelState: stateOf(engine, domain.model),
    dims: domain.dims,
    threshold: domain.threshold,
    levels: domain.levels.map((level) => ({ ...level, name: { ...level.name } })),
    chunking: isExternal(domain) ? null : chunking,
    cleaning: isExternal(domain) ? null : { ...domain.recipe.cleaning.steps },
    storage: domain.storage,
    createdAt: domain.createdAt.toISOString(),
    updatedAt: domain.updatedAt.toISOString(),
  }
}
