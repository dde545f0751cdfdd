import {
  type CarriedItem,
  type CarriedThresholds,
  carryThresholds,
  decideThresholds,
  findDomain,
} from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import { oneAtATime } from '../alone.js'
import type { ApiDeps } from '../deps.js'
import { carryIn, carryOut, carryQuery } from '../schemas/carry.js'
import { generationNamed } from '../schemas/gate.js'
import { problems } from '../schemas/shared.js'

const THRESHOLDS = '/v1/domains/:name/generations/:id/thresholds'

export const carryRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  const alone = oneAtATime(
    'Thresholds of another generation are being measured',
    'Try again when that is done, two minutes at most',
  )
  app.get(
    THRESHOLDS,
    {
      schema: {
        summary: 'What the thresholds and levels of the live generation are under one that is built',
        tags: ['generations'],
        params: generationNamed,
        querystring: carryQuery,
        response: { 200: carryOut, ...problems },
      },
    },
    async (request) => {
      const { name, id } = request.params
      const domain = await findDomain(deps, name)
      return show(await carryThresholds(deps, domain, id, { fresh: request.query.fresh, alone }))
    },
  )
  app.put(
    THRESHOLDS,
    {
      schema: {
        summary: 'Accept or replace thresholds and levels, which hold from the switch on',
        tags: ['generations'],
        params: generationNamed,
        body: carryIn,
        response: { 200: carryOut, ...problems },
      },
    },
    async (request) => {
      const { name, id } = request.params
      const domain = await findDomain(deps, name)
      return show(await decideThresholds(deps, domain, id, request.body, { alone }))
    },
  )
}

const show = ({ isSame, items, notes, ...rest }: CarriedThresholds): z.infer<typeof carryOut> => ({
  ...rest,
  same: isSame,
  items: items.map(showItem),
  notes: [...notes],
})

function showItem(item: CarriedItem): z.infer<typeof carryOut>['items'][number] {
  const { evidence, decidedAt, madeAt, fromGeneration: _from, recipe: _recipe, ...rest } = item
  return {
    ...rest,
    ...(structuredClone(evidence) as unknown as Pick<
      z.infer<typeof carryOut>['items'][number],
      'pairs' | 'above'
    >),
    decidedAt: decidedAt?.toISOString() ?? null,
    measuredAt: madeAt.toISOString(),
  }
}
