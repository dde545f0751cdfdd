import {
  cancelGeneration,
  carryBandsOf,
  rollbackGeneration,
  type SwitchDeps,
  switchGate,
  switchGeneration,
} from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { generationNamed } from '../schemas/gate.js'
import { domainName, problems } from '../schemas/shared.js'
import { cancelOut, nothingIn, switchIn, switchOut } from '../schemas/switch.js'

const OF_DOMAIN = '/v1/domains/:name/generations'

export const switchRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  const switching: SwitchDeps = { ...deps, gate: switchGate(deps), carryBands: carryBandsOf(deps) }
  app.post(
    `${OF_DOMAIN}/:id/switch`,
    {
      schema: {
        summary: 'Make a generation the live one: one that is built, or the retired one again',
        tags: ['generations'],
        params: generationNamed,
        body: switchIn,
        response: { 200: switchOut, ...problems },
      },
    },
    async (request) => {
      const { name, id } = request.params
      return switchGeneration(switching, name, id, { force: request.body?.force })
    },
  )
  app.post(
    `${OF_DOMAIN}/rollback`,
    {
      schema: {
        summary: 'Make the generation that was live before the live one again',
        tags: ['generations'],
        params: z.strictObject({ name: domainName }),
        body: nothingIn,
        response: { 200: switchOut, ...problems },
      },
    },
    async (request) => rollbackGeneration(switching, request.params.name),
  )
  app.post(
    `${OF_DOMAIN}/:id/cancel`,
    {
      schema: {
        summary: 'End a generation that is being built',
        tags: ['generations'],
        params: generationNamed,
        body: nothingIn,
        response: { 200: cancelOut, ...problems },
      },
    },
    async (request) => cancelGeneration(deps, request.params.name, request.params.id),
  )
}
