import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { millrace } from './command.js'

const MODEL = 'all-minilm-l6-v2'
const document = z.strictObject({
  model: z.string(),
  texts: z.array(
    z.strictObject({
      tokens: z.int(),
      windows: z.int(),
      truncated: z.boolean(),
      dense: z.array(z.number()),
    }),
  ),
})

describe('millrace embed', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-embed-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test('prints one JSON document, without a server', async () => {
    const { code, out, err } = await millrace(['embed', '--model', MODEL, '--json', 'hello world', 'hello'])
    expect([code, err]).toEqual([0, ''])
    const { model, texts } = document.parse(JSON.parse(out))
    expect(model).toBe(MODEL)
    expect(texts.map(({ tokens, windows, truncated }) => [tokens, windows, truncated])).toEqual([
      [4, 1, false],
      [3, 1, false],
    ])
    for (const { dense } of texts) expect(dense).toHaveLength(384)
  })

  test('says it in lines for a person', async () => {
    const { out } = await millrace(['embed', '--model', MODEL, 'hello\nworld'])
    expect(out).toMatch(/^"hello world" {2}4 tokens, 1 window\n {2}dense {4}384 dims: (-?\d\.\d{4} ){6}…\n$/)
  })

  test('literals for SQL: as /v1/embed gives them, of a model without weights of words how often it has each token', async () => {
    const sql = ['embed', '--model', MODEL, '--sql', '--outputs', 'dense,sparse']
    const { code, out, err } = await millrace([...sql, 'parcel, parcel'])
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(/^\[-?\d[^\n]+\]\n\{(\d+:\d+,)*\d+:2(,\d+:\d+)*\}\/1000000000\n$/)
    const { texts } = JSON.parse((await millrace([...sql, '--json', 'parcel, parcel'])).out)
    expect(texts[0].sql).toEqual({ vector: expect.any(String), terms: out.split('\n')[1] })
    expect(Object.values(texts[0].sparse)).toContain(2)
  })

  test('reads texts from NDJSON, more than it holds at once, in order', async () => {
    const file = join(folder, 'texts.ndjson')
    const lines = Array.from({ length: 600 }, (_, i) =>
      JSON.stringify({ text: 'word '.repeat(1 + (i % 7)), i }),
    )
    await writeFile(file, `${lines.join('\n')}\n\n`)
    const { out } = await millrace(['embed', '--model', MODEL, '--ndjson', file, '--json'])
    const { texts } = document.parse(JSON.parse(out))
    expect(texts.map(({ tokens }) => tokens)).toEqual(lines.map((_, i) => 3 + (i % 7)))
  })

  const refusals: readonly (readonly [string, string[], string])[] = [
    ['no texts', [], 'NO_TEXTS: '],
    ['texts twice', ['a', '--ndjson', '-'], 'NO_TEXTS: '],
    ['an unknown output', ['a', '--outputs', 'dense,thick'], 'It must be some of dense,sparse,colbert.'],
    ['an output that the model lacks', ['a', '--outputs', 'sparse'], `MISSING_OUTPUT: ${MODEL} gives dense`],
    [
      'a file that is not there',
      ['--ndjson', 'none.ndjson'],
      'NO_SUCH_FILE: Cannot read none.ndjson (ENOENT)',
    ],
    ['a window larger than the model', ['a', '--window', '513'], 'BAD_WINDOW: '],
  ]
  test.each(refusals)('%s: exit code 1, and why', async (_, args, why) => {
    const { code, err } = await millrace(['embed', '--model', MODEL, ...args])
    expect(code).toBe(1)
    expect(err).toContain(why)
  })

  test('a text that cannot be embedded has its error in its place, and the others their vectors: exit code 2', async () => {
    const { code, out } = await millrace(['embed', '--model', MODEL, '--json', 'a', '', 'b'])
    expect(code).toBe(2)
    expect(JSON.parse(out)).toMatchObject({
      texts: [{ tokens: 3 }, { error: { code: 'EMPTY_TEXT', message: expect.any(String) } }, { tokens: 3 }],
    })
  })

  test('a line that is no text is named', async () => {
    const file = join(folder, 'bad.ndjson')
    await writeFile(file, '{"text": "a"}\n{"body": "b"}\n')
    const { code, err } = await millrace(['embed', '--model', MODEL, '--ndjson', file])
    expect(code).toBe(1)
    expect(err).toContain('INVALID_NDJSON: Line 2 is not a {"text": …}')
  })
})
