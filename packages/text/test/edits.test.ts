import { CHUNKING_DEFAULTS, chunk } from '@millrace/text'
import { describe, expect, test } from 'vitest'
import { pick, type Random, STYLES, type Style, seeded, sentencesOf } from './samples.js'
import { tokenizerOf } from './tokenizer.js'

const MODELS = { en: tokenizerOf('all-minilm-l6-v2'), zh: tokenizerOf('bge-small-zh-v1.5') }
const PLACES = ['start', 'middle', 'end', 'anywhere'] as const
const KINDS = ['insert', 'delete', 'replace'] as const

function edited(sentences: readonly string[], random: Random, style: Style, round: number): string[] {
  const place = PLACES[round % PLACES.length] ?? 'anywhere'
  const last = sentences.length - 1
  const at = { start: 0, middle: last >> 1, end: last, anywhere: Math.floor(random() * last) }[place]
  const fresh = style.sentence(random) + style.space
  const kind = pick(random, KINDS)
  return sentences.toSpliced(at, kind === 'insert' ? 0 : 1, ...(kind === 'delete' ? [] : [fresh]))
}

describe.each(Object.entries(STYLES))('one sentence inserted, deleted or rewritten in %s', (name, style) => {
  const count = name === 'Chinese' ? MODELS.zh : MODELS.en

  test.runIf(count)('changes few chunks, and chunks are well filled', async () => {
    if (count === undefined) return
    const divide = async (sentences: readonly string[]) =>
      chunk({ text: sentences.join('').trim(), options: CHUNKING_DEFAULTS, count, context: '' })
    const random = seeded(21)
    const changes: number[] = []
    const fills: number[] = []
    for (let document = 0; document < 1; document++) {
      const sentences = sentencesOf(random, style, 500)
      const before = await divide(sentences)
      expect(before.length).toBeGreaterThanOrEqual(40)
      for (const each of before) fills.push(each.tokens / CHUNKING_DEFAULTS.size)
      const known = new Set(before.map((each) => each.text))
      for (let round = 0; round < 20; round++) {
        const after = await divide(edited(sentences, random, style, round))
        changes.push(after.filter((each) => !known.has(each.text)).length)
      }
    }
    changes.sort((one, other) => one - other)
    const share = (most: number) => changes.filter((each) => each <= most).length / changes.length
    expect(changes[changes.length >> 1]).toBeLessThanOrEqual(2)
    expect(share(3)).toBeGreaterThanOrEqual(0.95)
    expect(changes.at(-1)).toBeLessThanOrEqual(6)
    expect(fills.reduce((sum, fill) => sum + fill, 0) / fills.length).toBeGreaterThan(0.6)
  })
})
