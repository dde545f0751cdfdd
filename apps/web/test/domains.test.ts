import { describe, expect, test } from 'vitest'
import { Problem } from '../src/api/problem.ts'
import { canIngestAgain, submittedAgain } from '../src/pages/domains/again.ts'
import { checkNew, checkSetup } from '../src/pages/domains/checks.ts'
import { stretchesOf } from '../src/pages/domains/chunks.ts'
import {
  addLevel,
  changeOf,
  type DomainForm,
  emptyForm,
  fieldErrors,
  fusionsOf,
  hasErrorIn,
  newDomainOf,
  setupOf,
} from '../src/pages/domains/form.ts'
import { offeredStates, openOf } from '../src/pages/domains/states.ts'

const LEVELS = [
  { key: 'same', above: 0.8, name: { zh: '相同', en: 'same' } },
  { key: 'other', above: null, name: { zh: '不同', en: 'other' } },
]
const DOMAIN = {
  threshold: 0.4,
  levels: LEVELS,
  search: { mode: 'dense', fusion: null, rerank: null },
  index: { m: 16, efConstruction: 64, efSearch: 200 },
} as unknown as Parameters<typeof setupOf>[0]

const formOf = (changed: Partial<DomainForm>): DomainForm => ({
  ...emptyForm('minilm'),
  name: 'faq',
  ...changed,
})

describe('a new domain', () => {
  test('what a person leaves as it is is not sent', () => {
    expect(newDomainOf(formOf({}))).toEqual({ name: 'faq', model: 'minilm' })
  })

  test('what is chosen is sent, in the words of the API', () => {
    const { chunking, cleaning, search } = emptyForm('')
    const body = newDomainOf(
      formOf({
        threshold: 0,
        storage: 'sq8',
        chunking: { ...chunking, kind: 'parent', size: 64, parentSize: 400, context: 'none' },
        cleaning: { ...cleaning, html: false },
        search: { ...search, mode: 'hybrid', fusion: 'rrf', rerankBy: 'judge', rerankTop: 20 },
        index: { m: '', efConstruction: 100, efSearch: '' },
      }),
    )
    expect(body).toEqual({
      name: 'faq',
      model: 'minilm',
      threshold: 0,
      storage: 'sq8',
      chunking: { kind: 'parent', size: 64, parentSize: 400, context: 'none' },
      cleaning: { html: false },
      search: { mode: 'hybrid', fusion: 'rrf', rerank: { by: 'judge', top: 20 } },
      index: { efConstruction: 100 },
    })
  })

  test('without words kept there is no search by words; options of another kind stay behind', () => {
    const { chunking, search } = emptyForm('')
    const body = newDomainOf(
      formOf({
        sparse: false,
        search: { ...search, mode: 'hybrid' },
        chunking: { ...chunking, kind: 'document', overlap: 10, pooling: 'max', parentSize: 400 },
      }),
    )
    expect(body).toEqual({
      name: 'faq',
      model: 'minilm',
      outputs: ['dense'],
      chunking: { kind: 'document', pooling: 'max' },
    })
  })

  test('one with vectors of its own has nothing that a model would need', () => {
    const { chunking } = emptyForm('')
    const body = newDomainOf(
      formOf({ model: 'external', dims: 3, sparse: false, chunking: { ...chunking, size: 64 } }),
    )
    expect(body).toEqual({ name: 'faq', model: 'external', dims: 3 })
  })
})

describe('setting up', () => {
  test('only what changed is sent; an empty threshold is no cut', () => {
    const form = setupOf(DOMAIN)
    expect(changeOf(DOMAIN, form)).toEqual({})
    expect(changeOf(DOMAIN, { ...form, threshold: '' })).toEqual({ threshold: null })
    expect(
      changeOf(DOMAIN, {
        ...form,
        search: { ...form.search, rerankBy: 'colbert' },
        index: { ...form.index, efSearch: 400 },
      }),
    ).toEqual({ search: { rerank: { by: 'colbert' } }, index: { efSearch: 400 } })
  })

  test('a reranker that is taken away is null', () => {
    const search = { mode: 'dense', fusion: null, rerank: { by: 'judge', top: 50 } }
    const domain = { ...DOMAIN, search }
    const form = setupOf(domain)
    expect(changeOf(domain, { ...form, search: { ...form.search, rerankBy: '' } })).toEqual({
      search: { rerank: null },
    })
  })

  test('a level is added above the last one, with a key of its own', () => {
    const rows = addLevel(addLevel(LEVELS))
    expect(rows.map(({ key, above }) => [key, above])).toEqual([
      ['same', 0.8],
      ['level_3', 0.7],
      ['level_4', 0.6],
      ['other', null],
    ])
  })

  test('fusions are those that the scores of the domain can have', () => {
    expect(fusionsOf(null, ['dense'])).toEqual([])
    expect(fusionsOf('bm25', ['dense', 'sparse'])).toEqual(['bm25', 'rrf'])
    expect(fusionsOf('learned', ['dense', 'sparse'])).not.toContain('m3-pairs')
    expect(fusionsOf('learned', ['dense', 'sparse', 'colbert'])).toContain('m3-pairs')
  })
})

describe('what the page sees to be wrong', () => {
  const { chunking, search, index } = emptyForm('')
  const whole = (least: number, most: number) => ({ key: 'whole', least, most })

  test('a name, and nothing else where all is left as it is', () => {
    expect(checkNew(formOf({}), 512)).toEqual({})
    expect(checkNew(formOf({ name: '' }), 512)).toEqual({ name: { key: 'nameEmpty' } })
    for (const name of ['Not A Name', '-a', '知识', 'a'.repeat(56)])
      expect(checkNew(formOf({ name }), 512)).toEqual({ name: { key: 'name' } })
  })

  test('numbers out of range, no whole ones, and what is none', () => {
    const form = formOf({
      threshold: 3,
      chunking: { ...chunking, kind: 'parent', size: 600, overlap: 64, parentSize: 100 },
      search: { ...search, rerankBy: 'judge', rerankTop: 201 },
      index: { m: 1.5, efConstruction: 31, efSearch: Number.NaN },
    })
    expect(checkNew(form, 512)).toEqual({
      threshold: { key: 'number', least: -1, most: 1 },
      'chunking.size': whole(32, 512),
      'chunking.overlap': whole(0, 63),
      'chunking.parentSize': whole(128, 32_768),
      'search.rerank.top': whole(1, 200),
      'index.m': whole(2, 100),
      'index.efConstruction': whole(32, 1_000),
      'index.efSearch': whole(1, 1_000),
    })
    expect(checkNew(formOf({ chunking: { ...chunking, size: 65, overlap: 32 } }), 512)).toEqual({})
    expect(checkNew(formOf({ chunking: { ...chunking, kind: 'document', overlap: 900 } }), 512)).toEqual({})
  })

  test('one with vectors of its own needs their numbers, and has no chunking', () => {
    const form = formOf({ model: 'external', chunking: { ...chunking, size: 1 } })
    expect(checkNew(form, 512)).toEqual({ dims: whole(1, 16_000) })
    expect(checkNew({ ...form, dims: 3 }, 512)).toEqual({})
  })

  test('levels fall, and have names in both languages', () => {
    const row = (above: number | '' | null) => ({ key: `k${above}`, above, name: { zh: '近', en: 'near' } })
    const levels = [row(0.5), row(0.5), row(''), { ...row(null), name: { zh: '', en: 'x'.repeat(101) } }]
    expect(checkNew(formOf({ levels }), 512)).toEqual({
      'levels.1.above': { key: 'below', n: 0.5 },
      'levels.2.above': { key: 'number', least: -1, most: 1 },
      'levels.3.name.en': { key: 'levelName' },
      'levels.3.name.zh': { key: 'levelName' },
    })
  })

  test('of one that is there no number of the index can be empty; what stays follows m', () => {
    const form = setupOf(DOMAIN)
    const { index: standing } = form
    expect(checkSetup(form, standing)).toEqual({})
    expect(checkSetup({ ...form, index: { ...standing, m: 50 } }, standing)).toEqual({})
    expect(checkSetup({ ...form, index: { ...index, efConstruction: 65 } }, standing)).toEqual({
      'index.m': whole(2, 100),
      'index.efSearch': whole(1, 1_000),
    })
    expect(checkSetup({ ...form, index: { ...standing, m: 50, efConstruction: 65 } }, standing)).toEqual({
      'index.efConstruction': whole(100, 1_000),
    })
  })
})

describe('errors at their fields', () => {
  const problem = (code: string, details?: unknown, hint?: string) =>
    new Problem(400, { code, message: 'It is wrong', ...(hint === undefined ? {} : { hint }), details })

  test('by the path of an issue, by the field that details name, by the code', () => {
    const issues = [
      { path: 'levels.0.above', message: 'too high' },
      { path: '', message: 'all of it' },
    ]
    expect(fieldErrors(problem('INVALID_REQUEST', issues))).toEqual({ 'levels.0.above': 'too high' })
    expect(fieldErrors(problem('BAD_CHUNKING', { field: 'chunking.overlap' }, 'Use 0'))).toEqual({
      'chunking.overlap': 'It is wrong. Use 0.',
    })
    expect(fieldErrors(problem('DOMAIN_EXISTS', { name: 'faq' }))).toEqual({ name: 'It is wrong' })
    expect(fieldErrors(problem('OVERLOADED'))).toEqual({})
    expect(fieldErrors(undefined)).toEqual({})
  })

  test('a part of the form knows whether something in it is wrong', () => {
    expect(hasErrorIn({ 'chunking.size': 'x' }, 'chunking')).toBe(true)
    expect(hasErrorIn({ chunkings: 'x' }, 'chunking')).toBe(false)
  })
})

describe('a text in the stretches of its chunks', () => {
  const shown = (text: string, spans: readonly (readonly [number, number])[]) =>
    stretchesOf(
      text,
      spans.map(([start, end], chunk) => ({ chunk, start, end })),
    ).map(({ text: piece, chunks, begins }) => [piece, [...chunks], begins])

  test('what lies in no chunk is in none, the rest in its own', () => {
    expect(
      shown('ab  cd', [
        [0, 2],
        [4, 6],
      ]),
    ).toEqual([
      ['ab', [0], 0],
      ['  ', [], undefined],
      ['cd', [1], 1],
    ])
  })

  test('where chunks overlap, both are named', () => {
    expect(
      shown('abcdef', [
        [0, 4],
        [2, 6],
      ]),
    ).toEqual([
      ['ab', [0], 0],
      ['cd', [0, 1], 1],
      ['ef', [1], undefined],
    ])
  })

  test('nothing is lost: no chunks, an empty text, spans beyond its end', () => {
    expect(shown('abc', [])).toEqual([['abc', [], undefined]])
    expect(shown('', [[0, 0]])).toEqual([])
    expect(shown('abc', [[1, 9]])).toEqual([
      ['a', [], undefined],
      ['bc', [0], 0],
    ])
  })
})

describe('states', () => {
  const counts = { total: 4, received: 1, preparing: 0, embedding: 1, ready: 2, failed: 0, cancelled: 0 }
  test('those that occur are offered, with ready and failed', () => {
    expect(openOf(counts)).toBe(2)
    expect(offeredStates(counts, '')).toEqual(['received', 'embedding', 'ready', 'failed'])
    expect(offeredStates(counts, 'cancelled')).toContain('cancelled')
  })
})

describe('once more', () => {
  const base = { id: 'a', title: 'T', text: 'x', url: null, metadata: { k: 1 }, file: null }
  test('a text goes as it stands, a page by its address; a file needs its bytes', () => {
    expect(submittedAgain({ ...base, origin: 'text' })).toEqual({
      id: 'a',
      title: 'T',
      text: 'x',
      metadata: { k: 1 },
    })
    expect(submittedAgain({ ...base, origin: 'url', url: 'https://a.example' })).toEqual({
      id: 'a',
      title: 'T',
      url: 'https://a.example',
      metadata: { k: 1 },
    })
    expect(submittedAgain({ ...base, origin: 'file' })).toBeUndefined()
    expect(canIngestAgain({ origin: 'vectors', file: null })).toBe(false)
  })
})
