import { findDomain, type GateReport, lastGate, runGate } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { gateOut, gateQuery, generationNamed } from '../schemas/gate.js'
import { problems } from '../schemas/shared.js'

const GATE = '/v1/domains/:name/generations/:id/gate'

export const gateRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.get(
    GATE,
    {
      schema: {
        summary: 'What came of the gate of a generation last; runs nothing',
        tags: ['generations'],
        params: generationNamed,
        response: { 200: gateOut, ...problems },
      },
    },
    async (request) => {
      const { name, id } = request.params
      const { settings, report } = await lastGate(deps, await findDomain(deps, name), id)
      return show(settings, report)
    },
  )
  app.post(
    GATE,
    {
      schema: {
        summary:
          'Whether a generation finds as well as the live one; 202 while a golden set of more than 200 questions is asked',
        tags: ['generations'],
        params: generationNamed,
        querystring: gateQuery,
        response: { 200: gateOut, 202: gateOut, ...problems },
      },
    },
    async (request, reply) => {
      const { name, id } = request.params
      const { fresh } = request.query
      const report = await runGate(deps, await findDomain(deps, name), id, { fresh })
      return reply.status(report.state === 'running' ? 202 : 200).send(show(report.settings, report))
    },
  )
}

/** As plain values: what goes out is described by its schema, which leaves out what is not. */
const show = (settings: GateReport['settings'], report: GateReport | null) =>
  structuredClone({ settings, report }) as unknown as z.infer<typeof gateOut>
