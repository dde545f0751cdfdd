import {
  changeGeneration,
  type Generation,
  type GenerationPlan,
  getGeneration,
  listGenerations,
  openRates,
  planNext,
  startGeneration,
} from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { oneAtATime } from '../alone.js'
import type { ApiDeps } from '../deps.js'
import {
  generationChange,
  generationIn,
  generationOut,
  oneGeneration,
  planOut,
} from '../schemas/generations.js'
import { domainName, problems } from '../schemas/shared.js'

const named = z.strictObject({ name: domainName })

export const generationRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, api) => {
  const deps = { ...api, rates: openRates() }
  const plan = oneAtATime(
    'Another plan of a generation is being made',
    'Try again when that one is done, half a minute at most',
  )
  app.post(
    '/v1/domains/:name/generations',
    {
      schema: {
        summary: 'Build another generation of a domain beside the live one, or say what it would take',
        description:
          'What is left out stays as it is. With dryRun the answer is 200 and the plan, and nothing is written.',
        tags: ['generations'],
        params: named,
        body: generationIn,
        response: { 200: planOut, 201: generationOut, ...problems },
      },
    },
    async (request, reply) => {
      const { dryRun, ...wishes } = request.body
      const { name } = request.params
      if (dryRun === true) return showPlan(await plan(() => planNext(deps, name, wishes)))
      const generation = await startGeneration(deps, name, wishes)
      return reply.status(201).send(showGeneration(generation))
    },
  )
  app.get(
    '/v1/domains/:name/generations',
    {
      schema: {
        summary: 'The generations of a domain, newest first; those that have ended too',
        tags: ['generations'],
        params: named,
        response: { 200: z.object({ generations: z.array(generationOut) }), ...problems },
      },
    },
    async (request) => {
      const generations = await listGenerations(deps, request.params.name)
      return { generations: generations.map(showGeneration) }
    },
  )
  app.get(
    '/v1/domains/:name/generations/:id',
    {
      schema: {
        summary: 'A generation, and how far its build is',
        tags: ['generations'],
        params: oneGeneration,
        response: { 200: generationOut, ...problems },
      },
    },
    async ({ params: { name, id } }) => showGeneration(await getGeneration(deps, name, id)),
  )
  app.patch(
    '/v1/domains/:name/generations/:id',
    {
      schema: {
        summary: 'Change how a generation is built, takes over and stays',
        description: 'Of a retired one: weight, paused, soakSeconds (its own) and keepUpToDate.',
        tags: ['generations'],
        params: oneGeneration,
        body: generationChange,
        response: { 200: generationOut, ...problems },
      },
    },
    async ({ params: { name, id }, body }) => showGeneration(await changeGeneration(deps, name, id, body)),
  )
  for (const [action, summary, paused] of [
    ['pause', 'Stop building a generation for a while; what is done stays', true],
    ['resume', 'Go on building a generation', false],
  ] as const) {
    app.post(
      `/v1/domains/:name/generations/:id/${action}`,
      {
        schema: {
          summary,
          description: paused
            ? 'Workers finish what they have in hand. Saying it twice changes nothing.'
            : 'Saying it twice changes nothing.',
          tags: ['generations'],
          params: oneGeneration,
          response: { 200: generationOut, ...problems },
        },
      },
      async ({ params: { name, id } }) => showGeneration(await changeGeneration(deps, name, id, { paused })),
    )
  }
}

/** The same with lists that may be written to, as the schema's type has them. */
export const showGeneration = (generation: Generation): z.infer<typeof generationOut> => ({
  ...generation,
  recipe: { ...generation.recipe },
  outputs: [...generation.outputs],
  errors: generation.errors.map((error) => ({ ...error, example: { ...error.example } })),
  gate: { ...generation.gate },
  gated: generation.gated && { ...generation.gated },
  forced: generation.forced && { ...generation.forced },
})

const showPlan = (plan: GenerationPlan): z.infer<typeof planOut> => ({
  ...plan,
  changes: [...plan.changes],
  adapted: plan.adapted.map((one) => ({ ...one })),
})
