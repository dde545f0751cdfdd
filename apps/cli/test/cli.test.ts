import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { domainDetailSchema, ingestionSchema, searchSchema, statusSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { backends } from '../../../test/support/backends.js'
import { openWorld, type World } from '../../../test/support/world.js'
import { type Ended, millrace } from './command.js'

const KEY = 'key-of-the-tests'
const MODEL = 'all-minilm-l6-v2'
const FILES = {
  'delivery.md': '---\ntitle: Delivery times\n---\n\n# Ignored\n\nOur parcels arrive within three days.\n',
  'sub/refunds.md': '# Refunds come quickly\n\nMoney comes back to your card within ten days.\n',
  'sub/深/opening hours 🕘.txt': 'You can call us from nine to five.\n',
  '.hidden/secret.md': 'Not for you.',
  'node_modules/package/README.md': 'Not ours.',
  'picture.png': 'Not a text.',
}
/** A command that fails, and what it says then. */
interface Refused {
  readonly name: string
  readonly args: () => string[]
  readonly err: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Another place than the test's own Millrace. */
  readonly at?: () => string
}

const LATIN = Buffer.from('caf\xe9', 'latin1')

/** What is printed with --json of `ingest`, as far as these tests look at it. */
const reportSchema = z.object({
  ingestions: z.array(z.string()),
  documents: z.record(z.string(), z.number()),
  chunks: z.record(z.string(), z.number()),
  tokens: z.record(z.string(), z.number()),
  deleted: z.number().nullable(),
  ignored: z.record(z.string(), z.number()),
  problems: z.array(z.object({ path: z.string(), code: z.string(), message: z.string() })),
})
const planned = z.object({
  documents: z.record(z.string(), z.number()),
  tokens: z.object({ total: z.number(), embed: z.number() }),
})

/** A web server that knows nothing of Millrace. */
interface Stranger {
  readonly url: string
  close(): void
}

async function openStranger(): Promise<Stranger> {
  const server = createServer((_request, response) => response.end('<h1>Welcome</h1>')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = address === null || typeof address === 'string' ? 0 : address.port
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() }
}

describe('the command millrace', () => {
  let world: World
  let docs: string
  let wrong: string
  let stranger: Stranger
  beforeAll(async () => {
    const [embedded] = backends()
    if (embedded === undefined) throw new Error('there is no backend')
    // A server whose limits of a body are lower than what the command sends: streams have none.
    const limits = { DOCUMENTS_MAX: '2', BODY_BYTES_MAX: '20000', LINE_BYTES_MAX: '20000' }
    world = await openWorld(embedded, { MILLRACE_API_KEYS: KEY, ...limits })
    stranger = await openStranger()
    const root = await mkdtemp(join(tmpdir(), 'millrace-cli-'))
    docs = join(root, 'docs')
    await write(docs, FILES)
    wrong = join(root, 'wrong')
    await write(wrong, {
      'a.md': 'A good one stands before them.',
      'blank.txt': ' \n',
      'latin.txt': LATIN,
      'lying.pdf': 'Not a PDF at all.',
      'long.md': 'x '.repeat(10_001),
      'z.md': 'Another good one stands behind them.',
    })
  })
  afterAll(async () => {
    await world?.close()
    stranger?.close()
    if (docs !== undefined) await rm(dirname(docs), { recursive: true, force: true })
  })

  async function write(folder: string, files: Readonly<Record<string, string | Buffer>>): Promise<void> {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), content)
    }
  }
  const run = (
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    input?: string,
  ): Promise<Ended> => millrace(args, { MILLRACE_URL: world.url, MILLRACE_API_KEY: KEY, ...env }, input)
  /** One JSON document on standard output and nothing anywhere else. */
  const json = async <T>(args: readonly string[], schema: z.ZodType<T>): Promise<T> => {
    const { out, err } = await run([...args, '--json'])
    expect(err).toBe('')
    expect(out.trimEnd().split('\n')).toHaveLength(1)
    return schema.parse(JSON.parse(out))
  }

  test('status of an empty Millrace says where it is and what to do', async () => {
    const { code, out, err } = await run(['status'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out.startsWith(`Millrace at ${world.url}\n0 ingestions running, 0 documents open`)).toBe(true)
    expect(out).toMatch(/^worker +slots/m)
    expect(out.endsWith('\nno domains yet: millrace domains create NAME\n')).toBe(true)
  })

  test('a folder goes in, into a domain that is made for it; what is hidden, installed or no text stays out', async () => {
    const { code, out, err } = await run(['ingest', docs, '--domain', 'docs', '--create', '--model', MODEL])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(
      /^3 of 3 documents ready, 0 unchanged, in \d+\.\d s\n3 chunks: 3 embedded \(\d+ tokens\), 0 reused\ntext cut: none\nleft out 1 file of folders: 1 \.png\n$/,
    )
  })

  test('ids are the paths below the folder; titles are front matter, else first heading, else file name', async () => {
    const { hits } = await json(['search', 'anything', '-d', 'docs'], searchSchema)
    expect(new Map(hits.map(({ documentId, title }) => [documentId, title]))).toEqual(
      new Map([
        ['delivery.md', 'Delivery times'],
        ['sub/refunds.md', 'Refunds come quickly'],
        ['sub/深/opening hours 🕘.txt', 'opening hours 🕘'],
      ]),
    )
  })

  test('the same folder again: every document unchanged, nothing embedded, one JSON document with --json', async () => {
    const report = await json(['ingest', docs, '--domain', 'docs'], reportSchema)
    expect(report).toMatchObject({
      documents: { found: 3, sent: 3, ready: 3, unchanged: 3, failed: 0 },
      chunks: { total: 3, embedded: 0, reused: 3 },
      tokens: { embedded: 0 },
      problems: [],
    })
    // One stream is one ingestion, whatever the limits of a request that is read whole.
    expect(report).toMatchObject({ ingestions: [expect.any(String)], ignored: { '.png': 1 } })
  })

  test('files that cannot go in are named with their path and the reason, the others are in: exit code 2', async () => {
    const { code, out, err } = await run(['ingest', wrong, '-d', 'wrong', '--create', '--model', MODEL])
    expect({ code, err }).toEqual({ code: 2, err: '' })
    expect(out).toMatch(/^3 of 6 documents ready, /)
    expect(out).toContain('3 problems:\n')
    expect(out).toMatch(/\/wrong\/blank\.txt +BLANK_TEXT +The text is blank\n/)
    expect(out).toMatch(/\/wrong\/lying\.pdf +FILE_/)
    expect(out).toMatch(/\/wrong\/long\.md +LINE_TOO_LONG +/)
  })

  test('with --json the problems are in the document', async () => {
    const { problems } = await json(['ingest', join(wrong, 'blank.txt'), '-d', 'wrong'], reportSchema)
    expect(problems).toEqual([
      { path: join(wrong, 'blank.txt'), code: 'BLANK_TEXT', message: 'The text is blank' },
    ])
  })

  test('a source in step with its folder: a dry run says what would be done, a sync does it', async () => {
    const folder = join(docs, '..', 'handbook')
    const pdf = await readFile(new URL('../../../packages/files/test/fixtures/warranty.pdf', import.meta.url))
    await write(folder, { 'a b/door.md': '# The door\n\nThe door is green.', 'gone.txt': 'To be gone.' })
    await write(folder, {
      'warranty.pdf': pdf,
      'faq.csv': 'id,text\nq1,We open at nine.\nq2,We close at five.\n',
    })
    const into = ['-d', 'handbook', '--source', 'handbook', '--sync', '--rows']
    const made = await run(['ingest', folder, ...into, '--create', '--model', MODEL])
    expect({ code: made.code, err: made.err }).toEqual({ code: 0, err: '' })
    expect(made.out).toMatch(/^5 of 5 documents ready/)
    await rm(join(folder, 'gone.txt'))
    await write(folder, {
      'faq.csv': 'id,text\nq1,We open at nine.\nq2,We close at six o’clock.\nq3,Closed on Sunday.\n',
    })
    const plan = await json(['ingest', folder, ...into, '--dry-run'], planned)
    expect(plan.documents).toMatchObject({ added: 1, changed: 1, deleted: 1, unchanged: 3, rejected: 0 })
    const report = await json(['ingest', folder, ...into], reportSchema)
    expect(report.documents).toMatchObject({ found: 5, ready: 5, unchanged: 3 })
    expect(report.tokens.embedded).toBe(plan.tokens.embed)
    const { hits } = await json(['search', 'anything', '-d', 'handbook', '-k', '100'], searchSchema)
    expect(new Set(hits.map(({ documentId }) => documentId))).toEqual(
      new Set(['a b/door.md', 'warranty.pdf', 'q1', 'q2', 'q3']),
    )
  })

  test('lines from standard input; a bad one is named by its number and stops no other', async () => {
    const input = '{"id":"one","text":"The first."}\n{"id":"two"\n{"id":"three","text":"The third."}'
    const { code, out } = await run(['ingest', '-', '-d', 'piped', '--create', '--model', MODEL], {}, input)
    expect(code).toBe(2)
    expect(out).toMatch(/^2 of 3 documents ready, /)
    expect(out).toMatch(/^ {2}standard input:2 +INVALID_JSON +/m)
  })

  test('search prints the nearest first, with similarity, level, title, id and passage', async () => {
    const { code, out } = await run(['search', 'when do I get my money back?', '-d', 'docs', '-k', '2'])
    expect(code).toBe(0)
    expect(out).toMatch(/^ {2}1\. 0\.\d{4} {2}\S.* {2}Refunds come quickly {2}\(sub\/refunds\.md\)\n {5}\S/)
    expect(out.trimEnd().split('\n')).toHaveLength(5)
    expect(out).toMatch(/\ngeneration \d+, \S+\n$/)
  })

  test('a search that finds nothing above the threshold says so', async () => {
    expect(await run(['search', 'purple elephants', '-d', 'docs', '--threshold', '0.9'])).toEqual({
      code: 0,
      out: expect.stringMatching(
        /^no hits for "purple elephants" \(threshold 0\.9\)\ngeneration \d+, \S+\n$/,
      ),
      err: '',
    })
  })

  test('similarity, with the level in the language of the terminal', async () => {
    const texts = ['similarity', 'I forgot my password', 'How do I reset my password?', '-d', 'docs']
    const [english, chinese] = await Promise.all([run(texts), run(texts, { LC_ALL: 'zh_CN.UTF-8' })])
    expect(english.out).toMatch(/^0\.\d{4} {2}(nearly the same|related) {2}\(all-minilm-l6-v2\)\n$/)
    expect(chinese.out).toMatch(/^0\.\d{4} {2}(极度相似|语义相关) {2}\(all-minilm-l6-v2\)\n$/)
    const same = await json(
      ['similarity', 'one', 'one'],
      z.object({ similarity: z.number(), levelKey: z.string() }),
    )
    expect(same).toEqual({ similarity: 1, levelKey: 'same' })
  })

  test('similarity --explain adds the scores, and the words of both with their shares', async () => {
    const { code, out } = await run(['similarity', 'my password', 'a new password?', '--explain'])
    expect(code).toBe(0)
    expect(out).toMatch(/^0\.\d{4} .*\n {2}dense 0\.\d{4}, sparse -, colbert -\n {2}100 % {2}password\n$/)
  })

  test('explain says why, and fails for a document that is not there', async () => {
    const asked = ['when do parcels arrive?', '--domain', 'docs', '-k', '1']
    const found = await run(['explain', 'delivery.md', ...asked])
    expect(found).toMatchObject({ code: 0, out: expect.stringMatching(/^HIT: "delivery.md" is hit 1\.\n/) })
    const unknown = await run(['explain', 'delivery', ...asked])
    expect(unknown).toMatchObject({ code: 1, out: expect.stringContaining('there is "delivery.md"') })
  })

  test('what is wrong with an option is said of the option', async () => {
    const list = await run(['recall', 'docs', '-k', '1,501'])
    expect(list).toMatchObject({ code: 1, err: expect.stringContaining('whole numbers from 1 to 500') })
    const note = await run(['golden', 'run', 'docs', '--note', 'x'.repeat(2_001)])
    expect(note).toMatchObject({ code: 1, err: expect.stringMatching(/^INVALID_REQUEST: --note: Too big/) })
  })

  test('domains are created and listed; a name that is taken or cannot be is refused', async () => {
    const created = await run(['domains', 'create', 'faq', '--model', MODEL, '--threshold', '0.3'])
    expect(created).toEqual({ code: 0, out: `created faq (${MODEL})\n`, err: '' })
    expect((await run(['domains'])).out).toMatch(/^faq +all-minilm-l6-v2 \(ready\) +0\.3 +0 +0 +0$/m)
    const names = (await json(['domains', 'list'], z.array(domainDetailSchema))).map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['docs', 'faq', 'wrong']))
    expect(await run(['domains', 'create', 'faq'])).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('DOMAIN_EXISTS: There is a domain "faq" already\n'),
    })
    expect((await run(['domains', 'create', 'Not OK'])).err).toContain('[a-z0-9]')
  })

  test('status counts documents by what became of them', async () => {
    expect((await run(['status'])).out).toMatch(
      /^docs +all-minilm-l6-v2 \(ready\) +none +3 +0 +0\nfaq .*\n(?:.*\n)*wrong .* 3 +0 +1\n$/m,
    )
    const status = await json(['status'], statusSchema.extend({ url: z.string() }))
    expect(status.url).toBe(world.url)
    expect(status.domains.map(({ documents }) => documents.ready)).toEqual([3, 0, 5, 2, 3])
    expect(status).toMatchObject({ running: 0, ingestions: [], workers: [{ slots: expect.any(Number) }] })
  })

  test('an ingestion that has finished is not cancelled, and resuming it shows its report', async () => {
    const { body } = await world.call('GET', '/v1/domains/docs/ingestions?limit=1', undefined, {
      authorization: `Bearer ${KEY}`,
    })
    const { ingestions } = z.object({ ingestions: z.array(ingestionSchema) }).parse(body)
    const id = ingestions[0]?.id ?? ''
    expect(await run(['cancel', id])).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('INGESTION_FINISHED'),
    })
    const shown = await run(['resume', id])
    expect(shown).toMatchObject({ code: 0, err: '' })
    expect(shown.out).toMatch(/^ingestion \d+ of docs: finished after .*\n.*\n.*\ntext cut: none\n$/)
    expect((await json(['resume', id], ingestionSchema)).id).toBe(id)
    expect((await run(['cancel', 'nope'])).err).toContain('UNKNOWN_INGESTION')
  })

  describe('refuses with exit code 1, the reason and a way out on standard error, and nothing else', () => {
    const cases: Refused[] = [
      {
        name: 'a path that is not there',
        args: () => ['ingest', join(docs, 'nope'), '-d', 'docs'],
        err: ['NO_SUCH_FILE', 'docs/nope'],
      },
      {
        name: 'nothing to ingest',
        args: () => ['ingest', '-d', 'docs'],
        err: ['NO_FILES', 'Nothing to ingest was named'],
      },
      {
        name: 'empty standard input',
        args: () => ['ingest', '-', '-d', 'docs'],
        err: ['NO_DOCUMENTS', 'Standard input has no documents'],
      },
      {
        name: 'a sync of no source',
        args: () => ['ingest', docs, '-d', 'docs', '--sync'],
        err: ['SYNC_NEEDS_SOURCE', '--source NAME'],
      },
      {
        name: 'a dry run into a domain that is not there',
        args: () => ['ingest', docs, '-d', 'nope', '--create', '--dry-run'],
        err: ['UNKNOWN_DOMAIN', '"nope"', '--dry-run creates none'],
      },
      {
        name: 'a domain that is not there',
        args: () => ['ingest', docs, '-d', 'nope'],
        err: ['UNKNOWN_DOMAIN', '"nope"', '--create'],
      },
      {
        name: 'another model than the domain has',
        args: () => ['ingest', docs, '-d', 'docs', '--create', '--model', 'bge-small-zh-v1.5'],
        err: ['OTHER_MODEL', MODEL, 'bge-small-zh-v1.5'],
      },
      {
        name: 'a search in a domain that is not there',
        args: () => ['search', 'x', '-d', 'nope'],
        err: ['UNKNOWN_DOMAIN', 'millrace domains'],
      },
      {
        name: 'a blank query',
        args: () => ['search', ' ', '-d', 'docs'],
        err: ['MISSING_QUERY', 'The query is blank'],
      },
      {
        name: 'a wrong -k',
        args: () => ['search', 'x', '-d', 'docs', '-k', '0'],
        err: ["'0'", 'a whole number from 1 to 1000', '--help'],
      },
      {
        name: 'a wrong threshold',
        args: () => ['search', 'x', '-d', 'docs', '--threshold', 'high'],
        err: ["'high'", 'a number from -1 to 1'],
      },
      { name: 'no domain', args: () => ['search', 'x'], err: ["required option '-d, --domain <name>'"] },
      { name: 'an unknown command', args: () => ['find', 'x'], err: ["unknown command 'find'"] },
      {
        name: 'a wrong key',
        args: () => ['status'],
        env: { MILLRACE_API_KEY: 'wrong' },
        err: ['UNAUTHORIZED', 'Set MILLRACE_API_KEY'],
      },
      {
        name: 'no server',
        args: () => ['status', '--json'],
        env: { MILLRACE_URL: 'http://127.0.0.1:59' },
        err: ['UNREACHABLE', 'http://127.0.0.1:59', 'npm start', 'MILLRACE_URL'],
      },
      {
        name: 'a server that is not Millrace',
        args: () => ['status'],
        at: () => stranger.url,
        err: ['BAD_ANSWER', 'HTTP 200', 'Welcome', 'MILLRACE_URL'],
      },
      {
        name: 'an address that is none',
        args: () => ['status'],
        env: { MILLRACE_URL: 'localhost:8080' },
        err: ['SETTING_INVALID', 'MILLRACE_URL is "localhost:8080"'],
      },
    ]
    test.concurrent.each(cases)('$name', async ({ args, at, err: parts, env = {} }) => {
      const { code, out, err } = await run(args(), {
        ...env,
        ...(at === undefined ? {} : { MILLRACE_URL: at() }),
      })
      expect({ code, out }).toEqual({ code: 1, out: '' })
      for (const part of parts) expect(err).toContain(part)
      expect(err).not.toContain('    at ')
    })
  })

  test('a domain is not created for files that are not there', async () => {
    await run(['ingest', join(docs, 'nope'), '-d', 'never', '--create'])
    expect((await run(['search', 'x', '-d', 'never'])).err).toContain('UNKNOWN_DOMAIN')
  })

  test('--help names every command and what the exit codes mean', async () => {
    const { code, out } = await run(['--help'])
    expect(code).toBe(0)
    for (const word of [
      'ingest',
      'search',
      'similarity',
      'status',
      'cancel',
      'resume',
      'domains',
      'Exit codes',
    ])
      expect(out).toContain(word)
  })
})
