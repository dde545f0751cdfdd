import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../../../test/support/world.js'
import { type OpenedApi, openApi } from './api.js'

interface Listed {
  default: string
  models: { id: string; state: string; memoryBytes: number | null }[]
}

let api: OpenedApi
beforeAll(async () => {
  api = await openApi({})
})
afterAll(() => api?.close())

test('every model is listed with what it reads and gives; memory is told of those that are loaded', async () => {
  const listed = await until(async () => {
    const answer = await fetch(`${api.url}/v1/models`)
    expect(answer.status).toBe(200)
    const body = (await answer.json()) as Listed
    return body.models.some(({ state }) => state === 'ready') ? body : undefined
  })
  expect(listed.default).toBe('all-minilm-l6-v2')
  expect(listed.models.map(({ id }) => id)).toEqual(['all-minilm-l6-v2', 'bge-small-zh-v1.5'])
  expect(listed.models[0]).toEqual({
    id: 'all-minilm-l6-v2',
    revision: expect.stringMatching(/^int8-row-/),
    precision: 'int8-row',
    dims: 384,
    tokensMax: 512,
    languages: ['en'],
    outputs: ['dense'],
    reranker: false,
    state: 'ready',
    license: 'Apache-2.0',
    threshold: 0.4,
    levels: [
      { key: 'same', above: 0.8, name: { zh: '极度相似', en: 'nearly the same' } },
      { key: 'related', above: 0.4, name: { zh: '语义相关', en: 'related' } },
      { key: 'unrelated', above: null, name: { zh: '不相关', en: 'unrelated' } },
    ],
    memoryBytes: expect.any(Number),
  })
  expect(listed.models[0]?.memoryBytes).toBeGreaterThan(1_000_000)
  expect(listed.models[1]).toMatchObject({ state: 'absent', license: 'MIT', memoryBytes: null })
})
