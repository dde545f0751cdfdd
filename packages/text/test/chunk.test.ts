import {
  CHUNKING_DEFAULTS,
  type Chunk,
  type ChunkingOptions,
  checkChunking,
  chunk,
  clean,
} from '@millrace/text'
import { describe, expect, test } from 'vitest'
import { englishSentence, pick, scrap, seeded } from './samples.js'

/** Two special tokens, four characters of a word a token, every other character one: deterministic and quick. */
const count = async (texts: string[]): Promise<number[]> =>
  texts.map((text) => 2 + (text.match(/[a-zA-Z]{1,4}|[^\sa-zA-Z]/gu)?.length ?? 0))

const divide = (
  text: string,
  options: Partial<ChunkingOptions> = {},
  context = '',
): Promise<readonly Chunk[]> => chunk({ text, options: { ...CHUNKING_DEFAULTS, ...options }, count, context })
const texts = (chunks: readonly Chunk[]) => chunks.map((each) => each.text)
/** Starts a sentence of exactly `tokens` tokens with a word of one token. */
const sentence = (word: string, tokens: number) => `${word}${' word'.repeat(tokens - 2)}.`

describe('what every division keeps', () => {
  test('a blank text has no chunks, a short one is one chunk', async () => {
    expect(await divide('')).toEqual([])
    expect(await divide(' \n\t\n ')).toEqual([])
    expect(await divide('  Hello there.\n')).toEqual([
      {
        ordinal: 0,
        start: 2,
        end: 14,
        text: 'Hello there.',
        tokens: 7,
        headings: [],
        context: '',
        parent: null,
      },
    ])
  })

  test('every visible character is in a chunk, in order, and none is larger than the size', async () => {
    const random = seeded(3)
    for (let round = 0; round < 1500; round++) {
      const raw = scrap(random, 1 + Math.floor(random() * 200))
      const text = random() < 0.5 ? clean(raw).text : raw
      const size = pick(random, [32, 40, 64, 256])
      const kind = pick(random, ['structure', 'markdown', 'sentence', 'parent', 'fixed'] as const)
      const overlap = pick(random, [0, 5, 15])
      const chunks = await divide(text, { kind, size, overlap })
      let covered = 0
      for (const [index, { ordinal, start, end, text: own, tokens }] of chunks.entries()) {
        expect(ordinal).toBe(index)
        expect(own).toBe(text.slice(start, end))
        expect(own).toBe(own.trim())
        expect(tokens).toBeLessThanOrEqual(size)
        expect(tokens).toBe((await count([own]))[0])
        if (overlap === 0) expect(start).toBeGreaterThanOrEqual(covered)
        expect(text.slice(covered, Math.max(covered, start)).trim()).toBe('')
        expect(end).toBeGreaterThan(covered)
        covered = end
      }
      expect(text.slice(covered).trim()).toBe('')
    }
  })

  test('no chunk starts or ends inside a grapheme, however long the word', async () => {
    const family = '👩‍👩‍👧'
    for (const unit of [family, '🇩🇪', 'e\u0301', '字', 'a']) {
      const word = unit.repeat(Math.ceil(100_000 / unit.length))
      const chunks = await divide(word, { size: 64 })
      expect(texts(chunks).join('')).toBe(word)
      for (const each of chunks) expect(each.text.length % unit.length).toBe(0)
    }
  })

  test('a word that the tokenizer takes for one token is still divided', async () => {
    const unknown = async (asked: string[]) => asked.map((text) => (text === '' ? 2 : 3))
    const chunks = await chunk({
      text: 'z'.repeat(100_000),
      options: CHUNKING_DEFAULTS,
      count: unknown,
      context: '',
    })
    expect(Math.max(...chunks.map((each) => each.text.length))).toBeLessThanOrEqual(32 * 256)
  })

  test('a tokenizer whose parts do not add up never makes a chunk too large', async () => {
    const superlinear = async (asked: string[]) => asked.map((text) => 2 + Math.ceil(text.length ** 1.2 / 4))
    const random = seeded(8)
    const text = Array.from({ length: 60 }, () => englishSentence(random)).join(' ')
    const chunks = await chunk({
      text,
      options: { ...CHUNKING_DEFAULTS, size: 64, overlap: 8 },
      count: superlinear,
      context: '',
    })
    for (const each of chunks) expect(each.tokens).toBeLessThanOrEqual(64)
  })

  test('a tokenizer is asked a few times for many texts, not once a sentence', async () => {
    const random = seeded(4)
    const text = Array.from({ length: 3000 }, () => englishSentence(random)).join(' ')
    let calls = 0
    const counted = (asked: string[]) => {
      calls++
      return count(asked)
    }
    await chunk({ text, options: CHUNKING_DEFAULTS, context: '', count: counted })
    expect(calls).toBeLessThan(10)
  })
})

describe('by structure', () => {
  const small = { size: 64 } as const

  test('a section stays whole and a heading is never the end of a chunk', async () => {
    const sections = ['One', 'Two', 'Six', 'Ten'].map((name) => `## ${name}\n\n${sentence(name, 40)}`)
    expect(texts(await divide(sections.join('\n\n'), small))).toEqual(sections)
  })

  test('headings in a row go along with the text that follows them', async () => {
    const head = sentence('Head', 50)
    const tail = `# Part\n\n## Text\n\n${sentence('Tail', 40)}`
    expect(texts(await divide(`${head}\n\n${tail}`, small))).toEqual([head, tail])
  })

  test('a small section is joined to its neighbour where both fit', async () => {
    const text = `# A\n\n${sentence('Here', 10)}\n\n# B\n\n${sentence('More', 10)}`
    expect(texts(await divide(text, small))).toEqual([text])
  })

  test('code, however many sentences and empty lines are in it, is whole where it fits', async () => {
    const code = `\`\`\`sh\n${'echo one. Two.\n\n# three\n'.repeat(4)}\`\`\``
    const text = [sentence('Head', 40), code, sentence('Tail', 40)].join('\n\n')
    expect(texts(await divide(text, small))).toContain(code)
  })

  test('code that does not fit is cut between lines', async () => {
    const lines = Array.from({ length: 60 }, (_, index) => `echo line number ${index}; done`)
    const chunks = await divide(`~~~\n${lines.join('\n')}\n~~~`, small)
    expect(chunks.length).toBeGreaterThan(4)
    for (const line of lines) expect(texts(chunks).some((text) => text.split('\n').includes(line))).toBe(true)
  })

  test('table rows are whole, and the header keeps its ruler', async () => {
    const rows = Array.from({ length: 20 }, (_, index) => `| row ${index} | It is so. Is it? |`)
    const chunks = await divide(`| name | text |\n|---|---|\n${rows.join('\n')}`, small)
    expect(chunks[0]?.text).toContain('| name | text |\n|---|---|')
    for (const row of rows) expect(texts(chunks).some((text) => text.split('\n').includes(row))).toBe(true)
  })

  test.each([
    [
      'abbreviations and versions',
      ['See Dr. Smith, i.e. him, about v1.2.3 of example.com. ', 'It works!" ', 'Does it?'],
    ],
    ['Chinese without spaces', ['他说：“你好。”', '我们走吧！', '为什么？', '因为……', '好']],
    ['other scripts', ['यह एक है। ', 'هل هذا؟ ', 'Yes.']],
  ])('sentences end where a reader ends them: %s', async (_name, sentences) => {
    const { sentenceStarts } = await import('@millrace/text/chunking/sentences')
    const text = sentences.join('')
    const starts = [0, ...sentenceStarts(text, 0, text.length)]
    expect(starts.map((start, index) => text.slice(start, starts[index + 1]))).toEqual(sentences)
  })

  test('overlap repeats whole sentences up to its tokens, and never what stands before a heading', async () => {
    const random = seeded(9)
    const body = () => Array.from({ length: 12 }, () => englishSentence(random)).join(' ')
    const text = `# One\n\n${body()}\n\n# Two\n\n${body()}`
    const chunks = await divide(text, { size: 128, overlap: 48 })
    let repeats = 0
    for (const [index, each] of chunks.entries()) {
      const before = chunks[index - 1]
      if (before === undefined) continue
      const repeated = text.slice(each.start, Math.max(each.start, before.end))
      if (each.text.startsWith('# ')) expect(repeated).toBe('')
      if (repeated === '') continue
      repeats++
      expect((await count([repeated]))[0]).toBeLessThanOrEqual(48 + 2)
      expect(text.slice(0, each.start)).toMatch(/[.!?]\s+$|\n\n$/)
    }
    expect(repeats).toBeGreaterThan(2)
  })
})

describe('fixed windows', () => {
  test('after the first are full but for a word, and repeat `overlap` tokens', async () => {
    const random = seeded(2)
    const text = Array.from({ length: 100 }, () => englishSentence(random)).join(' ')
    const chunks = await divide(text, { kind: 'fixed', size: 100, overlap: 20 })
    for (const [index, each] of chunks.slice(0, -1).entries()) {
      if (index > 0) expect(each.tokens).toBeGreaterThan(90)
      const next = chunks[index + 1]
      expect((await count([text.slice(next?.start, each.end)]))[0]).toBeGreaterThan(15)
    }
  })
})

test('a text that fits as it is stays one chunk, overlap or not', async () => {
  const text = `${sentence('Some', 30)}\n\n${sentence('More', 30)}`
  for (const kind of ['structure', 'fixed'] as const) {
    expect(texts(await divide(text, { kind, size: 64, overlap: 20 }))).toEqual([text])
  }
})

describe('context', () => {
  test('counts towards a chunk and is not part of its text', async () => {
    const random = seeded(6)
    const text = Array.from({ length: 30 }, () => englishSentence(random)).join(' ')
    const context = 'A title\n'
    const chunks = await divide(text, { size: 64 }, context)
    for (const each of chunks) {
      expect(each.tokens).toBe((await count([context + each.text]))[0])
      expect(each.tokens).toBeLessThanOrEqual(64)
    }
  })

  test('of more than half a chunk is refused', async () => {
    await expect(divide('Text.', { size: 64 }, 'word '.repeat(40))).rejects.toMatchObject({
      code: 'CONTEXT_TOO_LONG',
    })
  })
})

describe('options that cannot work are refused with the value and the limit', () => {
  test.each([
    [{ size: 31 }, /31.*32/],
    [{ size: 64.5 }, /64\.5/],
    [{ overlap: 128 }, /128.*256/],
    [{ overlap: -1 }, /-1/],
    [{ size: 600 }, /600.*512/],
    [{ size: Number.NaN }, /NaN/],
  ])('%o', (wrong, message) => {
    expect(() => checkChunking({ ...CHUNKING_DEFAULTS, ...wrong }, 512)).toThrow(message)
  })

  test('the defaults work', () => {
    expect(() => checkChunking(CHUNKING_DEFAULTS, 512)).not.toThrow()
  })
})
