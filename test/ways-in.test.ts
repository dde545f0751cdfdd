import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { type Body, openWorld, until, type World } from './support/world.js'

const NDJSON = { 'content-type': 'application/x-ndjson' }

const fixture = (name: string) => new URL(`../packages/files/test/fixtures/${name}`, import.meta.url)

const sentence = (i: number) => `Note ${i} tells how door ${(i * 37) % 101} of the house is painted.`

for (const backend of databases()) {
  describe(`ways in, ${backend.name}`, () => {
    let world: World
    let site: Server
    beforeAll(async () => {
      world = await openWorld(backend, {
        LINE_BYTES_MAX: '4096',
        FILE_BYTES_MAX: '65536',
        // A private address by its name; the number itself stays refused.
        URL_ALLOW: 'localhost',
      })
      site = createServer((request, response) => {
        if (request.url === '/away') {
          response.writeHead(302, { location: `http://127.0.0.1:${port()}/page` }).end()
        } else if (request.url === '/page') {
          response.writeHead(200, { 'content-type': 'text/html' })
          response.end('<title>Green doors</title><h1>Doors</h1><p>All doors of the house are green.</p>')
        } else response.writeHead(request.url === '/busy' ? 503 : 404).end()
      })
      site.listen(0, 'localhost')
      await once(site, 'listening')
    })
    afterAll(async () => {
      await world?.close()
      site?.close()
    })
    const port = () => (site.address() as AddressInfo).port

    const create = async (name: string) => {
      expect((await world.call('POST', '/v1/domains', { name })).status).toBe(201)
      return `/v1/domains/${name}/documents`
    }
    const lines = (path: string, body: string, query = '') =>
      world.call('POST', `${path}${query}`, body, NDJSON)
    const ids = async (path: string): Promise<string[]> => {
      const { body } = await world.call('GET', path)
      return (body as unknown as { documents: { id: string }[] }).documents.map(({ id }) => id)
    }
    const json = (documents: readonly object[]) =>
      documents.map((document) => JSON.stringify(document)).join('\n')

    test('lines are documents; a bad one is refused alone, with its place and a code', async () => {
      const path = await create('lines')
      const { status, body } = await lines(
        path,
        [
          '\uFEFF{"id":"a/ä 😀","text":"The first line has a mark before it."}\r',
          '',
          '{"id":"b","text":"broken"',
          '{"id":"c","text":5}',
          '{"id":"d","text":"x","more":1}',
          `{"id":"e","text":"${'long '.repeat(1_000)}"}`,
          '{"id":"a/ä 😀","text":"The same id once more."}',
          '{"id":"f","text":"x","metadata":{"__proto__":{"x":1}}}',
          '{"id":"g\\u0000","text":"NUL in an id"}',
          '{"text":"The last line has no id and no end."}',
        ].join('\n'),
      )
      expect(status).toBe(202)
      const rejected = (body.rejected as { index: number; code: string }[]).map(({ index, code }) => [
        index,
        code,
      ])
      expect(body).toMatchObject({ accepted: 2, rejectedTotal: 7 })
      expect(rejected).toEqual([
        [2, 'INVALID_JSON'],
        [3, 'INVALID_REQUEST'],
        [4, 'INVALID_REQUEST'],
        [5, 'LINE_TOO_LONG'],
        [6, 'DUPLICATE_ID'],
        [7, 'INVALID_JSON'],
        [8, 'INVALID_CHARACTER'],
      ])
      await world.finished(body.ingestion as string)
      expect(await ids(path)).toContain('a/ä 😀')
    })

    test('a stream of many slices: an id that comes again is refused, whatever became of the first', async () => {
      const path = await create('slices')
      const first = json([{ id: '7', text: sentence(7) }])
      const seven = await lines(path, first)
      await world.finished(seven.body.ingestion as string)
      const many = Array.from({ length: 4_100 }, (_, i) => ({
        id: String(i % 4_099),
        text: sentence(i % 4_099),
      }))
      many.push({ id: '7', text: 'Seven, in other words.' })
      const { body } = await lines(path, json(many))
      expect(body).toMatchObject({ accepted: 4_099, rejectedTotal: 2 })
      const cancelled = await world.call('DELETE', path.replace('/documents', ''))
      expect(cancelled.status).toBe(204)
    })

    test('nothing acceptable is 422 and writes nothing; an empty body too', async () => {
      const path = await create('nothing')
      expect(await lines(path, '{"text":""}\n[]\n')).toMatchObject({
        status: 422,
        body: { error: { code: 'NO_DOCUMENTS' } },
      })
      expect((await lines(path, '\n\n')).status).toBe(422)
      expect(await ids(path)).toEqual([])
    })

    test('a body that breaks off: what came whole is kept, the ingestion says so and ends', async () => {
      const path = await create('halfway')
      const { host, port, hostname } = new URL(world.url)
      await new Promise<void>((resolve, reject) => {
        const socket = connect(Number(port), hostname, () => {
          const body = `${json([{ id: 'whole', text: 'This line came to its end.' }])}\n{"id":"half","te`
          socket.write(
            `POST ${path}?source=s&sync=full HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/x-ndjson\r\ncontent-length: 100000\r\n\r\n${body}`,
            () => setTimeout(() => socket.destroy(), 100),
          )
        })
        socket.on('close', () => resolve())
        socket.on('error', reject)
      })
      await until(async () => {
        const { body } = await world.call('GET', `${path}/whole`)
        return body.state === 'ready' ? true : undefined
      })
      expect(await ids(path)).toEqual(['whole'])
    })

    test('a source kept in step: what is gone from it goes, after it succeeded', async () => {
      const path = await create('sync')
      const send = async (documents: readonly object[], query: string) => {
        const { status, body } = await lines(path, json(documents), query)
        expect(status).toBe(202)
        return world.finished(body.ingestion as string)
      }
      const documents = [1, 2, 3].map((i) => ({ id: `s${i}`, text: sentence(i) }))
      await send(documents, '?source=site&sync=full')
      await send([{ id: 'other', text: sentence(9) }], '?source=elsewhere')
      const plan = await lines(
        path,
        json([
          documents[0] ?? {},
          { id: 's2', text: 'Changed words, all of them new.' },
          { id: 's4', text: sentence(1) },
        ]),
        '?source=site&sync=full&dryRun=true',
      )
      expect(plan).toMatchObject({
        status: 200,
        body: {
          dryRun: true,
          documents: { added: 1, changed: 1, unchanged: 1, deleted: 1, rejected: 0, unknown: 0 },
          chunks: { total: 2, embed: 1 },
        },
      })
      // One was refused: nothing is taken for gone.
      await send([documents[0] ?? {}, { id: 'bad', text: '' }], '?source=site&sync=full')
      expect(await ids(path)).toEqual(['other', 's1', 's2', 's3'])
      const done = await send(documents.slice(0, 2), '?source=site&sync=full')
      expect(done).toMatchObject({ documents: { unchanged: 2 }, chunks: { embedded: 0 } })
      expect(await ids(path)).toEqual(['other', 's1', 's2'])
      expect((await lines(path, '{"text":"a"}', '?sync=full')).body.error?.code).toBe('SYNC_NEEDS_SOURCE')
    })

    test('JSON takes source, sync and dryRun too, and says what a change costs', async () => {
      const path = await create('plan')
      const body = { documents: [{ id: 'p', text: sentence(5) }], source: 'x', sync: 'full' }
      const plan = await world.call('POST', path, { ...body, dryRun: true })
      expect(plan.body).toMatchObject({ documents: { added: 1 }, chunks: { total: 1, embed: 1 } })
      expect(await ids(path)).toEqual([])
      const done = await world.finished((await world.client.post(path, body, submissionSchema)).ingestion)
      expect((plan.body.tokens as { embed: number }).embed).toBe(done.tokens.embedded)
    })

    test('files: described by the parts before them; a part that is not known is refused', async () => {
      const path = await create('files')
      const form = new FormData()
      form.append('id', 'notes/一 😀')
      form.append('title', 'Notes')
      form.append('metadata', '{"team":"doors"}')
      form.append('file', new Blob(['# Doors\n\nThe door is green.'], { type: 'text/markdown' }), 'notes.md')
      form.append('file', new Blob(['x'.repeat(70_000)]), 'large.txt')
      const response = await fetch(`${world.url}${path}`, { method: 'POST', body: form })
      const body = (await response.json()) as Body
      expect(response.status, JSON.stringify(body)).toBe(202)
      expect(body).toMatchObject({
        accepted: 1,
        rejected: [{ index: 1, id: 'large.txt', code: 'FILE_TOO_LARGE' }],
      })
      await world.finished(body.ingestion as string)
      const { body: document } = await world.call('GET', `${path}/${encodeURIComponent('notes/一 😀')}`)
      expect(document).toMatchObject({
        origin: 'file',
        title: 'Notes',
        file: { name: 'notes.md', type: 'text/markdown' },
        metadata: { team: 'doors' },
      })
      expect(document.text).toBe('# Doors\n\nThe door is green.')
      const original = await fetch(`${world.url}${path}/${encodeURIComponent('notes/一 😀')}/file`)
      expect(await original.text()).toBe('# Doors\n\nThe door is green.')
      expect(original.headers.get('content-disposition')).toContain('attachment')
      // Sent as text from then on: there is no file any more.
      const text = await world.call('POST', path, { documents: [{ id: 'notes/一 😀', text: 'Now a text.' }] })
      await world.finished(text.body.ingestion as string)
      const none = await world.call('GET', `${path}/${encodeURIComponent('notes/一 😀')}/file`)
      expect(none.body.error?.code).toBe('NO_FILE')
      const left = await world.running.backends.db.query('select 1 from millrace.file_parts')
      expect(left).toEqual([])
      const wrong = new FormData()
      wrong.append('what', 'x')
      const refused = await fetch(`${world.url}${path}`, { method: 'POST', body: wrong })
      expect(refused.status).toBe(400)
    })

    test('files of formats: what they say is found, with its page; a bad one fails alone, with a code', async () => {
      const path = await create('formats')
      const form = new FormData()
      for (const name of ['warranty.pdf', 'returns.docx', 'encrypted.pdf']) {
        form.append('file', new Blob([await readFile(fixture(name))]), name)
      }
      const response = await fetch(`${world.url}${path}?source=shelf`, { method: 'POST', body: form })
      const { ingestion } = (await response.json()) as { ingestion: string }
      const done = await world.finished(ingestion)
      expect(done).toMatchObject({
        documents: { ready: 2, failed: 1 },
        errors: [{ code: 'FILE_ENCRYPTED', count: 1 }],
      })
      const failed = await world.call('GET', `${path}?state=failed&ingestion=${ingestion}`)
      expect(failed.body).toMatchObject({ documents: [{ id: 'encrypted.pdf', ingestion }] })
      const others = await world.call('GET', `${path}?ingestion=${Number(ingestion) + 1}`)
      expect(others.body.documents).toEqual([])
      // What its chunks would be, without keeping it.
      const preview = new FormData()
      preview.append('request', '{"chunking": {"size": 64}}')
      preview.append('file', new Blob([await readFile(fixture('warranty.pdf'))]), 'warranty.pdf')
      const previewed = await fetch(`${world.url}/v1/chunks/preview`, { method: 'POST', body: preview })
      const { chunks, text } = (await previewed.json()) as {
        chunks: { place: unknown; text: string; start: number; end: number }[]
        text: string
      }
      expect(chunks.map(({ place }) => place)).toContainEqual({ page: 2 })
      expect(chunks.map(({ start, end }) => text.slice(start, end))).toEqual(chunks.map(({ text }) => text))
      const { body } = await world.call('GET', `${path}/warranty.pdf`)
      expect(body).toMatchObject({ origin: 'file', source: 'shelf', file: { format: 'pdf' } })
      expect((body.chunks as object[]).length).toBeGreaterThan(0)
    })

    test('a URL is fetched by a worker; private addresses are refused, also behind a redirect', async () => {
      const path = await create('urls')
      const at = `http://localhost:${port()}`
      const submitted = await world.client.post(
        path,
        {
          documents: [
            { url: `${at}/page` },
            { id: 'loop', url: `http://127.0.0.1:${port()}/page` },
            { id: 'ten', url: 'http://10.0.0.1/' },
            { id: 'away', url: `${at}/away` },
            { id: 'gone', url: `${at}/gone` },
            { id: 'busy', url: `${at}/busy` },
            { id: 'text', text: 'A text beside them is none the worse.' },
            { id: 'ftp', url: 'ftp://localhost/x' },
          ],
        },
        submissionSchema,
      )
      expect(submitted.rejected).toMatchObject([{ id: 'ftp', code: 'URL_INVALID' }])
      const done = await world.finished(submitted.ingestion)
      expect(done.documents).toMatchObject({ ready: 2, failed: 5 })
      expect(done.errors.map(({ code, count }) => [code, count])).toEqual([
        ['URL_REFUSED', 3],
        ['URL_STATUS', 2],
      ])
      const { body } = await world.call('GET', `${path}/${encodeURIComponent(`${at}/page`)}`)
      expect(body).toMatchObject({ title: 'Green doors', origin: 'url', file: { format: 'html' } })
      expect(body.text).toContain('All doors of the house are green.')
    })

    test('the examples of docs/ingestion.md are what happens', async () => {
      const docs = await readFile(new URL('../docs/ingestion.md', import.meta.url), 'utf8')
      const [front = '', more = ''] = docs.split(/^## Cleaning$/m)
      const calls = front.matchAll(
        /curl '?http:\/\/127\.0\.0\.1:8080(\/[^\s']+)'? -H 'content-type: ([^']+)' -d '\n([^']+)'(?:\n```\n\n```json\n([\s\S]+?)\n```)?/g,
      )
      const checked: string[] = []
      for (const [, path = '', type = '', body = '', shown] of calls) {
        const answer = await world.call('POST', path, type.includes('ndjson') ? `\n${body}` : body, {
          'content-type': type,
        })
        expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300)
        checked.push(path)
        if (shown !== undefined) expect(answer.body).toMatchObject(JSON.parse(shown))
        const { ingestion } = answer.body
        if (typeof ingestion === 'string') await world.finished(ingestion)
      }
      expect(checked).toHaveLength(4)

      // Requests of the rest: creating a domain, and previews of chunks, the last with its answer.
      const blocks = [...more.matchAll(/```json\n([\s\S]+?)\n```/g)].map(([, json = '']) => JSON.parse(json))
      const domains = blocks.filter((block) => 'name' in block)
      for (const block of domains) expect((await world.call('POST', '/v1/domains', block)).status).toBe(201)
      const previews: Body[] = []
      for (const block of blocks.filter((each) => typeof each.text === 'string')) {
        const { status, body } = await world.call('POST', '/v1/domains/shop/chunks/preview', block)
        expect(status).toBe(200)
        previews.push(body)
      }
      const texts = previews.map((preview) => (preview.chunks as { text: string; tokens: number }[])[0])
      expect(texts[0]).toMatchObject({ text: 'Refunds ... 3 days after ABC arrives ★', tokens: 14 })
      expect(texts[1]).toMatchObject({
        text: 'Refunds ........ 3&nbsp;days <b>after</b> ABC arrives ★★★★★',
        tokens: 35,
      })
      expect(previews.at(-1)).toEqual(blocks.find((block) => 'chunks' in block && 'cut' in block))
      expect([checked.length, domains.length, previews.length]).toEqual([4, 2, 3])
    })
  })
}
