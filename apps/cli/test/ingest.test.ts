import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { findInputs, ingestFiles, openClient, silent } from 'millrace'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { openRecorder, type Recorder, refuse } from './recorder.js'

const PDF = '%PDF-1.4 not really\r\n--\r\n\x00\xff'
const FILES: Readonly<Record<string, string | Buffer>> = {
  'docs/a.md': '# Doors\n\nThe door is green.\n',
  'docs/sub/é "1".pdf': Buffer.from(PDF, 'latin1'),
  'texts/one.md': 'One.',
  'texts/two.txt': 'Two.',
  'texts/gb.txt': Buffer.from([0xc4, 0xe3, 0xba, 0xc3]),
  'notes.ndjson': '\uFEFF{"id":"n1","text":"a"}\n\nbroken\n{"id":"n2","text":"b"}',
  'more.jsonl': '\uFEFF{"id":"n3","text":"c"}\r\n{"url":"https://example.org"}\n',
  'good.ndjson': '{"id":"g","title":null,"text":"a","metadata":{"x":[1]}}\n\n',
  'faq.csv':
    'id,question,text,team\r\n1,"Who, me?","Two\r\nlines ""quoted""",red\r\n\r\n,,,\r\n3,x,y\r\n4,a,b,c,d\r\n',
  'other.tsv': 'nummer\tantwort\n7\tJa; nein, doch.\n',
  'unclosed.csv': 'id,text\n1,fine\n2,"never ends\n',
}

describe('what is sent', () => {
  let recorder: Recorder
  let root: string
  beforeAll(async () => {
    recorder = await openRecorder()
    root = await mkdtemp(join(tmpdir(), 'millrace-ingest-'))
    for (const [path, content] of Object.entries(FILES)) {
      await mkdir(dirname(join(root, path)), { recursive: true })
      await writeFile(join(root, path), content)
    }
  })
  afterAll(async () => {
    recorder?.close()
    if (root !== undefined) await rm(root, { recursive: true, force: true })
  })
  beforeEach(() => recorder.forget())

  interface Given {
    readonly source?: string
    readonly sync?: boolean
    readonly rows?: boolean
    readonly format?: 'csv' | 'text'
    readonly id?: string
    readonly columns?: { readonly text?: string; readonly id?: string; readonly title?: string }
    readonly input?: readonly (string | Buffer)[]
  }
  const ingest = async (paths: readonly string[], { input = [], ...given }: Given = {}) => {
    const { inputs } = await findInputs(
      paths.map((path) => (/^(-|https?:.*)$/.test(path) ? path : join(root, path))),
      given,
    )
    const client = openClient({ url: recorder.url, apiKey: undefined, language: 'en' })
    const stdin = () => Readable.from(input.map((chunk) => Buffer.from(chunk)))
    return ingestFiles(client, 'd', inputs, silent, { ...given, stdin })
  }
  const problemsOf = async (...given: Parameters<typeof ingest>) =>
    (await ingest(...given)).problems.map(({ path, code }) => [path.replace(`${root}/`, ''), code])

  test('texts, rows and URLs are one stream of lines, whatever is a file one form after it', async () => {
    expect(await problemsOf(['docs', 'https://example.org/x', 'good.ndjson'], { source: 'a b' })).toEqual([])
    const [lines, form, ...more] = recorder.submissions
    expect(more).toEqual([])
    expect(lines).toMatchObject({ type: 'application/x-ndjson', query: 'source=a+b' })
    expect(recorder.linesOf(lines)).toEqual([
      { id: 'a.md', title: 'Doors', text: '# Doors\n\nThe door is green.\n', metadata: { path: 'a.md' } },
      { url: 'https://example.org/x' },
      { id: 'g', title: null, text: 'a', metadata: { x: [1] } },
    ])
    expect(form?.query).toBe('source=a+b')
    const file = Buffer.concat([
      Buffer.from('\r\n\r\n'),
      Buffer.from(PDF, 'latin1'),
      Buffer.from('\r\n--millrace-'),
    ])
    expect(form?.body.includes(file)).toBe(true)
    expect(
      (await recorder.partsOf(form)).map(([name, value]) => [
        name,
        typeof value === 'string' ? value : value.type,
      ]),
    ).toEqual([
      ['id', 'sub/é "1".pdf'],
      ['metadata', '{"path":"sub/é \\"1\\".pdf"}'],
      ['file', 'application/pdf'],
    ])
  })

  test('a text that is not UTF-8 goes as a file, for the server to read', async () => {
    await ingest(['texts'])
    const [lines, form] = recorder.submissions
    expect(recorder.linesOf(lines)).toMatchObject([{ id: 'one.md' }, { id: 'two.txt' }])
    expect(await recorder.partsOf(form)).toMatchObject([
      ['id', 'gb.txt'],
      ['metadata', '{"path":"gb.txt"}'],
      ['file', { name: 'gb.txt', type: 'text/plain' }],
    ])
  })

  test('a sync with files is one form that has the texts too', async () => {
    await ingest(['docs', 'good.ndjson'], { source: 's', sync: true })
    const [form, ...more] = recorder.submissions
    expect(more).toEqual([])
    expect(form?.query).toBe('source=s&sync=full')
    const parts = await recorder.partsOf(form)
    expect(parts.slice(0, 4)).toEqual([
      ['id', 'a.md'],
      ['title', 'Doors'],
      ['metadata', '{"path":"a.md"}'],
      ['file', { name: 'document.md', type: 'text/markdown', text: '# Doors\n\nThe door is green.\n' }],
    ])
    expect(parts.slice(-3)).toMatchObject([
      ['id', 'g'],
      ['metadata', '{"x":[1]}'],
      ['file', { text: 'a' }],
    ])
  })

  test('a sync of texts alone stays lines; one that would lack something is refused', async () => {
    await ingest(['docs/a.md'], { source: 's', sync: true })
    expect(recorder.submissions).toMatchObject([
      { type: 'application/x-ndjson', query: 'source=s&sync=full' },
    ])
    const sync = { source: 's', sync: true }
    await expect(ingest(['docs', 'https://example.org'], sync)).rejects.toMatchObject({ code: 'SYNC_MIXED' })
    for (const path of ['faq.csv', 'unclosed.csv']) {
      await expect(ingest([path], sync)).rejects.toMatchObject({ code: 'SYNC_INCOMPLETE' })
    }
    await expect(ingest(['docs', 'notes.ndjson'], sync)).rejects.toMatchObject({
      code: 'SYNC_INCOMPLETE',
      message: expect.stringContaining('notes.ndjson:3: INVALID_NDJSON'),
    })
    expect(recorder.submissions).toHaveLength(1)
  })

  test.skipIf(process.getuid?.() === 0)(
    'a file that may not be read: a problem of its own, but for a sync of all',
    async () => {
      const path = join(root, 'closed.md')
      await writeFile(path, 'x')
      await chmod(path, 0)
      expect(await problemsOf(['closed.md', 'docs/a.md'])).toEqual([['closed.md', 'EACCES']])
      const sync = { source: 's', sync: true }
      await expect(ingest(['closed.md'], sync)).rejects.toMatchObject({ code: 'SYNC_INCOMPLETE' })
    },
  )

  test('a file that goes after it was found is a problem of its own', async () => {
    const path = join(root, 'gone.md')
    await writeFile(path, 'x')
    const { inputs } = await findInputs([path, join(root, 'docs/a.md')])
    await rm(path)
    const client = openClient({ url: recorder.url, apiKey: undefined, language: 'en' })
    expect(await ingestFiles(client, 'd', inputs, silent)).toMatchObject({
      documents: { found: 2, sent: 1 },
      problems: [{ path, code: 'ENOENT' }],
    })
    await expect(ingestFiles(client, 'd', inputs, silent, { source: 's', sync: true })).rejects.toMatchObject(
      { code: 'SYNC_INCOMPLETE' },
    )
  })

  test('NDJSON goes as it is, without byte order marks; a refusal by index is told as file and line', async () => {
    const rejected = [1, 2, 5].map((index) => ({ index, code: 'INVALID_JSON', message: 'x' }))
    recorder.answerNext(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      expect(body).toBe(
        '{"id":"n1","text":"a"}\n\nbroken\n{"id":"n2","text":"b"}\n{"id":"n3","text":"c"}\r\n{"url":"https://example.org"}\n',
      )
      response.setHeader('content-type', 'application/json')
      response.statusCode = 202
      response.end(JSON.stringify({ ingestion: '9', accepted: 1, rejected, rejectedTotal: 1_003 }))
    })
    expect(await problemsOf(['notes.ndjson', 'more.jsonl'])).toEqual([
      ['notes.ndjson:2', 'INVALID_JSON'],
      ['notes.ndjson:3', 'INVALID_JSON'],
      ['more.jsonl:2', 'INVALID_JSON'],
      ['1000 more', 'REFUSED'],
    ])
  })

  test('lines that arrive in pieces are counted as lines', async () => {
    recorder.answerNext(
      refuse(422, 'NO_DOCUMENTS', { rejected: [{ index: 2, code: 'BLANK_TEXT', message: 'x' }] }),
    )
    expect(await problemsOf(['-'], { input: ['{"te', 'xt":"a"}', '\n\n{', '"text":""', '}'] })).toEqual([
      ['standard input:3', 'BLANK_TEXT'],
    ])
  })

  test('rows of CSV: text, id and title by their columns, the others are metadata; a bad row is named', async () => {
    expect(await problemsOf(['faq.csv'], { columns: { title: 'question' } })).toEqual([
      ['faq.csv row 4', 'INVALID_CSV'],
    ])
    expect(recorder.linesOf(recorder.submissions[0])).toEqual([
      { id: '1', title: 'Who, me?', text: 'Two\r\nlines "quoted"', metadata: { team: 'red' } },
      { text: '', metadata: {} },
      { id: '3', title: 'x', text: 'y', metadata: {} },
    ])
  })

  test('tabs, other names of columns, and standard input', async () => {
    const columns = { text: 'antwort', id: 'nummer' }
    await ingest(['other.tsv'], { columns })
    await ingest(['-'], { format: 'csv', columns, input: [FILES['other.tsv'] ?? ''] })
    const row = { id: '7', text: 'Ja; nein, doch.', metadata: {} }
    expect(recorder.submissions.map((submission) => recorder.linesOf(submission))).toEqual([[row], [row]])
    await expect(problemsOf(['other.tsv'], { rows: true })).resolves.toEqual([
      ['other.tsv', 'MISSING_COLUMN'],
    ])
  })

  test('a quotation mark that is never closed ends the file, what stood before it is sent', async () => {
    expect(await problemsOf(['unclosed.csv'])).toEqual([['unclosed.csv', 'INVALID_CSV']])
    expect(recorder.linesOf(recorder.submissions[0])).toEqual([{ id: '1', text: 'fine', metadata: {} }])
  })

  test('rows that are not UTF-8 are not guessed at', async () => {
    const input = [Buffer.from('text\ncaf\xe9\n', 'latin1')]
    expect(await problemsOf(['-'], { format: 'csv', input })).toEqual([['standard input', 'INVALID_UTF8']])
  })

  test('a text on standard input is one document', async () => {
    await ingest(['-'], { format: 'text', id: 'a/b 😀', input: ['# Tit', 'le\n\nText.'] })
    expect(recorder.linesOf(recorder.submissions[0])).toEqual([
      { id: 'a/b 😀', title: 'Title', text: '# Title\n\nText.' },
    ])
  })

  test('empty standard input is refused', async () => {
    await expect(ingest(['-'])).rejects.toMatchObject({ code: 'NO_DOCUMENTS' })
    await expect(ingest(['-'], { format: 'csv' })).rejects.toMatchObject({ code: 'NO_DOCUMENTS' })
    expect(recorder.submissions).toEqual([])
  })

  test('a server that is busy gets it all again, read anew; standard input too', async () => {
    recorder.answerNext(refuse(429, 'OVERLOADED'))
    await ingest(['docs/a.md', '-'], { input: ['{"text":"a"}\n', '{"text":"b"}\n'] })
    expect(recorder.linesOf(recorder.submissions[0])).toMatchObject([
      { id: 'a.md' },
      { text: 'a' },
      { text: 'b' },
    ])
  })

  test('a connection that breaks while documents are sent is not tried again', async () => {
    recorder.answerNext((request) => {
      request.once('data', () => request.socket.destroy())
    })
    await expect(ingest(['docs/a.md'])).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
    expect(recorder.submissions).toEqual([])
  })

  test('a refusal of the call while much is still to be sent comes through', async () => {
    recorder.answerNext(refuse(404, 'UNKNOWN_DOMAIN'))
    const input = Array.from({ length: 200 }, () => `{"text":"${'x'.repeat(64 * 1024)}"}\n`)
    await expect(ingest(['-'], { input })).rejects.toMatchObject({ code: 'UNKNOWN_DOMAIN' })
  })
})

test('a large body is not kept in memory while it is sent', async () => {
  const recorder = await openRecorder()
  try {
    recorder.answerNext(async (request, response) => {
      for await (const _chunk of request);
      response.writeHead(202, { 'content-type': 'application/json' }).end('{}')
    })
    const PIECE = 1024 * 1024
    const PIECES = 256
    let most = 0
    async function* pieces() {
      for (let i = 0; i < PIECES; i++) {
        yield Buffer.alloc(PIECE, 'x')
        most = Math.max(most, process.memoryUsage().arrayBuffers)
      }
    }
    const client = openClient({ url: recorder.url, apiKey: undefined, language: 'en' })
    await client.send(
      '/v1/domains/d/documents',
      { contentType: 'application/x-ndjson', bytes: pieces() },
      z.object({}),
    )
    // A copy of it would be all of it; what waits to be collected is less.
    expect(most).toBeLessThan((PIECE * PIECES) / 2)
  } finally {
    recorder.close()
  }
})
