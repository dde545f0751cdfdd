import type { EmbedRequest, EmbedResult } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { type Domain, embedQueries, encodeTexts, openQueryCache, recipeOf } from '@millrace/flow'
import { describe, expect, test } from 'vitest'
import { MINILM, manifestOf } from '../models.js'

const manifest = manifestOf(MINILM)
const domain = { name: 'd', model: MINILM, dims: 2, recipe: recipeOf(manifest, {}) } as unknown as Domain

/** An engine that counts, answers when it is told, and knows a text that it cannot embed. */
function openFake() {
  const calls: EmbedRequest[] = []
  let gate: Promise<void> = Promise.resolve()
  let release = () => {}
  return {
    calls,
    hold: () => {
      gate = new Promise((resolve) => {
        release = resolve
      })
    },
    release: () => release(),
    manifest: () => manifest,
    embed: async (request: EmbedRequest): Promise<EmbedResult[]> => {
      calls.push(request)
      await gate
      if (request.texts.includes('down')) throw new CodedError('ENGINE_CRASHED', 'it died')
      return request.texts.map((text) =>
        text === 'bad'
          ? { error: new CodedError('EMPTY_TEXT', 'no tokens') }
          : { vector: Float32Array.of(text.length, 1), tokens: text.length, windows: 1, truncated: false },
      )
    },
  }
}
const open = (entries = 10, bytes?: number) => {
  const engine = openFake()
  const cache = openQueryCache({ entries, ...(bytes === undefined ? {} : { bytes }) })
  return { engine, cache }
}
const codes = (results: readonly object[]) =>
  results.map((result) => ('error' in result ? (result.error as CodedError).code : 'fine'))

describe('embedQueries', () => {
  test('embeds a batch in one call, cleaned, ahead of bulk work; wrong ones fail alone and in their place', async () => {
    const deps = open()
    const results = await embedQueries(deps, domain, ['one', ' ', 'tw\u00ado', '\ud800', 'bad', '<!-- x -->'])
    expect(codes(results)).toEqual([
      'fine',
      'MISSING_QUERY',
      'fine',
      'INVALID_CHARACTER',
      'EMPTY_TEXT',
      'MISSING_QUERY',
    ])
    expect(deps.engine.calls).toMatchObject([
      { texts: ['one', 'two', 'bad'], kind: 'query', priority: 'interactive', outputs: ['dense'] },
    ])
  })

  test('asks for nothing when every query is wrong', async () => {
    const deps = open()
    expect(codes(await embedQueries(deps, domain, ['', ' ']))).toEqual(['MISSING_QUERY', 'MISSING_QUERY'])
    expect(deps.engine.calls).toEqual([])
  })

  test('a query that was asked lately is not computed again, whatever its white space', async () => {
    const deps = open()
    const [first] = await embedQueries(deps, domain, ['lost  parcel', 'other'])
    const [again, fresh] = await embedQueries(deps, domain, ['lost parcel ', 'new'])
    expect(again).toEqual(first)
    expect(fresh).toMatchObject({ tokens: 3 })
    expect(deps.engine.calls.map(({ texts }) => texts)).toEqual([['lost parcel', 'other'], ['new']])
    expect(deps.cache.stats()).toMatchObject({ hits: 1, misses: 3, entries: 3 })
  })

  test('kinds, outputs and models do not share vectors', async () => {
    const deps = open()
    await embedQueries(deps, domain, ['a'])
    await encodeTexts(deps, { model: MINILM, kind: 'document' }, ['a'])
    await embedQueries(deps, domain, ['a'], { outputs: ['dense', 'colbert'] })
    await embedQueries(deps, domain, ['a'], { outputs: ['colbert', 'dense'] })
    expect(deps.engine.calls).toHaveLength(3)
  })

  test('equal queries at the same time share one computation', async () => {
    const deps = open()
    deps.engine.hold()
    const asked = [
      embedQueries(deps, domain, ['a', 'b', 'a']),
      embedQueries(deps, domain, ['b']),
      embedQueries(deps, domain, ['a', 'c']),
    ]
    deps.engine.release()
    const [first, second, third] = await Promise.all(asked)
    expect(deps.engine.calls.map(({ texts }) => texts)).toEqual([['a', 'b'], ['c']])
    expect(first?.[0]).toEqual(first?.[2])
    expect(second?.[0]).toEqual(first?.[1])
    expect(third?.[0]).toEqual(first?.[0])
  })

  test('failures are not kept: what failed is tried again', async () => {
    const deps = open()
    await expect(embedQueries(deps, domain, ['down', 'a'])).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })
    expect(codes(await embedQueries(deps, domain, ['a', 'bad']))).toEqual(['fine', 'EMPTY_TEXT'])
    await embedQueries(deps, domain, ['bad'])
    expect(deps.engine.calls.map(({ texts }) => texts)).toEqual([['down', 'a'], ['a', 'bad'], ['bad']])
  })

  test('the least recently used goes when there are too many, or too many bytes', async () => {
    const few = open(2)
    for (const text of ['a', 'b', 'a', 'c', 'a', 'b']) await embedQueries(few, domain, [text])
    expect(few.engine.calls.map(({ texts }) => texts[0])).toEqual(['a', 'b', 'c', 'b'])
    const small = open(100, 1_200)
    for (const text of ['a', 'b', 'c']) await embedQueries(small, domain, [text])
    expect(small.cache.stats().entries).toBe(2)
    expect(small.cache.stats().bytes).toBeLessThanOrEqual(1_200)
  })

  test('of size 0 it keeps nothing', async () => {
    const deps = open(0)
    await embedQueries(deps, domain, ['a'])
    await embedQueries(deps, domain, ['a'])
    expect(deps.engine.calls).toHaveLength(2)
    expect(deps.cache.stats()).toEqual({ hits: 0, misses: 2, entries: 0, bytes: 0 })
  })

  test('a domain without a model, and one whose model changed, are refused', async () => {
    const deps = open()
    await expect(embedQueries(deps, { ...domain, model: 'external' }, ['a'])).rejects.toMatchObject({
      code: 'DOMAIN_NEEDS_VECTORS',
    })
    const changed = { ...domain, recipe: { ...domain.recipe, revision: 'other' } }
    await expect(embedQueries(deps, changed, ['a'])).rejects.toMatchObject({ code: 'MODEL_CHANGED' })
  })
})
