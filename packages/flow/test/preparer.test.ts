import { setTimeout as sleep } from 'node:timers/promises'
import { openLog, openPreparer, type Preparer, recipeOf } from '@millrace/flow'
import { textHash } from '@millrace/text'
import { afterEach, expect, test } from 'vitest'
import { MINILM, manifestOf, modelDir } from './models.js'

const log = openLog('silent', 'test')
const recipe = recipeOf(manifestOf(MINILM), {})
const request = (text: string, dir = modelDir(MINILM)) => ({
  modelDir: dir,
  recipe,
  document: { title: null, text },
})
/** Long enough for a thread to start on a busy machine, far too short for what follows. */
const TIMEOUT_MS = 4_000
/** Many seconds of work. */
const ENDLESS = 'A sentence that is one of very many in this text. '.repeat(600_000)

let preparer: Preparer | undefined
afterEach(() => preparer?.close())

test('documents are prepared in a thread, several at once, each with its own answer', async () => {
  preparer = openPreparer(log)
  const open = preparer
  const texts = Array.from({ length: 20 }, (_, i) => `Text number ${i}.`)
  const prepared = await Promise.all(texts.map((text) => open.prepare(request(text))))
  for (const [i, { chunks }] of prepared.entries()) {
    expect(chunks.map(({ text }) => text)).toEqual([texts[i]])
    const [chunk] = chunks
    expect(Buffer.isBuffer(chunk?.hash)).toBe(true)
    expect(chunk?.hash).toEqual(textHash('document', texts[i] ?? ''))
  }
})

test('what is wrong with one document is its own error, its neighbours are prepared', async () => {
  preparer = openPreparer(log)
  const [wrong, right] = await Promise.allSettled([
    preparer.prepare(request('No tokenizer there.', modelDir('no-such-model'))),
    preparer.prepare(request('Fine.')),
  ])
  expect(wrong).toMatchObject({
    status: 'rejected',
    reason: { code: 'INVALID_TOKENIZER', retryable: false },
  })
  expect(right.status).toBe('fulfilled')
})

test('a document that takes too long ends the thread: it fails, the others may be tried again, the next one works', async () => {
  preparer = openPreparer(log, TIMEOUT_MS)
  const endless = preparer.prepare(request(ENDLESS))
  endless.catch(() => undefined)
  await sleep(TIMEOUT_MS / 2)
  const [first, second] = await Promise.allSettled([endless, preparer.prepare(request(ENDLESS))])
  expect(first).toMatchObject({
    status: 'rejected',
    reason: { code: 'PREPARE_TIMEOUT', retryable: false, message: expect.stringContaining('4 s') },
  })
  expect(second).toMatchObject({
    status: 'rejected',
    reason: { code: 'PREPARE_CRASHED', retryable: true },
  })
  expect((await preparer.prepare(request('After that.'))).chunks).toHaveLength(1)
})

test('what waits when it is closed may be tried again elsewhere', async () => {
  preparer = openPreparer(log)
  const waiting = preparer.prepare(request(ENDLESS)).catch((error: unknown) => error)
  await preparer.close()
  expect(await waiting).toMatchObject({ code: 'PREPARE_CRASHED', retryable: true })
})
