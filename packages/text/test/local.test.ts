import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { CHUNKING_DEFAULTS, CHUNKING_KINDS, type ChunkingOptions, chunk, clean } from '@millrace/text'
import { describe, expect, test } from 'vitest'
import { type Random, STYLES, seeded, sentencesOf } from './samples.js'
import { tokenizerOf } from './tokenizer.js'

const english = tokenizerOf('all-minilm-l6-v2')
const chinese = tokenizerOf('bge-small-zh-v1.5')
const samples = (name: string): string => {
  const folder = fileURLToPath(new URL(`../../../samples/${name}`, import.meta.url))
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .sort()
    .map((file) => clean(readFileSync(`${folder}/${file}`, 'utf8')).text)
    .join('\n\n')
}
const prose = (style: keyof typeof STYLES, seed: number, count: number): string => {
  const found = STYLES[style]
  return found === undefined ? '' : sentencesOf(seeded(seed), found, count).join('').trim()
}

const TEXTS = [
  {
    name: 'a manual in English',
    text: samples('support-en'),
    count: english,
    fresh: ' One more sentence stands here now, which nobody expected. ',
  },
  {
    name: 'a manual in Chinese',
    text: samples('support-zh'),
    count: chinese,
    fresh: '这里现在多了一句谁也没有想到的话。',
  },
  {
    name: 'English prose',
    text: prose('English prose', 31, 320),
    count: english,
    fresh: ' One more sentence stands here now, which nobody expected. ',
  },
  {
    name: 'Chinese prose',
    text: prose('Chinese', 32, 320),
    count: chinese,
    fresh: '这里现在多了一句谁也没有想到的话。',
  },
]
const PLACES = Number(process.env.MILLRACE_TEST_PLACES ?? 6)
const LOCAL = CHUNKING_KINDS.filter((kind) => kind !== 'fixed' && kind !== 'document')

/** The text with one more sentence: as its first, its last, in the middle, and behind any other. */
function* insertions(text: string, fresh: string, random: Random, count: number): Generator<string> {
  yield `${fresh.trim()}\n\n${text}`
  yield text + fresh
  // Behind a sentence of a heading it would rename the section, and that is in the context of all its chunks.
  const ends = [...text.matchAll(/[.!?](?=\s)|[。！？]/g)]
    .map((match) => match.index + match[0].length)
    .filter((at) => text[text.lastIndexOf('\n', at - 1) + 1] !== '#')
  for (let place = 0; place < count; place++) {
    const at = ends[place === 0 ? ends.length >> 1 : Math.floor(random() * ends.length)] ?? 0
    yield text.slice(0, at) + fresh.trimEnd() + text.slice(at)
  }
}

describe.each(LOCAL)('a sentence inserted anywhere, chunks by %s', (kind) => {
  test.each(TEXTS.filter((each) => each.count !== undefined))(
    'changes at most 3 of $name',
    async ({ text, count, fresh }) => {
      if (count === undefined) return
      const options: ChunkingOptions = { ...CHUNKING_DEFAULTS, kind, size: kind === 'parent' ? 128 : 192 }
      const context = async (paths: readonly (readonly string[])[]) =>
        paths.map((path) => path.slice(-1).join(''))
      const divide = (of: string) => chunk({ text: of, options, count, context })
      const before = await divide(text)
      expect(before.length).toBeGreaterThanOrEqual(20)
      const known = new Set(before.map((each) => each.context + each.text))
      for (const edited of insertions(text, fresh, seeded(5), PLACES)) {
        const after = await divide(edited)
        const changed = after.filter((each) => !known.has(each.context + each.text))
        expect(changed.length).toBeLessThanOrEqual(3)
      }
    },
  )
})
