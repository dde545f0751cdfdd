import { randomUUID } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildProgram, EXIT_PROBLEMS, EXIT_WORSE } from 'millrace'
import { submissionSchema } from 'millrace/client'
import { addedSchema, comparisonSchema, recallSchema, runSchema } from 'millrace/golden-contract'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases, servers } from './support/backends.js'
import { openWorld, until, type World } from './support/world.js'

const DOCUMENTS = [
  {
    id: 'hours',
    title: 'Opening hours',
    text: 'Our support team answers from nine to five, Monday to Friday.',
  },
  { id: 'parcel', title: 'Lost parcels', text: 'If your parcel did not arrive, we send a replacement.' },
  { id: 'refund', title: 'Refunds', text: 'Money comes back to your card within ten days.' },
  {
    id: 'coupon',
    title: 'Coupons',
    text: 'A promo code is entered in the basket.',
    metadata: { lang: 'en' },
  },
  { id: 'markup', text: '<!-- nothing -->' },
]
const ASKED = [
  { id: 'late', question: 'my package never came', documentId: 'parcel' },
  { id: 'money', question: 'when do I get my money back?', documentId: 'refund' },
  { id: 'when', question: 'when can I call you?', documentIds: ['hours', 'parcel'] },
]
const LEVELS = [
  { key: 'precise', above: 0.6, name: { zh: '精准', en: 'precise' } },
  { key: 'related', above: 0.25, name: { zh: '相关', en: 'related' } },
  { key: 'unrelated', above: null, name: { zh: '无关', en: 'unrelated' } },
]
const SAMPLES = [
  ...['lost-parcel', 'payment-declined', 'exchange-item', 'refund-times', 'lost-two-factor-device'],
  ...['change-delivery-address', 'return-item', 'gift-cards', 'invoices'],
]
/** Of which nothing is anything but unrelated. */
const STRICT = [
  { key: 'same', above: 0.99, name: { zh: '相同', en: 'same' } },
  { key: 'unrelated', above: null, name: { zh: '无关', en: 'unrelated' } },
]
/** Nobody would find coupons so. */
const HOPELESS = { id: 'hopeless', question: 'the weather on the moon', documentId: 'coupon' }

for (const backend of [databases()[0], servers()].filter((one) => one !== undefined)) {
  describe(`golden sets, ${backend.name}`, () => {
    let world: World
    const path = '/v1/domains/faq/golden'
    beforeAll(async () => {
      // So that four vectors are worth an index, where there is one.
      world = await openWorld(backend, { INDEX_ROWS_MIN: '4' })
      await world.call('POST', '/v1/domains', { name: 'faq', threshold: 0.35, levels: LEVELS })
      await world.call('POST', '/v1/domains', { name: 'empty' })
      const { ingestion } = await world.client.post(
        '/v1/domains/faq/documents',
        { documents: DOCUMENTS },
        submissionSchema,
      )
      await world.finished(ingestion)
    })
    afterAll(() => world?.close())

    const add = (questions: readonly object[], query = '') =>
      world.client.post(`${path}${query}`, { questions }, addedSchema)
    const run = (wishes: object = {}) => world.client.post(`${path}/run`, wishes, runSchema)
    /** A command of millrace: what it prints, and its exit code. */
    const cli = async (args: readonly string[]) => {
      let out = ''
      const write = (text: string) => {
        out += text
      }
      process.exitCode = 0
      const openEngine = () => {
        throw new Error('no engine is needed')
      }
      const program = buildProgram({ client: world.client, write, openEngine })
      try {
        await program.parseAsync(['node', 'millrace', ...args])
        return { out, code: process.exitCode }
      } finally {
        process.exitCode = 0
      }
    }
    const refused = async (method: string, where: string, body?: unknown, type?: string) => {
      const answer = await world.call(method, where, body, type === undefined ? {} : { 'content-type': type })
      return [answer.status, answer.body.error?.code]
    }

    test('questions are added, replaced by id or question, listed and removed', async () => {
      expect(await add(ASKED)).toMatchObject({ accepted: 3, added: 3, replaced: 0, total: 3, missing: [] })
      const again = await add([
        { question: 'when do I get my money back?', documentId: 'refund', note: 'asked again' },
        { id: 'late', question: 'my package is lost', documentId: 'parcel' },
        { question: 'where do I enter a code?', documentId: 'coupon', filter: { lang: 'en' } },
      ])
      expect(again).toMatchObject({ added: 1, replaced: 2, removed: 0, total: 4 })
      const page = await world.call('GET', `${path}?limit=3`)
      expect(page.body).toMatchObject({ total: 4 })
      const rest = await world.call('GET', `${path}?limit=3&cursor=${page.body.cursor}`)
      const all = [page, rest].flatMap(({ body }) => body.questions as { id: string; question: string }[])
      expect(all.map(({ question }) => question).sort()).toEqual([
        'my package is lost',
        'when can I call you?',
        'when do I get my money back?',
        'where do I enter a code?',
      ])
      expect(all).toContainEqual({
        id: 'money',
        question: 'when do I get my money back?',
        documentIds: ['refund'],
        filter: {},
        note: 'asked again',
      })
      expect(rest.body.cursor).toBeNull()

      // Ids that change hands: what was made of a question is taken by another.
      const made = all.find(({ question }) => question.includes('code'))?.id
      await add([{ id: made, question: 'quite another question', documentId: 'hours' }])
      expect(
        await add([{ question: 'where do I enter a code?', documentId: 'coupon', filter: { lang: 'en' } }]),
      ).toMatchObject({
        added: 1,
        total: 5,
      })
      expect((await world.call('DELETE', `${path}/${made}`)).status).toBe(204)
      expect(await refused('DELETE', `${path}/${made}`)).toEqual([404, 'UNKNOWN_QUESTION'])
      expect(await add([HOPELESS], '?replace=true')).toMatchObject({ added: 1, removed: 4, total: 1 })
      expect((await world.call('DELETE', path)).body).toEqual({ removed: 1 })
    })

    test('with merge a question keeps the documents and the note that it has', async () => {
      const question = 'when do I get my money back?'
      await add([{ id: 'money', question, documentId: 'refund', note: 'from the phone' }])
      const merged = { added: 0, replaced: 1, total: 1, rejected: [] }
      expect(await add([{ question, documentId: 'hours' }], '?merge=true')).toMatchObject(merged)
      expect(await add([{ question, documentIds: ['hours', 'refund'] }], '?merge=true')).toMatchObject({
        ...merged,
        replaced: 0,
        unchanged: 1,
      })
      expect((await world.call('GET', path)).body.questions).toEqual([
        { id: 'money', question, documentIds: ['refund', 'hours'], filter: {}, note: 'from the phone' },
      ])
      const many = Array.from({ length: 99 }, (_, i) => `d${i}`)
      const both = [
        { question, documentIds: many },
        { question: 'another?', documentId: 'hours' },
      ]
      expect(await add(both, '?merge=true')).toMatchObject({
        added: 1,
        rejected: [{ index: 0, code: 'TOO_MANY_EXPECTED' }],
      })
      expect((await world.call('DELETE', path)).body).toEqual({ removed: 2 })
    })

    test('what is wrong is refused alone and named; a document that is not there is a warning', async () => {
      const { body } = await world.call('POST', path, {
        questions: [
          ASKED[0],
          { question: ' ', documentId: 'x' },
          { question: 'q', documentIds: [] },
          { ...ASKED[0], id: 'twice' },
          { question: 'who wrote this?', documentIds: ['nobody', 'hours'] },
        ],
      })
      expect(body).toMatchObject({
        accepted: 2,
        rejectedTotal: 3,
        rejected: [
          { index: 1, code: 'BLANK_QUESTION' },
          { index: 2, code: 'NO_EXPECTED' },
          { index: 3, id: 'twice', code: 'DUPLICATE_QUESTION' },
        ],
        missing: [{ question: 'who wrote this?', documentId: 'nobody' }],
        missingTotal: 1,
      })
      const blank = { questions: [{ question: '', documentId: 'x' }] }
      expect(await refused('POST', path, blank)).toEqual([422, 'NO_QUESTIONS'])
      expect(await refused('POST', path, { questions: [] })).toEqual([422, 'NO_QUESTIONS'])
      expect(await refused('POST', path, { questions: 5 })).toEqual([400, 'INVALID_REQUEST'])
      expect(await refused('POST', path, {})).toEqual([400, 'INVALID_REQUEST'])
      expect(await refused('POST', path, '<x/>', 'text/xml')).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE'])
      expect(await refused('POST', '/v1/domains/nope/golden', { questions: ASKED })).toEqual([
        404,
        'UNKNOWN_DOMAIN',
      ])
      const many = Array.from({ length: 10_001 }, (_, i) => ({ question: `q ${i}`, documentId: 'x' }))
      expect(await refused('POST', path, { questions: many })).toEqual([413, 'TOO_MANY_QUESTIONS'])
    })

    test('a question of wrong types, and one whose filter no search takes, are refused alone', async () => {
      const filtered = (filter: unknown) => ({ question: 'why?', documentId: 'hours', filter })
      const { status, body } = await world.call('POST', path, {
        questions: [
          { id: 'typed', question: 5, documentId: 'x' },
          { question: 'who?', documentId: 'x', colour: 'red' },
          filtered({ lang: { nope: 1 } }),
          { id: 'own', ...filtered({ 'document.nope': 1 }) },
          filtered({ lang: { in: ['en'] } }),
          7,
        ],
      })
      expect(status).toBe(200)
      expect(body).toMatchObject({
        accepted: 1,
        rejected: [
          { index: 0, id: 'typed', code: 'INVALID_REQUEST', message: expect.stringMatching(/^question: /) },
          { index: 1, code: 'INVALID_REQUEST', message: expect.stringContaining('colour') },
          { index: 2, code: 'INVALID_FILTER', message: expect.stringContaining('nope') },
          { index: 3, id: 'own', code: 'INVALID_FILTER' },
          { index: 5, code: 'INVALID_REQUEST' },
        ],
      })
    })

    test('what is added again just so is unchanged', async () => {
      await add(ASKED, '?replace=true')
      expect(await add(ASKED)).toMatchObject({ added: 0, replaced: 0, unchanged: 3, removed: 0, total: 3 })
      const [first, ...others] = ASKED
      const noted = await add([{ ...first, note: 'new' }, ...others], '?replace=true')
      expect(noted).toMatchObject({ added: 0, replaced: 1, unchanged: 2, removed: 0, total: 3 })
    })

    test('CSV is taken as it is: rows of one question add up, wrong rows are named, a header is needed', async () => {
      const csv = (text: string, query = '') =>
        world.call('POST', `${path}${query}`, text, { 'content-type': 'text/csv' })
      const good =
        '\ufeffquestion;documentId;note\r\n"when; can I call?";hours;"two\nlines"\r\n"when; can I call?";parcel\r\n;x\r\na;b;c;d\r\n'
      expect((await csv(good, '?replace=true')).body).toMatchObject({
        accepted: 1,
        total: 1,
        rejected: [
          { index: 2, code: 'BLANK_QUESTION' },
          { index: 3, code: 'INVALID_CSV' },
        ],
      })
      expect((await world.call('GET', path)).body.questions).toMatchObject([
        { question: 'when; can I call?', documentIds: ['hours', 'parcel'], note: 'two\nlines' },
      ])
      expect(await refused('POST', path, 'when?,hours\n', 'text/csv')).toEqual([400, 'INVALID_CSV'])
      expect(await refused('POST', path, 'question,documentId\n"open,x\n', 'text/csv')).toEqual([
        400,
        'INVALID_CSV',
      ])
      const latin = await fetch(`${world.url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'text/csv' },
        body: Buffer.from('question,documentId\ncaf\xe9,x\n', 'latin1'),
      })
      expect(await latin.json()).toMatchObject({ error: { code: 'INVALID_UTF8' } })
      expect((await world.call('POST', path, { csv: 'question,documentId\nwhy?,hours' })).status).toBe(200)
    })

    test('a run grades, measures, names the misses with what came instead, and counts apart what cannot be found', async () => {
      await add(
        [
          ...ASKED,
          HOPELESS,
          { id: 'nowhere', question: 'who wrote this?', documentId: 'nobody' },
          { id: 'void', question: 'is there nothing?', documentId: 'markup' },
          { id: 'mute', question: '\ufe0f\ufe0f', documentId: 'hours' },
          {
            id: 'filtered',
            question: 'where do I enter a code?',
            documentId: 'coupon',
            filter: { lang: 'fr' },
          },
        ],
        '?replace=true',
      )
      const done = await run({ k: 2, note: 'first' })
      expect(done).toMatchObject({
        state: 'finished',
        questions: 8,
        done: 8,
        k: 2,
        mode: 'dense',
        threshold: 0.35,
        model: 'all-minilm-l6-v2',
        note: 'first',
        measured: 5,
        unmeasured: { missing: 1, notReady: 0, empty: 1, failed: 1 },
        misses: 2,
        grades: { precise: 1, related: 2, miss: 2 },
        belowThreshold: 1,
      })
      expect(done.metrics).toMatchObject({ hitAt1: 0.6, hitAt3: 0.8, hitAt10: 0.8, passed: 0.6 })
      // With a filter nothing can pass there is nothing instead; the other one has its place among all.
      const misses = new Map(done.missed.map((miss) => [miss.id, miss]))
      expect(misses.get('filtered')).toMatchObject({ rank: null, score: null, instead: [] })
      expect(misses.get('hopeless')?.instead).toHaveLength(3)
      expect(misses.get('hopeless')?.rank).toBe(3)
      expect(done.notMeasured.map(({ id, absent, error }) => [id, absent[0]?.reason ?? error?.code])).toEqual(
        [
          ['mute', expect.stringMatching(/^(EMPTY_TEXT|MISSING_QUERY)$/)],
          ['nowhere', 'missing'],
          ['void', 'empty'],
        ],
      )
      const { body } = await world.call('GET', `${path}/runs/${done.id}/results?limit=7`)
      expect(body.results).toHaveLength(7)
      expect(
        (await world.call('GET', `${path}/runs/${done.id}/results?limit=7&cursor=${body.cursor}`)).body,
      ).toMatchObject({
        results: [{ id: 'when', documentIds: ['hours', 'parcel'], state: 'ranked', rank: 1 }],
        cursor: null,
      })
      // A set that changed meanwhile does not change the run; the next is compared by what both asked.
      await add([
        { id: 'late', question: 'my package never came', documentId: 'coupon' },
        { question: 'new one?', documentId: 'hours' },
      ])
      await world.call('DELETE', `${path}/void`)
      const next = await run({ k: 2 })
      const compare = `${path}/runs/${done.id}/compare/${next.id}`
      const beside = await world.client.get(compare, comparisonSchema)
      expect(beside).toMatchObject({
        common: 4,
        sameQuestions: false,
        worse: { total: 0 },
        added: { total: 1 },
        removed: { total: 1, first: [{ id: 'void' }] },
        changed: { total: 1, first: [{ id: 'late' }] },
        unmeasured: { total: 2 },
      })
      expect(beside.metrics.before).toEqual(beside.metrics.after)
      const { body: runs } = await world.call('GET', `${path}/runs?limit=1`)
      expect(runs).toMatchObject({ runs: [{ id: next.id }], cursor: next.id })
      expect(await refused('GET', `${path}/runs/${done.id}/compare/999999`)).toEqual([404, 'UNKNOWN_RUN'])
    })

    test('words and meaning together are measured by the same run', async () => {
      await add(ASKED, '?replace=true')
      expect(await run({ mode: 'hybrid' })).toMatchObject({
        mode: 'hybrid',
        measured: 3,
        metrics: { hitAt3: 1 },
      })
    })

    test('a run that cannot be is refused', async () => {
      expect(await refused('POST', '/v1/domains/empty/golden/run', {})).toEqual([422, 'GOLDEN_EMPTY'])
      expect(await refused('POST', `${path}/run`, { k: 0 })).toEqual([400, 'INVALID_REQUEST'])
      expect(await refused('POST', `${path}/run`, { k: 1_001 })).toEqual([400, 'INVALID_REQUEST'])
      expect(await refused('POST', `${path}/run`, { rerank: { by: 'nobody' } })).toEqual([
        400,
        'UNKNOWN_MODEL',
      ])
      // Also where nothing is fused: two runs would be compared that are the same.
      for (const wishes of [{ fusion: 'nope' }, { fusion: 'rrf', mode: 'dense' }]) {
        expect(await refused('POST', `${path}/run`, wishes)).toEqual([400, 'BAD_FUSION'])
        const search = { query: 'x', mode: 'dense', ...wishes }
        expect(await refused('POST', '/v1/domains/faq/search', search)).toEqual([400, 'BAD_FUSION'])
      }
      expect(await refused('GET', `${path}/runs/abc`)).toEqual([404, 'UNKNOWN_RUN'])
      expect(await refused('GET', `${path}/runs?cursor=x`)).toEqual([400, 'INVALID_CURSOR'])
      // A domain with nothing in it: every document is missing, and nothing is measured.
      await world.call('POST', '/v1/domains/empty/golden', { questions: ASKED })
      expect((await world.call('POST', '/v1/domains/empty/golden/run')).body).toMatchObject({
        state: 'finished',
        measured: 0,
        metrics: null,
        unmeasured: { missing: 3 },
      })
      await world.call('POST', '/v1/domains', { name: 'mine', model: 'external', dims: 3 })
      expect(await refused('POST', '/v1/domains/mine/golden', { questions: ASKED })).toEqual([
        400,
        'DOMAIN_NEEDS_VECTORS',
      ])
    })

    test('for CI: a question that cannot be measured any more is worse, a run that measures nothing fails', async () => {
      await world.call('POST', '/v1/domains', { name: 'gate' })
      const documents = DOCUMENTS.slice(0, 2)
      const sent = await world.client.post('/v1/domains/gate/documents', { documents }, submissionSchema)
      await world.finished(sent.ingestion)
      const questions = [ASKED[0], { id: 'call', question: 'when can I call you?', documentId: 'hours' }]
      await world.call('POST', '/v1/domains/gate/golden', { questions })
      const run = ['golden', 'run', 'gate']
      const runs = async () => (await world.call('GET', '/v1/domains/gate/golden/runs')).body.runs as object[]
      await expect(cli([...run, '--max-drop', '0.1'])).rejects.toMatchObject({ code: 'NO_COMPARISON' })
      await expect(cli([...run, '--compare', '999999'])).rejects.toMatchObject({ code: 'UNKNOWN_RUN' })
      expect(await runs()).toHaveLength(0)
      expect((await cli(run)).code).toBe(0)
      const gate = [...run, '--compare', 'last', '--max-drop', '0']
      expect((await cli(gate)).code).toBe(0)

      await world.call('DELETE', '/v1/domains/gate/documents/parcel')
      const worse = await cli(gate)
      expect(worse.code).toBe(EXIT_WORSE)
      expect(worse.out).toContain('1 measured before and not now:\n  my package never came\n')
      // From now on that is how it is; but with nothing left there is nothing to be green about.
      expect((await cli(gate)).code).toBe(0)
      await world.call('DELETE', '/v1/domains/gate/documents/hours')
      expect((await cli(gate)).code).toBe(1)
      expect((await cli(run)).code).toBe(1)
    })

    test('a large run goes on in a worker; one whose process died is taken up, and given up after five', async () => {
      const many = Array.from({ length: 201 }, (_, i) => ({
        id: `m${i}`,
        question: `order ${i}?`,
        documentId: 'nobody',
      }))
      await add([...ASKED, ...many], '?replace=true')
      const begun = await world.call('POST', `${path}/run`, {})
      expect([begun.status, begun.body.state, begun.body.metrics]).toEqual([202, 'running', null])
      const ended = (id: unknown) =>
        until(async () => {
          const now = await world.client.get(`${path}/runs/${id}`, runSchema)
          return now.state === 'running' ? undefined : now
        })
      expect(await ended(begun.body.id)).toMatchObject({
        state: 'finished',
        done: 204,
        measured: 3,
        metrics: { hitAt1: 1 },
      })
      expect(await refused('GET', `${path}/runs/${begun.body.id}/compare/${begun.body.id}`)).toEqual([
        200,
        undefined,
      ])

      // What a process leaves that dies after some slices: an owner that is not heard of, and results of its own.
      const { db } = world.running.backends
      const leave = async (attempts: number) => {
        const [row] = await db.query<{ id: number }>(
          `insert into millrace.golden_runs (domain_id, generation_id, settings, model, recipe_hash, levels, questions, done, owner, owned_until, attempts)
             select domain_id, generation_id, settings, model, recipe_hash, levels, questions, 200, $2, now() - interval '1 s', $3
             from millrace.golden_runs where id = $1 returning id`,
          [begun.body.id, randomUUID(), attempts],
        )
        await db.query(
          `insert into millrace.golden_results
             select $2, position, external_id, question, question_hash, filter, documents,
               case when position > 200 then 'waiting' else state end, absent, ranks, score, scored, grade, top
             from millrace.golden_results where run_id = $1`,
          [begun.body.id, row?.id],
        )
        return row?.id
      }
      const [left, poisoned] = [await leave(1), await leave(5)]
      expect(await ended(left)).toMatchObject({ state: 'finished', done: 204, measured: 3 })
      expect(await ended(poisoned)).toMatchObject({
        state: 'failed',
        error: { code: 'RUN_FAILED' },
        metrics: null,
      })
      expect(await refused('GET', `${path}/runs/${left}/compare/${poisoned}`)).toEqual([
        409,
        'RUN_NOT_FINISHED',
      ])
    })

    test('recall compares index and exact search, and says where there is no index', async () => {
      const ask = (query = '') => world.client.get(`/v1/domains/faq/recall${query}`, recallSchema)
      const found = await until(async () => {
        const report = await ask('?sample=3&k=1,2,2')
        return backend.isServer && report.index === null ? undefined : report
      })
      expect(found).toMatchObject({
        domain: 'faq',
        from: 'vectors',
        sampled: 3,
        recall: [
          { k: 1, recall: 1 },
          { k: 2, recall: 1 },
        ],
      })
      expect(found.latencyMs.exact.p95).toBeGreaterThan(0)
      if (backend.isServer) {
        expect(found.index).toEqual({ m: 16, efConstruction: 64, efSearch: 200 })
        expect(found.recall.every(({ latencyMs }) => (latencyMs?.p50 ?? 0) > 0)).toBe(true)
        expect((await ask('?efSearch=7')).index).toMatchObject({ efSearch: 7 })
      } else {
        expect(found).toMatchObject({ index: null, recall: [{ latencyMs: null }, { latencyMs: null }] })
        expect(found.notes.join()).toContain('no index')
      }
      expect((await ask()).notes.join()).toContain('only 4 vectors')
      const queries = await cli(['recall', 'faq', '--from', 'queries', '--json'])
      expect(JSON.parse(queries.out)).toMatchObject({ from: 'queries' })
      expect(await ask('?from=queries')).toMatchObject({
        sampled: 0,
        recall: [{ k: 1, recall: null }, {}, {}],
      })
      expect(await world.client.get('/v1/domains/empty/recall', recallSchema)).toMatchObject({
        sampled: 0,
        notes: ['The domain has no vectors'],
      })
      for (const query of [
        'k=0',
        'k=501',
        'k=1,,2',
        'k=a',
        'sample=0',
        'sample=1001',
        'from=x',
        'efSearch=0',
        'candidates=0',
        'candidates=10001',
      ]) {
        expect(await refused('GET', `/v1/domains/faq/recall?${query}`)).toEqual([400, 'INVALID_REQUEST'])
      }
      expect(await refused('GET', '/v1/domains/nope/recall')).toEqual([404, 'UNKNOWN_DOMAIN'])
    })

    if (!backend.isServer) {
      test('the examples of docs/golden.md are what happens, exit codes too', async () => {
        const docs = await readFile(new URL('../docs/golden.md', import.meta.url), 'utf8')
        const folder = await mkdtemp(join(tmpdir(), 'millrace-golden-'))
        const file = join(folder, 'questions.csv')
        const [csv = ''] = blocks(docs, 'csv')
        await writeFile(file, csv)
        // What the answers are about, and what comes instead: the others of the samples change nothing.
        const support = join(folder, 'support-en')
        await Promise.all(
          SAMPLES.map((name) =>
            cp(new URL(`../samples/support-en/${name}.md`, import.meta.url), join(support, `${name}.md`)),
          ),
        )
        const command = (line: string) =>
          cli(
            line.replace('questions.csv', file).replace('samples/support-en', support).split(/\s+/).slice(2),
          )
        // Blocks of commands, and what the last of them printed where the next block says so.
        const shown = [...docs.matchAll(/```sh\n([\s\S]+?)```(?:\s+```text\n([\s\S]+?)```)?/g)]
        let checked = 0
        for (const [, commands = '', text] of shown) {
          const [, method = '', url = '', body] =
            /curl -s -X (\w+) http:\/\/127\.0\.0\.1:8080(\S+) .* -d '([^']+)'/.exec(commands) ?? []
          if (body !== undefined) {
            expect((await world.call(method, url, body)).status).toBe(200)
            continue
          }
          let last = { out: '', code: 0 as string | number }
          for (const line of commands.trim().split('\n')) last = await command(line)
          expect(last.code).toBe(0)
          if (text === undefined) continue
          expect(rounded(last.out)).toBe(rounded(text))
          checked++
        }
        expect([shown.length, checked]).toEqual([5, 4])

        // A question that expects something else falls, and that is told by the exit code.
        await world.call('PATCH', '/v1/domains/support', { levels: STRICT })
        expect((await command('npx millrace golden run support --compare last --max-drop 0.9')).code).toBe(
          EXIT_WORSE,
        )
        expect((await command('npx millrace golden run support --compare last')).code).toBe(0)
        await writeFile(file, `${csv}\n,nobody\nwho?,nobody\n`)
        const added = await command('npx millrace golden add questions.csv --domain support --replace')
        expect(added.code).toBe(EXIT_PROBLEMS)
        expect(added.out).toContain('row 5  BLANK_QUESTION')
        expect(added.out).toContain('1 expected, and not there yet:\n  nobody  who?\n')
        await rm(folder, { recursive: true })
      })
    }
  })
}

const blocks = (docs: string, language: string): string[] =>
  [...docs.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]+?)\`\`\``, 'g'))].map(([, block = '']) => block)

/** A similarity differs in its last digits from processor to processor; so does when a run began, and how wide its id is. */
const rounded = (text: string): string =>
  text
    .replaceAll(/\d\.\d{4}/g, (number) => Number(number).toFixed(2))
    .replaceAll(/\brun \d+|^\d+ /gm, 'run #')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d/g, 'then')
    .replaceAll(/ {2,}/g, '  ')
    .trim()
