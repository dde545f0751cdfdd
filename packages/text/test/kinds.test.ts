import {
  CHUNKING_DEFAULTS,
  type ChunkingOptions,
  chunk,
  divideText,
  fitContexts,
  templateOf,
} from '@millrace/text'
import { describe, expect, test } from 'vitest'
import { englishSentence, seeded } from './samples.js'

/** Two special tokens, four characters of a word a token, every other character one. */
const count = async (texts: string[]): Promise<number[]> =>
  texts.map((text) => 2 + (text.match(/[a-zA-Z]{1,4}|[^\sa-zA-Z]/gu)?.length ?? 0))
const divide = (text: string, options: Partial<ChunkingOptions>, version?: number) =>
  divideText({
    text,
    options: { ...CHUNKING_DEFAULTS, ...options },
    count,
    context: '',
    ...(version === undefined ? {} : { version }),
  })
const prose = (seed: number, sentences: number): string => {
  const random = seeded(seed)
  return Array.from({ length: sentences }, () => englishSentence(random)).join(' ')
}

describe('heading paths', () => {
  const text = `Before.\n\n# A #\n\n## B\n\nUnder B. ${prose(1, 6)}\n\nC\n---\n\n${prose(2, 6)}\n\n\`\`\`\n# no\n\`\`\`\n\n# D\n\n${prose(3, 6)}`

  test.each(['structure', 'markdown', 'sentence', 'fixed', 'parent'] as const)('by %s', async (kind) => {
    const { chunks } = await divide(text, { kind, size: 64 })
    expect(new Set(chunks.map((each) => each.headings.join(' > ')))).toEqual(
      new Set(['', 'A > B', 'A > C', 'D'].slice(chunks[0]?.headings.length === 0 ? 0 : 1)),
    )
    expect(chunks.at(-1)?.headings).toEqual(['D'])
  })

  test('are bounded, whatever calls itself a heading', async () => {
    const { chunks } = await divide(`# ${'x'.repeat(5000)}\n\nText.`, { size: 64 })
    for (const each of chunks) expect(each.headings.join('').length).toBeLessThanOrEqual(200)
  })
})

describe('markdown', () => {
  test('a chunk holds one section, a tiny one goes along with what follows it', async () => {
    const body = prose(4, 4)
    const text = `# Guide\n\nRead on.\n\n## One\n\n${body}\n\n## Two\n\n${body}`
    const { chunks } = await divide(text, { kind: 'markdown' })
    expect(chunks.map((each) => each.text)).toEqual([
      `# Guide\n\nRead on.\n\n## One\n\n${body}`,
      `## Two\n\n${body}`,
    ])
  })

  test('tables and code are whole where they fit, else divided at lines', async () => {
    const table = `| name | text |\n|---|---|\n${'| a | It is. So it is. |\n'.repeat(4)}`.trim()
    const { chunks } = await divide(`${prose(5, 3)}\n\n${table}\n\n${prose(6, 3)}`, {
      kind: 'markdown',
      size: 96,
    })
    expect(chunks.some((each) => each.text.includes(table))).toBe(true)
    const rows = Array.from({ length: 40 }, (_, row) => `| row ${row} | It is. So it is. |`)
    const long = await divide(rows.join('\n'), { kind: 'markdown', size: 64 })
    for (const row of rows) {
      expect(long.chunks.some((each) => each.text.split('\n').includes(row))).toBe(true)
    }
  })
})

test('sentence: ends are those of Unicode, in any script', async () => {
  const text =
    '今日は晴れです。明日は雨でしょう！你好。再见？สวัสดีครับ ผมชื่อสมชาย One is here. Two is there. '.repeat(6)
  const { chunks } = await divide(text, { kind: 'sentence', size: 48 })
  for (const each of chunks.slice(0, -1)) expect(each.text).toMatch(/[。！？.]$/)
})

test('document: one chunk of any size', async () => {
  const text = `  ${prose(7, 200)}  `
  const { chunks } = await divide(text, { kind: 'document' })
  expect(chunks).toMatchObject([{ start: 2, end: text.length - 2, text: text.trim() }])
  expect(chunks[0]?.tokens).toBeGreaterThan(2000)
})

test('parent: children are those of structure, each inside one parent', async () => {
  const text = prose(8, 80)
  const { chunks, parents } = await divide(text, { kind: 'parent', size: 64, parentSize: 256 })
  const plain = await divide(text, { kind: 'structure', size: 64 })
  expect(chunks.map(({ text: own }) => own)).toEqual(plain.chunks.map(({ text: own }) => own))
  for (const { start, end, parent } of chunks) {
    const around = parents[parent ?? -1]
    expect(around !== undefined && around.start <= start && end <= around.end).toBe(true)
  }
  expect(new Set(chunks.map((each) => each.parent)).size).toBe(parents.length)
})

test('a recipe of version 1 goes on dividing as it did', async () => {
  const text = prose(9, 60)
  const [old, now] = [await divide(text, {}, 1), await divide(text, {})]
  expect(old.chunks.map(({ start }) => start)).not.toEqual(now.chunks.map(({ start }) => start))
  expect(old.chunks.map(({ start }) => start)).toMatchSnapshot()
})

describe('contexts', () => {
  const fit = (paths: string[][], max = 100, title = 'Guide') =>
    fitContexts(templateOf('headings'), title, paths, count, max)

  test('title and heading path, each on a line; the title is not said twice', async () => {
    expect(await fit([[], ['Guide'], ['Guide', 'A', 'B'], ['A']])).toEqual([
      'Guide\n',
      'Guide\n',
      'Guide\nA > B\n',
      'Guide\nA\n',
    ])
    expect(await fit([[]], 100, '')).toEqual([''])
  })

  test('too long, it loses the outermost headings first', async () => {
    expect(await fit([['One', 'Two', 'Three']], 6)).toEqual(['Guide\nThree\n'])
  })

  test('a template without an end gets a line end', () => {
    expect(templateOf('title', '{title}:')).toBe('{title}:\n')
  })

  test('differ by chunk, count and never make one too large', async () => {
    const text = ['A', 'Bee', 'Sea'].map((name, seed) => `## ${name}\n\n${prose(seed, 12)}`).join('\n\n')
    const chunks = await chunk({
      text,
      options: { ...CHUNKING_DEFAULTS, size: 64, overlap: 10 },
      count,
      context: async (paths) =>
        paths.map((path) => `${path.join(' > ')} ${'x'.repeat(4 * path.join('').length)}\n`),
    })
    for (const { context, text: own, tokens, headings } of chunks) {
      expect(context.startsWith(headings.join(' > '))).toBe(true)
      expect(tokens).toBe((await count([context + own]))[0])
      expect(tokens).toBeLessThanOrEqual(64)
    }
  })
})
