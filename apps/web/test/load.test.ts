import { describe, expect, test } from 'vitest'
import { languagesOf, suggestedOf } from '../src/lib/models.ts'
import { batchesOf, groupFiles, slicesOf } from '../src/pages/load/batches.ts'
import { addCost, estimateOf, NO_COST } from '../src/pages/load/cost.ts'
import { groupByDrop, putDrop, readDrops } from '../src/pages/load/drops.ts'
import { openEvents } from '../src/pages/load/events.ts'
import { readIds, writeIds } from '../src/pages/load/ids.ts'
import { addFound, type Found, sortFound } from '../src/pages/load/picked.ts'
import { piecesOf } from '../src/pages/load/pieces.ts'
import { groupBad, reasonsOf, withAll } from '../src/pages/load/reasons.ts'
import { type Counted, isOver, partsOf, reusedTokens, totalOf } from '../src/pages/load/totals.ts'
import { documentOf, firstDocuments, NOTHING_TYPED, readMetadata, readUrls } from '../src/pages/load/typed.ts'

const found = (path: string, isInFolder = path.includes('/')): Found<string> => ({
  path,
  isInFolder,
  size: 10,
  file: path,
})
const idsOf = (paths: readonly string[], withFolder = false) =>
  sortFound(
    paths.map((path) => found(path)),
    withFolder,
  ).items.map(({ id, kind }) => `${kind} ${id}`)

describe('what is picked', () => {
  test('ids are those of the command line: the path below a folder, the name of a file', () => {
    expect(idsOf(['docs/b/deep.pdf', 'docs/a.md', 'notes.txt'])).toEqual([
      'file a.md',
      'file b/deep.pdf',
      'file notes.txt',
    ])
    expect(idsOf(['docs/a.md'], true)).toEqual(['file docs/a.md'])
  })

  test('folders give what is read, without hidden files and packages; named files go in whatever they are', () => {
    const paths = [
      'd/.git/config.md',
      'd/node_modules/x.md',
      'd/a.png',
      'd/b',
      'd/c.json',
      'd/e.ndjson',
      'f.png',
    ]
    const { items, ignored } = sortFound(paths.map((path) => found(path)))
    expect(items.map(({ id }) => id)).toEqual(['e.ndjson', 'f.png'])
    expect(ignored).toEqual({ '.png': 1, '': 1, '.json': 1 })
  })

  test('NDJSON is a document a line where it was named, one document in a folder', () => {
    expect(idsOf(['a.ndjson', 'd/b.jsonl', 'c.JSONL'])).toEqual([
      'lines a.ndjson',
      'lines c.JSONL',
      'file b.jsonl',
    ])
  })

  test('of two files with one id the second is left out, unless ids begin with the folder', () => {
    const both = [found('one/a.md'), found('two/a.md')]
    expect(sortFound(both)).toMatchObject({ items: [{ path: 'one/a.md' }], duplicates: ['two/a.md'] })
    expect(sortFound(both, true)).toMatchObject({ items: [{}, {}], duplicates: [] })
  })

  test('what is added again takes the place of what was there', () => {
    const again = { ...found('d/a.md'), size: 11 }
    expect(addFound([found('d/a.md'), found('b.md')], [again])).toEqual([again, found('b.md')])
  })
})

describe('batches', () => {
  test('are bounded by bytes and files; a larger file goes alone', () => {
    const sizes = (groups: { size: number }[][]) => groups.map((group) => group.map(({ size }) => size))
    const files = [4, 4, 4, 20, 1, 1, 1].map((size) => ({ size }))
    expect(sizes(groupFiles(files, 10, 2))).toEqual([[4, 4], [4], [20], [1, 1], [1]])
    expect(groupFiles([], 10, 2)).toEqual([])
  })

  test('lines are cut at their ends only, and know their numbers', async () => {
    const text = `${'{"text":"a"}\n'.repeat(5)}${'x'.repeat(60)}\n\nlast 未完`
    const slices = []
    for await (const { bytes, line } of slicesOf(new Blob([text]), 30)) {
      slices.push({ line, text: new TextDecoder().decode(bytes) })
    }
    expect(slices.map((slice) => slice.text).join('')).toBe(text)
    for (const { text: piece } of slices.slice(0, -1)) expect(piece.endsWith('\n')).toBe(true)
    for (const { line, text: piece } of slices) {
      expect(text.split('\n')[line - 1]).toBe(piece.split('\n')[0])
    }
  })

  test('everything in order, and a refusal is told by the name that it has here', async () => {
    const file = new File(['{"text": "x"}\n{"text": ""}\n'], 'notes.ndjson')
    const item = { kind: 'lines' as const, id: file.name, path: file.name, size: file.size, file }
    const page = { ...item, kind: 'file' as const, id: 'deep/page.md' }
    const documents = Array.from({ length: 1_001 }, (_, i) => ({ url: `https://example.com/${i}` }))
    const seen: string[] = []
    for await (const batch of batchesOf({ items: [page, item], documents }, () => undefined)) {
      seen.push(
        `${batch.type} ${batch.documents} ${batch.nameOf(batch.documents === 1_000 ? 7 : 0, 'an id')}`,
      )
      if (batch.documents === null) expect(batch.nameOf(1, undefined)).toBe('notes.ndjson:2')
    }
    expect(seen).toEqual([
      'application/json 1000 https://example.com/7',
      'application/json 1 https://example.com/1000',
      'application/x-ndjson null notes.ndjson:1',
      'undefined 1 deep/page.md',
    ])
  })

  test('a file of lines that cannot be read is told, and the others go on', async () => {
    const broken = new File(['x'], 'gone.ndjson')
    broken.slice = () => {
      throw new DOMException('gone', 'NotReadableError')
    }
    const item = (file: File) => ({
      kind: 'lines' as const,
      id: file.name,
      path: file.name,
      size: file.size,
      file,
    })
    const lost: string[] = []
    const names: string[] = []
    const goods = { items: [item(broken), item(new File(['y'], 'here.ndjson'))], documents: [] }
    for await (const { nameOf } of batchesOf(goods, ({ id }) => lost.push(id)))
      names.push(nameOf(0, undefined))
    expect({ lost, names }).toEqual({ lost: ['gone.ndjson'], names: ['here.ndjson:1'] })
  })
})

test('server-sent events are read however they are cut', () => {
  const stream =
    ': still here\n\ndata: {"a":1}\n\ndata: {"b":\ndata: 2}\r\n\r\nevent: x\ndata:last\n\ndata: unfinished\n'
  for (const size of [1, 3, 7, 1_000]) {
    const seen: string[] = []
    const { push } = openEvents((data) => seen.push(data))
    for (let at = 0; at < stream.length; at += size) push(stream.slice(at, at + size))
    expect(seen).toEqual(['{"a":1}', '{"b":\n2}', 'last'])
  }
})

test('ingestions in an address: neighbours as a range, and nothing that is none', () => {
  expect(writeIds(['14', '12', '13', '17', '17'])).toBe('12-14,17')
  expect(readIds('12-14,17')).toEqual(['12', '13', '14', '17'])
  expect(readIds('3, x,-1,5-4,')).toEqual(['3'])
  expect(readIds('1-999999999')).toHaveLength(10_000)
})

const ingestion = (over: Partial<Counted> = {}): Counted => ({
  id: '1',
  domain: 'docs',
  state: 'finished',
  receiving: false,
  documents: {
    total: 4,
    received: 0,
    preparing: 0,
    embedding: 0,
    ready: 3,
    failed: 1,
    cancelled: 0,
    unchanged: 1,
  },
  chunks: { total: 10, embedded: 6, reused: 4 },
  tokens: { total: 100, embedded: 60 },
  tokensPerSecond: 50,
  etaSeconds: null,
  rejected: { total: 2 },
  index: { state: 'none' },
  report: { textCut: { characters: 3 }, empty: 1 },
  startedAt: '2026-11-26T12:00:00.000Z',
  finishedAt: '2026-11-26T12:00:10.000Z',
  ...over,
})

describe('several ingestions as one', () => {
  test('counts add up; of those that run the rates too, and the time left is the longest', () => {
    const running = { state: 'running', report: null, finishedAt: null } as const
    const total = totalOf([
      ingestion(),
      ingestion({
        ...running,
        id: '2',
        etaSeconds: 30,
        tokensPerSecond: 10,
        startedAt: '2026-11-26T11:59:00.000Z',
      }),
      ingestion({ ...running, id: '3', etaSeconds: 20, tokensPerSecond: 5 }),
    ])
    expect(total).toMatchObject({
      state: 'running',
      documents: { total: 12, ready: 9, failed: 3, unchanged: 3 },
      tokens: { total: 300, embedded: 180 },
      tokensPerSecond: 15,
      etaSeconds: 30,
      rejected: 6,
      startedAt: '2026-11-26T11:59:00.000Z',
      finishedAt: null,
    })
    expect(totalOf([])).toBeUndefined()
  })

  test('one that has not been begun counts as much as those that have', () => {
    const { documents } = ingestion()
    const begun = ingestion({
      state: 'running',
      etaSeconds: 0,
      tokensPerSecond: 10,
      chunks: { total: 10, embedded: 8, reused: 2 },
    })
    const waiting = ingestion({
      id: '2',
      state: 'running',
      documents: { ...documents, total: 8, received: 8, ready: 0, failed: 0 },
      chunks: { total: 0, embedded: 0, reused: 0 },
      tokens: { total: 0, embedded: 0 },
      tokensPerSecond: null,
    })
    // 4 documents had 8 chunks of 10 tokens to compute, so 8 have 16 of them: 160 tokens at 10 a second.
    expect(totalOf([begun, waiting])?.etaSeconds).toBe(16)
    expect(totalOf([begun, { ...waiting, receiving: true }])?.etaSeconds).toBeNull()
    expect(totalOf([waiting])?.etaSeconds).toBeNull()
  })

  test('what was not computed was reused, once it has ended and nothing is missing', () => {
    const of = (changed: Partial<Counted>) => {
      const chunks = { total: 10, embedded: 8, reused: 2 }
      const total = totalOf([ingestion({ chunks, tokens: { total: 100, embedded: 75 }, ...changed })])
      return total && reusedTokens(total)
    }
    expect(of({})).toBe(25)
    expect(of({ state: 'running' })).toBeUndefined()
    expect(of({ state: 'cancelled' })).toBeUndefined()
    expect(of({ chunks: { total: 10, embedded: 7, reused: 2 } })).toBeUndefined()
  })

  test('it is cancelled when one was and none runs, receiving while documents come', () => {
    const state = (...all: Partial<Counted>[]) => totalOf(all.map((one) => ingestion(one)))?.state
    expect(state({}, { state: 'cancelled' })).toBe('cancelled')
    expect(state({}, { state: 'running' }, { state: 'cancelled' })).toBe('running')
    expect(state({}, { state: 'running', receiving: true })).toBe('receiving')
    expect(state({}, {})).toBe('finished')
    expect(
      totalOf([ingestion({ tokensPerSecond: 20 }), ingestion({ tokensPerSecond: 40 })])?.tokensPerSecond,
    ).toBe(30)
  })

  test('a cancelled one is over when none of its documents is open any more', () => {
    const { documents } = ingestion()
    expect(isOver({ state: 'cancelled', documents: { ...documents, embedding: 1 } })).toBe(false)
    expect(isOver({ state: 'cancelled', documents })).toBe(true)
    expect(isOver({ state: 'running', documents })).toBe(false)
  })

  test('a bar has a part for what is there', () => {
    const parts = partsOf(
      [
        ['ready', 3],
        ['failed', 0],
        ['received', 1],
      ],
      4,
    )
    expect(parts).toEqual([
      { name: 'ready', count: 3, percent: 75 },
      { name: 'received', count: 1, percent: 25 },
    ])
  })
})

test('a listing has the ingestions of a drop as one, where its newest stands', () => {
  const drops = putDrop(putDrop([], { domain: 'a', ids: ['3'], label: 'old' }), {
    domain: 'a',
    ids: ['3', '5'],
    label: '2 files',
  })
  expect(drops).toHaveLength(1)
  const listed = [
    { id: '6', domain: 'a' },
    { id: '5', domain: 'a' },
    { id: '4', domain: 'b' },
    { id: '3', domain: 'a' },
    { id: '3', domain: 'b' },
  ]
  const groups = groupByDrop(listed, drops)
  expect(
    groups.map(({ label, ingestions }) => [label, ...ingestions.map(({ id, domain }) => `${domain}${id}`)]),
  ).toEqual([
    [undefined, 'a6'],
    ['2 files', 'a5', 'a3'],
    [undefined, 'b4'],
    [undefined, 'b3'],
  ])
  expect(readDrops(JSON.stringify(drops))).toEqual(drops)
  for (const wrong of [null, 'x', '{}', '[{"ids": [1]}]']) expect(readDrops(wrong)).toEqual([])
})

test('reasons: the commonest first, with all their documents where these are known', () => {
  const told = reasonsOf([
    { code: 'FILE_EMPTY', count: 1, example: { document: 'a.md', message: 'empty' } },
    { code: 'FILE_BROKEN', count: 2, example: { document: 'b.pdf', message: 'broken' } },
    { code: 'FILE_EMPTY', count: 1, example: { index: 4, message: 'empty' } },
    { code: 'FILE_BROKEN', count: 1, example: { document: 'c.pdf', message: 'broken' } },
  ])
  expect(
    told.map(({ code, count, documents }) => [code, count, ...documents.map(({ name }) => name)]),
  ).toEqual([
    ['FILE_BROKEN', 3, 'b.pdf', 'c.pdf'],
    ['FILE_EMPTY', 2, 'a.md', '#5'],
  ])
  const bad = ['b.pdf', 'c.pdf', 'd.pdf'].map((name) => ({ name, code: 'FILE_BROKEN', message: '' }))
  expect(withAll(told, bad).map(({ documents }) => documents.length)).toEqual([3, 2])
  expect(groupBad(bad)).toEqual([{ code: 'FILE_BROKEN', count: 3, documents: bad }])
})

test('a cost adds up, and takes as long as the workers take for what is ahead and for it', () => {
  const plan = {
    documents: { added: 1, changed: 2, unchanged: 3, rejected: 4, unknown: 5 },
    chunks: { total: 6, embed: 5 },
    tokens: { total: 700, embed: 600 },
  }
  const cost = addCost(addCost(NO_COST, plan), plan)
  expect(cost.documents).toEqual({ added: 2, changed: 4, unchanged: 6, rejected: 8, unknown: 10 })
  const workers = [{ tokensPerSecond: 100 }, { tokensPerSecond: null }, { tokensPerSecond: 50 }]
  const estimate = estimateOf(cost, { workers, backlog: { tokens: 300 } })
  expect(estimate).toEqual({ seconds: 10, aheadSeconds: 2, tokensPerSecond: 150 })
  expect(estimateOf(cost, { workers: [{ tokensPerSecond: null }], backlog: {} })).toBeUndefined()
})

describe('what is typed', () => {
  test('a text with its title, id and metadata, or none yet', () => {
    expect(documentOf(NOTHING_TYPED)).toBeUndefined()
    expect(documentOf({ ...NOTHING_TYPED, text: ' a\n' })).toEqual({ text: ' a\n' })
    expect(documentOf({ title: ' T ', id: 'i', metadata: '{"a": 1}', text: 'x' })).toEqual({
      id: 'i',
      title: 'T',
      text: 'x',
      metadata: { a: 1 },
    })
    expect(documentOf({ ...NOTHING_TYPED, text: 'a', metadata: '[1]' })).toBeUndefined()
    expect([readMetadata(' '), readMetadata('{'), readMetadata('null')]).toEqual([{}, undefined, undefined])
  })

  test('addresses, one a line', () => {
    expect(readUrls('https://a.example/x\n# no\n\nftp://b\nhello\nhttps://a.example/x')).toEqual({
      urls: ['https://a.example/x'],
      wrong: ['ftp://b', 'hello'],
    })
  })

  test('the first documents of NDJSON, whatever stands between them', () => {
    const head =
      '\uFEFF{"id":"a","text":"one"}\n\nnonsense\n{"url":"https://x"}\n{"title":"T","text":"two"}\n{"text":"cut'
    expect(firstDocuments(head, 10)).toEqual([
      { id: 'a', text: 'one' },
      { title: 'T', text: 'two' },
    ])
    expect(firstDocuments(head, 1)).toHaveLength(1)
  })
})

test('a text in pieces, each with the chunks that have it', () => {
  const text = 'abcdefghij'
  const pieces = piecesOf(text, [
    { start: 1, end: 5 },
    { start: 4, end: 8 },
    { start: 9, end: 20 },
  ])
  expect(pieces.map((piece) => [piece.text, ...piece.chunks])).toEqual([
    ['a'],
    ['bcd', 0],
    ['e', 0, 1],
    ['fgh', 1],
    ['i'],
    ['j', 2],
  ])
  expect(piecesOf('', [])).toEqual([])
  expect(piecesOf('ab', []).map(({ text, chunks }) => [text, chunks.length])).toEqual([['ab', 0]])
})

test('models say their languages, and the one to begin with reads that of the page', () => {
  const zh = { id: 'bge-small-zh-v1.5', languages: ['zh'] }
  const en = { id: 'all-minilm-l6-v2', languages: ['en'] }
  const all = { id: 'bge-m3', languages: ['en', 'zh', 'de', 'fr'] }
  const many = (n: number) => `${n} languages`
  expect([zh, all, { id: 'x', languages: ['und'] }].map((one) => languagesOf(one, 'en', many))).toEqual([
    'Chinese',
    '4 languages',
    '',
  ])
  expect(languagesOf(en, 'zh', many)).toBe('英语')
  expect(suggestedOf([en, zh], 'bge-small-zh-v1.5', 'en')).toBe('all-minilm-l6-v2')
  expect(suggestedOf([en, zh, all], 'bge-m3', 'zh')).toBe('bge-m3')
  expect(suggestedOf([zh], 'gone', 'en')).toBe('bge-small-zh-v1.5')
  expect(suggestedOf([], 'gone', 'en')).toBe('')
})
