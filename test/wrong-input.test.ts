import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { openWorld, type World } from './support/world.js'
import { cases, DOCUMENTS, OK } from './support/wrong.js'

const LONE = '\ud800'

for (const backend of databases()) {
  describe(`wrong input, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend, {
        BODY_BYTES_MAX: '200000',
        TEXT_BYTES_MAX: '50000',
        DOCUMENTS_MAX: '20',
      })
      await world.call('POST', '/v1/domains', { name: 'docs' })
      await world.finished((await submit([OK])).ingestion)
    })
    afterAll(() => world?.close())

    const submit = (documents: readonly object[]) =>
      world.client.post(DOCUMENTS, { documents }, submissionSchema)

    /** Rows of everything that a call could have left behind. */
    async function rows(): Promise<unknown> {
      const [counts] = await world.running.backends.db.query(`select
        (select count(*)::int from millrace.domains) as domains,
        (select count(*)::int from millrace.generations) as generations,
        (select count(*)::int from millrace.ingestions) as ingestions,
        (select count(*)::int from millrace.documents) as documents,
        (select count(*)::int from millrace.chunks) as chunks,
        (select count(*)::int from millrace.pending) as pending`)
      return counts
    }

    test.each(cases)('$name: $status $code, and nothing is written', async (wrong) => {
      const before = await rows()
      const answer =
        wrong.body === 'latin1'
          ? await fetch(`${world.url}${wrong.path}`, {
              method: 'POST',
              headers: { 'content-type': 'application/json' },
              body: Buffer.from('{"documents": [{"text": "caf\xe9"}]}', 'latin1'),
            }).then(async (response) => ({
              status: response.status,
              body: JSON.parse(await response.text()),
            }))
          : await world.call(wrong.method ?? 'POST', wrong.path, wrong.body, wrong.headers)
      expect({ status: answer.status, code: answer.body.error?.code }).toEqual({
        status: wrong.status,
        code: wrong.code,
      })
      expect(answer.body.error?.message).toBeTruthy()
      expect(await rows()).toEqual(before)
    })

    test('the words of a missing text are the ones callers match on', async () => {
      const { body } = await world.call('POST', '/similarity', {})
      expect(body.error).toMatchObject({ code: 'MISSING_TEXT', message: '缺少输入文本' })
    })

    test('an answer to a wrong method names the right ones', async () => {
      const { headers } = await world.call('DELETE', '/v1/domains')
      expect(headers.get('allow')).toContain('POST')
    })

    test('a wrong document is refused alone, with its place, its id and the reason; its neighbours go on', async () => {
      const wrong = [
        { id: 'blank', text: '  ', code: 'BLANK_TEXT' },
        { id: 'nul', text: 'a\0b', code: 'INVALID_CHARACTER' },
        { id: 'lone', text: `a${LONE}b`, code: 'INVALID_CHARACTER' },
        { id: 'title', title: `a${LONE}`, text: 'x', code: 'INVALID_CHARACTER' },
        { id: 'long title', title: 'x'.repeat(2_001), text: 'x', code: 'TITLE_TOO_LONG' },
        { id: 'x'.repeat(513), text: 'x', code: 'ID_TOO_LONG' },
        { id: 'é'.repeat(257), text: 'x', code: 'ID_TOO_LONG' },
        { id: '', text: 'x', code: 'INVALID_ID' },
        { id: '.', text: 'x', code: 'INVALID_ID' },
        { id: '..', text: 'x', code: 'INVALID_ID' },
        { id: 'a\0', text: 'x', code: 'INVALID_CHARACTER' },
        { id: 'long', text: 'x'.repeat(50_001), code: 'TEXT_TOO_LONG' },
        { id: 'meta nul', text: 'x', metadata: { a: 'b\0' }, code: 'INVALID_CHARACTER' },
        { id: 'meta key', text: 'x', metadata: { [`k${LONE}`]: 1 }, code: 'INVALID_CHARACTER' },
        { id: 'meta long', text: 'x', metadata: { a: 'x'.repeat(65_537) }, code: 'METADATA_TOO_LONG' },
        {
          id: 'meta deep',
          text: 'x',
          metadata: JSON.parse(`{"a":${'['.repeat(500)}${']'.repeat(500)}}`),
          code: 'METADATA_TOO_DEEP',
        },
        {
          id: 'meta number',
          text: 'x',
          metadata: { order: [JSON.parse('12345678901234567890')] },
          code: 'INVALID_NUMBER',
        },
        { id: 'good', text: 'once more', code: 'DUPLICATE_ID' },
      ]
      const before = (await rows()) as { documents: number }
      const good = {
        id: 'good',
        title: '\\u0000 is not NUL',
        text: 'A good one \\ud800.',
        metadata: { 'a\\u0000': '\\ud800', n: [9_007_199_254_740_991, -0.1, 1e300] },
      }
      const submission = await submit([good, ...wrong.map(({ code: _code, ...document }) => document)])
      expect(submission.accepted).toBe(1)
      expect(submission.rejected.map(({ index, code }) => ({ index, code }))).toEqual(
        wrong.map(({ code }, i) => ({ index: i + 1, code })),
      )
      expect(submission.rejected.every(({ message }) => message.length > 0)).toBe(true)
      expect(await world.finished(submission.ingestion)).toMatchObject({ documents: { total: 1, ready: 1 } })
      expect(await rows()).toMatchObject({ documents: before.documents + 1 })
      expect((await world.call('GET', `${DOCUMENTS}/good`)).body).toMatchObject(good)
    })

    test('a document without an id is given the hash of its title and text, the same each time', async () => {
      const document = { title: 'T', text: 'No id here.' }
      const first = await world.finished((await submit([document])).ingestion)
      const second = await world.finished((await submit([document])).ingestion)
      expect(first.documents).toMatchObject({ ready: 1, unchanged: 0 })
      expect(second.documents).toMatchObject({ ready: 1, unchanged: 1 })
    })

    test('two clients that submit the same id at once end with one of the two texts, whole', async () => {
      const texts = Array.from({ length: 8 }, (_, i) => `Version number ${i} of the text.`)
      const submissions = await Promise.all(
        texts.map((text) =>
          submit([
            { id: 'contested', text },
            { id: `n${text.length}`, text },
          ]),
        ),
      )
      for (const { ingestion } of submissions) {
        expect((await world.finished(ingestion)).documents.failed).toBe(0)
      }
      const { body } = await world.call('GET', `${DOCUMENTS}/contested`)
      expect(texts).toContain(body.text)
      expect(body).toMatchObject({ state: 'ready', chunks: [{ text: body.text }] })
    })
  })
}
