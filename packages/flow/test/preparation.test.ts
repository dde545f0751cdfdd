import { openTokenizer, type Tokenizer } from '@millrace/embed'
import { placeOf, prepareDocument, type RecipeWishes, recipeOf } from '@millrace/flow'
import type { LayoutPart } from '@millrace/store'
import { textHash } from '@millrace/text'
import { beforeAll, describe, expect, test } from 'vitest'
import { MINILM, manifestOf, modelDir } from './models.js'

const manifest = manifestOf(MINILM)
/** Paragraphs that differ, about 45 tokens each. */
const paragraphs = Array.from(
  { length: 20 },
  (_, i) =>
    `Paragraph ${i} is about parcel number ${i * 17}. It left the warehouse on day ${i} and was handed over ` +
    `in the evening. Nobody was at home, so the neighbour of floor ${i} took it in.`,
)
const LONG = paragraphs.join('\n\n')

describe('a document as its recipe cuts it', () => {
  let tokenizer: Tokenizer
  beforeAll(async () => {
    tokenizer = await openTokenizer(modelDir(MINILM))
  })
  const prepare = (document: { title?: string; text: string }, wishes: RecipeWishes = {}) =>
    prepareDocument(
      { title: document.title ?? null, text: document.text },
      recipeOf(manifest, wishes),
      tokenizer.count,
    )
  const countOne = async (text: string) => (await tokenizer.count([text]))[0]

  test('a short text is one chunk, with its tokens as the model counts them', async () => {
    const text = 'We answer from nine to five.'
    expect(await prepare({ text })).toEqual({
      warnings: [],
      parents: [],
      cut: 0,
      chunks: [
        {
          startAt: 0,
          endAt: text.length,
          tokens: await countOne(text),
          hash: textHash('document', text),
          context: '',
          text,
          headings: [],
          place: null,
          parent: null,
        },
      ],
    })
  })

  test('no chunk has more tokens than the recipe allows, title included; nothing is lost between them', async () => {
    const { chunks } = await prepare({ title: 'Parcels', text: LONG }, { chunking: { size: 64 } })
    expect(chunks.length).toBeGreaterThan(10)
    for (const { context, text, tokens } of chunks) {
      expect(tokens).toBeLessThanOrEqual(64)
      expect(await countOne(context + text)).toBe(tokens)
    }
    expect(chunks.map(({ text }) => text.replaceAll(/\s/g, '')).join('')).toBe(LONG.replaceAll(/\s/g, ''))
  })

  test('the title stands before every chunk for the model, on a line of its own, and is not part of its text', async () => {
    const { chunks } = await prepare({ title: '  Lost\nparcels ', text: LONG }, { chunking: { size: 64 } })
    for (const { context, text, hash } of chunks) {
      expect(context).toBe('Lost parcels\n')
      expect(text).not.toContain('Lost parcels')
      expect(hash).toEqual(textHash('document', `Lost parcels\n${text}`))
    }
  })

  test('a title that would fill the chunks is shortened to a quarter of their size', async () => {
    const { chunks } = await prepare({ title: 'parcel '.repeat(280), text: LONG }, { chunking: { size: 64 } })
    const [{ context } = { context: '' }] = chunks
    expect(context).toMatch(/^(parcel )+parcel\n$/)
    expect(await countOne(context)).toBeLessThanOrEqual(16)
  })

  test('without context the title changes nothing', async () => {
    const wishes = { chunking: { context: 'none' } } as const
    expect(await prepare({ title: 'Lost parcels', text: LONG }, wishes)).toEqual(
      await prepare({ text: LONG }, wishes),
    )
  })

  test("a model's instruction is part of what is hashed, and not of context or text", async () => {
    const recipe = { ...recipeOf(manifest, {}), instructions: { query: null, document: 'passage: ' } }
    const { chunks } = await prepareDocument({ title: 'T', text: 'Hello.' }, recipe, tokenizer.count)
    expect(chunks).toMatchObject([
      { context: 'T\n', text: 'Hello.', hash: textHash('document', 'passage: T\nHello.') },
    ])
  })

  test('spans lie in the text as submitted, whatever cleaning took out of it', async () => {
    const text =
      '---\r\ntitle: x\r\n---\r\n\r\n# Cafe\u0301\r\n\r\nOne\u0000   line. <!-- not shown -->\r\n\r\nAnd 🕘 more.'
    const { chunks } = await prepare({ text }, { chunking: { size: 32 } })
    expect(chunks.length).toBeGreaterThan(0)
    expect(chunks.map((chunk) => chunk.text).join('\n\n')).toBe('# Café\n\nOne line.\n\nAnd 🕘 more.')
    expect(text.slice(chunks[0]?.startAt, chunks[0]?.endAt)).toMatch(/^# Cafe\u0301/)
    expect(text.slice(chunks.at(-1)?.startAt, chunks.at(-1)?.endAt)).toMatch(/And 🕘 more\.$/)
  })

  test('every chunk of a clean text is the text at its span', async () => {
    const { chunks } = await prepare({ text: LONG }, { chunking: { size: 64, overlap: 8 } })
    for (const { startAt, endAt, text } of chunks) expect(LONG.slice(startAt, endAt)).toBe(text)
  })

  test.each(['---\ntitle: only\n---\n', '<!-- nothing but this -->', '\u200b\u0007', ''])(
    'a text of which cleaning leaves nothing has no chunks and a warning: %j',
    async (text) => {
      expect(await prepare({ title: 'T', text })).toMatchObject({
        chunks: [],
        warnings: ['EMPTY_AFTER_CLEANING'],
      })
    },
  )

  test('the same input gives the same hashes; another title gives others, an edit those of its place', async () => {
    const hashes = async (document: { title?: string; text: string }) =>
      (await prepare(document, { chunking: { size: 64 } })).chunks.map(({ hash }) => hash.toString('hex'))
    const first = await hashes({ title: 'A', text: LONG })
    expect(await hashes({ title: 'A', text: LONG })).toEqual(first)
    expect((await hashes({ title: 'B', text: LONG })).filter((hash) => first.includes(hash))).toEqual([])
    const edited = await hashes({ title: 'A', text: LONG.replace('parcel number 170', 'box number 171') })
    expect(edited.filter((hash) => !first.includes(hash)).length).toBeLessThanOrEqual(3)
    expect(edited).not.toEqual(first)
  })
})

describe('headings, pages, parents', () => {
  let tokenizer: Tokenizer
  beforeAll(async () => {
    tokenizer = await openTokenizer(modelDir(MINILM))
  })
  const manual = `# Manual\n\n${paragraphs.slice(0, 6).join('\n\n')}\n\n## Returns\n\n${paragraphs.slice(6, 14).join('\n\n')}`

  test('title and heading path stand before the chunks when the recipe says so, and count', async () => {
    const recipe = recipeOf(manifest, { chunking: { kind: 'markdown', size: 96 } })
    const { chunks } = await prepareDocument({ title: 'Manual', text: manual }, recipe, tokenizer.count)
    expect(new Set(chunks.map(({ context }) => context))).toEqual(new Set(['Manual\n', 'Manual\nReturns\n']))
    expect(chunks.at(-1)?.headings).toEqual(['Manual', 'Returns'])
    for (const { context, text, tokens, hash } of chunks) {
      expect((await tokenizer.count([context + text]))[0]).toBe(tokens)
      expect(tokens).toBeLessThanOrEqual(96)
      expect(hash).toEqual(textHash('document', context + text))
    }
  })

  test("a template of one's own; a line of it without anything to say is left out", async () => {
    const template = 'About: {title}\nSection: {headings}\n'
    const recipe = recipeOf(manifest, { chunking: { size: 96, template } })
    const { chunks } = await prepareDocument({ title: null, text: manual }, recipe, tokenizer.count)
    expect(chunks[0]?.context).toBe('Section: Manual\n')
    expect(chunks.at(-1)?.context).toBe('Section: Manual > Returns\n')
  })

  test('children lie in their parents, whose spans are in the text as submitted', async () => {
    const recipe = recipeOf(manifest, {
      chunking: { kind: 'parent', size: 64, parentSize: 256, overlap: 16 },
    })
    const text = manual.replaceAll('\n', '\r\n')
    const { chunks, parents, cut } = await prepareDocument({ title: null, text }, recipe, tokenizer.count)
    expect(cut).toBe(0)
    expect(parents.length).toBeGreaterThan(1)
    for (const parent of parents) {
      expect(text.slice(parent.startAt, parent.endAt).replaceAll('\r\n', '\n')).toBe(parent.text)
      expect((await tokenizer.count([parent.text]))[0]).toBeLessThanOrEqual(256)
    }
    for (const { startAt, endAt, parent } of chunks) {
      expect(startAt).toBeGreaterThanOrEqual(parents[parent ?? -1]?.startAt ?? Number.POSITIVE_INFINITY)
      expect(endAt).toBeLessThanOrEqual(parents[parent ?? -1]?.endAt ?? -1)
    }
  })

  test('a whole document is one chunk of as many tokens as it has', async () => {
    const recipe = recipeOf(manifest, { chunking: { kind: 'document' } })
    const { chunks, cut } = await prepareDocument({ title: 'T', text: manual }, recipe, tokenizer.count)
    expect(chunks).toMatchObject([{ context: 'T\n', text: manual, startAt: 0, endAt: manual.length }])
    expect(chunks[0]?.tokens).toBeGreaterThan(512)
    expect(cut).toBe(0)
  })

  test('what means nothing to the model is in no chunk, and is counted', async () => {
    const { chunks, cut } = await prepareDocument(
      { title: null, text: '\ue000\ue001' },
      recipeOf(manifest, {}),
      async (texts) => texts.map((text) => 2 + text.replaceAll(/[\ue000-\uf8ff]/g, '').length),
    )
    expect({ chunks, cut }).toEqual({ chunks: [], cut: 2 })
  })

  test('chunks know their pages', async () => {
    const text = `${LONG}\n\n${LONG}`
    const layout = [
      { kind: 'page', number: 1, start: 0 },
      { kind: 'page', number: 2, start: LONG.length },
    ] as const
    const recipe = recipeOf(manifest, { chunking: { size: 128 } })
    const { chunks } = await prepareDocument({ title: null, text, layout }, recipe, tokenizer.count)
    expect(chunks[0]?.place).toEqual({ page: 1 })
    expect(chunks.at(-1)?.place).toEqual({ page: 2 })
  })

  test.each([
    [[], 0, 5, null],
    [[{ kind: 'sheet', number: 1, name: 'Prices', start: 0 }], 2, 4, { sheet: 'Prices' }],
    [[{ kind: 'slide', number: 3, start: 0 }], 2, 4, { slide: 3 }],
    [[{ kind: 'page', number: 1, start: 10 }], 2, 4, null],
    [
      [
        { kind: 'page', number: 1, start: 0 },
        { kind: 'page', number: 2, start: 10 },
      ],
      4,
      10,
      { page: 1 },
    ],
    [
      [
        { kind: 'page', number: 1, start: 0 },
        { kind: 'page', number: 2, start: 10 },
      ],
      4,
      11,
      { page: 1, pageTo: 2 },
    ],
  ] as [LayoutPart[], number, number, unknown][])(
    'the place of a span: %j %d to %d',
    (layout, start, end, place) => {
      expect(placeOf(layout, start, end)).toEqual(place)
    },
  )
})
