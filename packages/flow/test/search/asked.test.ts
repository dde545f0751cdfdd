import type { EmbedRequest, Engine } from '@millrace/embed'
import { type Domain, openQueryCache, recipeOf } from '@millrace/flow'
import { beginReading, goOnReading } from '@millrace/flow/search/asked'
import { expect, test } from 'vitest'
import { MINILM, manifestOf } from '../models.js'

const manifest = manifestOf(MINILM)
const known = {
  name: 'd',
  model: MINILM,
  dims: 2,
  recipe: recipeOf(manifest, {}),
  recipeHash: 'one',
  lexical: 'bm25',
  search: {},
  bands: [{ score: 'dense', recipe: 'one', threshold: 0.3, levels: null, chosen: true }],
} as unknown as Domain
const REQUESTS = [{ query: 'lost parcel', k: 3 }]

/** Nothing is kept, so that only what was begun can spare a call. */
function openFake() {
  const calls: EmbedRequest[] = []
  const engine = {
    manifest: () => manifest,
    embed: async (request: EmbedRequest) => {
      calls.push(request)
      return request.texts.map(() => ({
        vector: Float32Array.of(0, 1),
        tokens: 1,
        windows: 1,
        truncated: false,
      }))
    },
  } as unknown as Engine
  return { calls, engine, cache: openQueryCache({ entries: 0 }) }
}

/** The calls of an engine when searches were begun with the domain as it was known, and go on with what it is. */
async function goOn(change: Partial<Domain>) {
  const { calls, ...deps } = openFake()
  const begun = beginReading(deps, known, REQUESTS)
  await begun.asked
  const reading = goOnReading(deps, { ...known, ...change }, REQUESTS, begun)
  return { calls, reading, ...(await reading.asked) }
}

test('a query that was read for the domain as it was known is not read again, and what the domain is decides', async () => {
  const bands = [{ ...known.bands[0], threshold: 0.8 }] as Domain['bands']
  const { calls, reading, asked } = await goOn({ bands })
  expect(calls).toHaveLength(1)
  expect(asked).toMatchObject([{ text: 'lost parcel', query: { tokens: 1 } }])
  expect(reading.plans).toMatchObject([{ threshold: 0.8 }])
})

test.each<[string, Partial<Domain>]>([
  ['another recipe', { recipeHash: 'two' }],
  ['other dims', { dims: 3 }],
  ['another mode', { search: { mode: 'hybrid' } }],
])('a domain that has %s by now has its queries read again', async (_what, change) => {
  const { calls } = await goOn(change)
  expect(calls).toHaveLength(2)
})

test('what went wrong with a guess that nobody needs is heard by nobody', async () => {
  const { engine, cache } = openFake()
  const broken = { cache, engine: { ...engine, embed: () => Promise.reject(new Error('away')) } }
  const begun = beginReading(broken, known, REQUESTS)
  await new Promise((resolve) => setImmediate(resolve))
  await expect(begun.asked).rejects.toThrow('away')
})
