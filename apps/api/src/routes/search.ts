import type { Level } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { findDomain, missingText, search, similarity } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { domainName, problems, searchIn, searchOut, similarityIn, similarityOut } from '../schemas.js'

export const searchRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  const { queryChars } = deps.settings.limits
  const bounded = (field: string, text: string): string => {
    if (text.length <= queryChars) return text
    throw new CodedError(
      'INVALID_REQUEST',
      `${field} has ${text.length} characters, the limit is ${queryChars}`,
      {
        hint: 'Ask with a shorter text',
        details: [{ path: field, value: text.length }],
      },
    )
  }
  app.post(
    '/v1/domains/:name/search',
    {
      schema: {
        summary: 'The K chunks nearest in meaning, best first, none below the threshold',
        tags: ['search'],
        params: z.strictObject({ name: domainName }),
        body: searchIn,
        response: { 200: searchOut, ...problems },
      },
    },
    async (request) => {
      const { query, vector, k, threshold, filter, mode } = request.body
      const domain = await findDomain(deps, request.params.name)
      const sought = vector === undefined ? { query: bounded('query', query ?? '') } : { vector }
      const found = await search(deps, domain, { ...sought, k, threshold, filter })
      const language = languageOf(request)
      const hits = found.hits.map(({ level, metadata, similarity: exact, headings, ...hit }) => ({
        ...hit,
        headings: [...headings],
        similarity: Math.round(exact * SIMILARITY_SCALE) / SIMILARITY_SCALE,
        metadata: { ...metadata },
        level: level.name[language],
        levelKey: level.key,
      }))
      return { hits, model: found.model, threshold: found.threshold, mode, tookMs: found.tookMs }
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
      const { text_a, text_b, domain: name } = request.body
      if (text_a == null || text_b == null) throw missingText()
      const texts = { a: bounded('text_a', text_a), b: bounded('text_b', text_b) }
      const domain = name === undefined ? undefined : await findDomain(deps, name)
      const by = domain === undefined ? { model: deps.defaultModel } : { domain }
      const { level, ...found } = await similarity(deps, texts, by)
      const levels = domain?.levels ?? deps.engine.manifest(deps.defaultModel).levels
      return { ...found, level: level.name[languageOf(request)], levelKey: level.key, levels: copy(levels) }
    },
  )
}

/** Six decimals: what a float32 holds of a number near 1. */
const SIMILARITY_SCALE = 1e6

const copy = (levels: readonly Level[]) => levels.map((level) => ({ ...level, name: { ...level.name } }))

/** Chinese unless the caller asks for English first. */
const languageOf = (request: { language(of: string[]): string | false }): 'zh' | 'en' =>
  request.language(['zh', 'en']) === 'en' ? 'en' : 'zh'
