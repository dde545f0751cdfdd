import { dot, type Embedded, embedAll, openEngine } from '@millrace/embed'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { BGE_ZH, MINILM, MODELS_DIR, prose } from './models.js'

const engine = openEngine({ modelDirs: [MODELS_DIR], threads: 1 })
afterAll(() => engine.close())

const CHINESE = '请问上一次订单的发票在哪里下载如果密码忘记了应该怎样重新设置配送需要几天可以退款吗'
const chinese = (length: number, seed: number) =>
  Array.from({ length }, (_, i) => CHINESE[(i * (seed + 1) + seed * 5) % CHINESE.length] ?? '').join('')

/** Some calls at the same time: of which texts, and how urgent. */
const calls = fc.array(
  fc.record({
    texts: fc.array(fc.record({ length: fc.integer({ min: 1, max: 90 }), seed: fc.nat(50) }), {
      minLength: 1,
      maxLength: 12,
    }),
    priority: fc.constantFrom('bulk' as const, 'interactive' as const),
  }),
  { minLength: 1, maxLength: 5 },
)

// Every variant whose manifest promises it.
describe.each(engine.models().filter(({ batchInvariant }) => batchInvariant))(
  'the vector of a text by $id',
  ({ id }) => {
    const alone = new Map<string, Embedded>()
    const textOf = ({ length, seed }: { length: number; seed: number }) =>
      id === BGE_ZH && seed % 2 === 0 ? chinese(length, seed) : prose(length, seed)

    const embedAlone = async (text: string) => {
      const known = alone.get(text)
      if (known !== undefined) return known
      const [embedded] = await embedAll(engine, { model: id, texts: [text], kind: 'document' })
      if (embedded === undefined) throw new Error('A text in, no vector out')
      alone.set(text, embedded)
      return embedded
    }

    test('is that of the text alone, whatever shares its batch, wherever it stands, whoever else calls', async () => {
      await fc.assert(
        fc.asyncProperty(calls, async (given) => {
          const requests = given.map(({ texts, priority }) => ({
            model: id,
            kind: 'document' as const,
            priority,
            texts: texts.map(textOf),
          }))
          const answers = await Promise.all(requests.map((request) => embedAll(engine, request)))
          for (const [i, { texts }] of requests.entries()) {
            for (const [j, text] of texts.entries()) {
              const cosine = dot(
                (await embedAlone(text)).vector,
                answers[i]?.[j]?.vector ?? new Float32Array(),
              )
              expect(cosine).toBeGreaterThanOrEqual(0.99999)
            }
          }
        }),
        { numRuns: 12, seed: 7 },
      )
    })
  },
)

test('both models of this repository promise it', () => {
  expect(engine.models().map(({ id, batchInvariant }) => [id, batchInvariant])).toEqual([
    [MINILM, true],
    [BGE_ZH, true],
  ])
})
