import { shortFloat } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { type EmbeddedQuery, embedTexts, findDomain, type QueryResult, sqlLiterals } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { ApiDeps } from '../deps.js'
import { embedIn, embedOut } from '../schemas/queries.js'
import { problems } from '../schemas/shared.js'

export const embedRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  const { queryChars } = deps.settings.limits
  app.post(
    '/v1/embed',
    {
      schema: {
        summary: 'Vectors of texts, for queries in SQL',
        tags: ['search'],
        body: embedIn,
        response: { 200: embedOut, ...problems },
      },
    },
    async (request) => {
      const { texts, model, domain, kind, outputs, sql } = request.body
      for (const [i, { length }] of texts.entries()) {
        if (length > queryChars) throw tooLong(`texts[${i}]`, length, queryChars)
      }
      const by =
        domain === undefined
          ? { model: model ?? deps.defaultModel }
          : { domain: await findDomain(deps, domain) }
      const embedded = await embedTexts(deps, by, { texts, kind, outputs })
      return { ...embedded, texts: embedded.texts.map((result) => show(result, sql)) }
    },
  )
}

const tooLong = (path: string, length: number, limit: number) =>
  new CodedError('INVALID_REQUEST', `${path} has ${length} characters, the limit is ${limit}`, {
    hint: 'Send a shorter text; QUERY_CHARS_MAX is the setting',
    details: [{ path, value: length }],
  })

function show(result: QueryResult, sql: boolean) {
  if ('error' in result) {
    const { code, message, hint } = result.error
    return { error: { code, message, ...(hint === undefined ? {} : { hint }) } }
  }
  const { tokens, windows } = result
  return { tokens, windows, ...numbersOf(result), ...(sql ? { sql: sqlLiterals(result) } : {}) }
}

const numbersOf = ({ vector, terms, colbert }: EmbeddedQuery) => ({
  ...(vector.length === 0 ? {} : { dense: Array.from(vector, shortFloat) }),
  ...(terms === undefined
    ? {}
    : {
        sparse: Object.fromEntries(
          Array.from(terms.ids, (id, i) => [String(id), shortFloat(terms.weights[i] ?? 0)]),
        ),
      }),
  ...(colbert === undefined
    ? {}
    : {
        colbert: Array.from({ length: colbert.count }, (_, row) =>
          Array.from(colbert.values.subarray(row * colbert.dims, (row + 1) * colbert.dims), shortFloat),
        ),
      }),
})
