import { openTokenizer, type Tokenizer } from '@millrace/embed'
import { prepareDocument, type RecipeWishes, recipeOf } from '@millrace/flow'
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
      chunks: [
        {
          startAt: 0,
          endAt: text.length,
          tokens: await countOne(text),
          hash: textHash('document', text),
          context: '',
          text,
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
