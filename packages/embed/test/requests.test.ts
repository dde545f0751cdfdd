import {
  keepResult,
  OUT_TEXTS_MAX,
  type Request,
  SLICE_CHARS,
  SLICE_TEXTS,
  takeSlice,
  takeSlices,
} from '@millrace/embed/requests'
import { expect, test } from 'vitest'

const request = (id: number, texts: readonly string[], priority: Request['priority'] = 'bulk'): Request => ({
  id,
  model: 'm',
  wanted: {
    type: 'texts',
    kind: 'document',
    encoding: { outputs: ['dense'], window: 512, windowPooling: 'mean', longTexts: 'pool' },
  },
  priority,
  texts,
  results: [],
  sent: 0,
  answered: 0,
  charsOut: 0,
  resolve: () => undefined,
  reject: () => undefined,
})
const many = (count: number) => Array.from({ length: count }, (_, i) => `text ${i}`)
const byId = (...requests: Request[]) => new Map(requests.map((one) => [one.id, one]))
const result = { vector: new Float32Array(1), tokens: 3, windows: 1, truncated: false } as const

test('a message holds few texts and few characters, so that posting it blocks nobody', () => {
  expect(takeSlice(request(1, many(1_000))).texts).toHaveLength(SLICE_TEXTS)
  const half = 'x'.repeat(SLICE_CHARS / 2)
  const long = request(1, [half, half, half])
  expect(takeSlice(long)).toMatchObject({ first: 0, texts: [half, half] })
  expect(takeSlice(long)).toMatchObject({ first: 2, texts: [half] })
})

test('a text longer than a message goes alone', () => {
  const huge = 'x'.repeat(SLICE_CHARS * 3)
  expect(takeSlice(request(1, [huge, 'y'])).texts).toEqual([huge])
})

test('bulk callers take turns', () => {
  const slices = [...takeSlices(byId(request(1, many(200)), request(2, many(70))))]
  expect(slices.map((slice) => slice.request)).toEqual([1, 2, 1, 2, 1, 1])
})

test('no more bulk texts are with the thread than it takes; answers let the next ones out', () => {
  const large = request(1, many(OUT_TEXTS_MAX * 2))
  const requests = byId(large)
  expect([...takeSlices(requests)].flatMap(({ texts }) => texts)).toHaveLength(OUT_TEXTS_MAX)
  expect([...takeSlices(requests)]).toHaveLength(0)
  expect(keepResult(large, 0, result)).toBe(false)
  expect([...takeSlices(requests)]).toHaveLength(1)
})

test('a query goes out at once, however much bulk work is with the thread', () => {
  const requests = byId(request(1, many(OUT_TEXTS_MAX * 2)))
  for (const _ of takeSlices(requests));
  requests.set(2, request(2, ['a query'], 'interactive'))
  expect([...takeSlices(requests)].map((slice) => slice.request)).toEqual([2])
})

test('a request is answered when its last text is', () => {
  const two = request(1, ['a', 'b'])
  takeSlice(two)
  expect(keepResult(two, 1, result)).toBe(false)
  expect(keepResult(two, 0, result)).toBe(true)
  expect(two.charsOut).toBe(0)
})
