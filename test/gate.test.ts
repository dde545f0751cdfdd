import { readdir, readFile } from 'node:fs/promises'
import { type Engine, openEngine } from '@millrace/embed'
import { findDomain, gateFailed, gateOf, switchGate } from '@millrace/flow'
import { getGeneration } from '@millrace/store'
import { buildProgram } from 'millrace'
import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { openWorld, until, type World } from './support/world.js'

interface Question {
  readonly question: string
  readonly document: string
}
interface Report {
  state: string
  passed: boolean
  evidence: string
  isWeak: boolean
  at: string | null
  sentence: { en: string; zh: string }
  runs: { live: string; other: string }
  golden: {
    measured: number
    lost: number
    failed: string[]
    worse: { total: number; first: { id: string; instead: { documentId: string }[] | null }[] }
  } | null
  overlap: { texts: number; overlap: number; equalFirst: number; stored: { texts: number } } | null
  error: { code: string } | null
}
interface Gated {
  settings: object
  report: Report | null
}
interface Compared {
  generations: { id: string; state: string; documents: number }[]
  results: {
    moved: Record<string, number>
    rows: {
      documentId: string
      move: string
      a: { rank: number } | null
      b: { rank: number } | null
      why: { code: string }[]
    }[]
    error?: { code: string }
  }[]
  golden: { state: string; comparison: { common: number; worse: { total: number } } | null } | null
  warnings: { code: string }[]
}

const kinds = databases()
for (const backend of kinds) {
  describe(`a gate, and two generations compared, ${backend.name}`, () => {
    let world: World
    let engine: Engine
    let id: string
    let questions: object[]
    const gate = async (query = ''): Promise<Gated & { status: number }> => {
      const { status, body } = await world.call('POST', `/v1/domains/faq/generations/${id}/gate${query}`)
      return { status, ...(body as unknown as Gated) }
    }
    const compare = async (body: object) => {
      const { status, body: found } = await world.call('POST', '/v1/domains/faq/compare', body)
      return { status, code: found.error?.code, ...(found as unknown as Compared) }
    }
    const set = (sql: string, ...values: unknown[]) =>
      world.running.backends.db.query(`update millrace.generations set ${sql} where id = $1`, [id, ...values])
    const patch = (change: object) => world.call('PATCH', `/v1/domains/faq/generations/${id}`, change)
    const deps = () => ({ db: world.running.backends.db, engine })

    beforeAll(async () => {
      world = await openWorld(backend)
      // What stands is told without any model.
      engine = openEngine({ modelDirs: [] })
      const folder = new URL('../samples/support-en/', import.meta.url)
      const names = (await readdir(folder)).slice(0, 12)
      const documents = await Promise.all(
        names.map(async (name) => ({ id: name, text: await readFile(new URL(name, folder), 'utf8') })),
      )
      await world.call('POST', '/v1/domains', { name: 'faq', model: 'all-minilm-l6-v2' })
      const path = '/v1/domains/faq/documents'
      await world.finished((await world.client.post(path, { documents }, submissionSchema)).ingestion)
      const begun = await world.call('POST', '/v1/domains/faq/generations', {
        model: 'bge-small-zh-v1.5',
        chunking: { size: 96, overlap: 0 },
      })
      id = String(begun.body.id)
      await until(async () => {
        const { body } = await world.call('GET', `/v1/domains/faq/generations/${id}`)
        return body.builtAt === null ? undefined : true
      })
      const samples = JSON.parse(
        await readFile(new URL('../samples/questions.json', import.meta.url), 'utf8'),
      ) as Record<string, Question[]>
      questions = (samples['support-en'] ?? [])
        .filter(({ document }) => names.includes(document))
        .map(({ question, document }, n) => ({ id: `q${n}`, question, documentId: document }))
    })
    afterAll(async () => {
      await engine?.close()
      await world?.close()
    })

    test('without a golden set the two are held beside each other by what both find', async () => {
      const before = await world.call('GET', `/v1/domains/faq/generations/${id}/gate`)
      expect(before.body).toMatchObject({ report: null, settings: { margin: 0.02 } })
      const { status, report } = await gate()
      expect([status, report?.state, report?.evidence, report?.isWeak]).toEqual([
        200,
        'done',
        'overlap',
        true,
      ])
      expect(report?.overlap?.stored.texts).toBeGreaterThan(11)
      expect(report?.overlap?.overlap).toBeGreaterThan(0.3)
      expect(report?.overlap?.overlap).toBeLessThan(1)
      expect(report?.sentence.en).toContain('weaker evidence than a golden set')
      await patch({ gate: { required: 'golden' } })
      expect((await gate()).report).toMatchObject({ passed: false, evidence: 'none' })
      await patch({ gate: { overlap: 0.999 } })
      expect((await gate()).report).toMatchObject({ passed: false, evidence: 'overlap' })
      await patch({ gate: { overlap: 0.1 } })
      const weak = (await gate()).report
      expect(weak).toMatchObject({ passed: true, isWeak: true })
      expect(weak?.sentence.en).toContain('it is not refused, but that both find alike does not say')
      await patch({ gate: {} })
    })

    test('with one, a model of another language is refused, with the questions that got worse', async () => {
      await world.call('POST', '/v1/domains/faq/golden', { questions })
      const { status, report } = await gate()
      expect(status).toBe(200)
      expect(report).toMatchObject({ passed: false, evidence: 'golden', isWeak: false, error: null })
      const { golden } = report ?? {}
      expect(golden?.measured).toBe(questions.length)
      expect(golden?.failed.length).toBeGreaterThan(0)
      expect(golden?.worse.total).toBeGreaterThan(0)
      expect(golden?.worse.first[0]?.instead?.length).toBeGreaterThan(0)
      // The runs are runs as others are, of the generation that each was asked of.
      const run = await world.call('GET', `/v1/domains/faq/golden/runs/${report?.runs.other}`)
      expect(run.body).toMatchObject({
        generation: id,
        purpose: 'gate',
        state: 'finished',
        model: 'bge-small-zh-v1.5',
      })
      const last = await world.call('GET', `/v1/domains/faq/generations/${id}/gate`)
      expect((last.body as unknown as Gated).report).toEqual(report)
    })

    test('a switch asks again only when something has changed', async () => {
      const domain = await findDomain(deps(), 'faq')
      const stands = async (options = {}) => {
        const { passed, report } = await gateOf(deps(), options)(domain, { id: Number(id) })
        return { passed, report }
      }
      const first = await stands()
      expect(first.passed).toBe(false)
      expect((await stands()).report.at).toBe(first.report.at)
      const refusal = gateFailed(first.report)
      expect(refusal.code).toBe('GATE_FAILED')
      expect(refusal.details).toMatchObject({ evidence: 'golden', worse: { total: expect.any(Number) } })
      await patch({ gate: { margin: 1 } })
      const mended = await gate('?fresh=false')
      expect(mended.report?.passed).toBe(true)
      expect((await gate('?fresh=false')).report).toEqual(mended.report)
      // What comes by itself moves an automatic one after a while alone.
      const revise = (by: number) =>
        world.running.backends.db.query(
          `update millrace.published set revision = revision + $2 where generation_id = $1
             and document_id = (select min(document_id) from millrace.published where generation_id = $1)`,
          [domain.generationId, by],
        )
      await revise(1)
      expect((await stands({ isAutomatic: true })).passed).toBe(true)
      // A forced switch takes what stands, and measures nothing.
      const row = await getGeneration(world.running.backends.db, domain.id, Number(id))
      const forced = () => row && switchGate(deps())(domain, row, { isForced: true })
      expect(await forced()).toBeNull()
      const measured = await gate('?fresh=false')
      expect((await forced())?.passed).toBe(true)
      expect(measured.report?.at).not.toBe(mended.report?.at)
      await revise(-1)
      await patch({ gate: {} })
    })

    // With one of them: who asks has nothing to do with the database.
    test.runIf(backend === kinds.at(-1))(
      'a large set is asked by workers, each run of its own generation',
      async () => {
        const many = Array.from({ length: 201 }, (_, n) => ({
          question: `password ${n}`,
          documentId: 'change-password.md',
        }))
        await world.call('POST', '/v1/domains/faq/golden?replace=true', { questions: many })
        const begun = await gate()
        expect([begun.status, begun.report?.state, begun.report?.passed]).toEqual([202, 'running', false])
        const again = await gate()
        expect(again.report?.runs).toEqual(begun.report?.runs)
        const { report } = await until(async () => {
          const { body } = await world.call('GET', `/v1/domains/faq/generations/${id}/gate`)
          const gated = body as unknown as Gated
          return gated.report?.state === 'done' ? gated : undefined
        })
        expect(report).toMatchObject({
          evidence: 'golden',
          runs: begun.report?.runs,
          golden: { measured: 201 },
        })
        await world.call('POST', '/v1/domains/faq/golden?replace=true', { questions })
      },
    )

    test('what one generation cannot do is said, and does not pass', async () => {
      await world.call('PATCH', '/v1/domains/faq', { search: { mode: 'hybrid' } })
      await set('outputs = $2, lexical = null', ['dense'])
      const { report } = await gate()
      expect(report).toMatchObject({ passed: false, evidence: 'none', error: { code: 'MODE_NEEDS_TERMS' } })
      expect(report?.sentence.en).toContain(`Generation ${id} could not be asked`)
      expect(await compare({ query: 'password' })).toMatchObject({ status: 400, code: 'MODE_NEEDS_TERMS' })
      await set('outputs = $2, lexical = $3', ['dense', 'sparse'], 'bm25')
      await world.call('PATCH', '/v1/domains/faq', { search: { mode: 'dense' } })
    })

    test('one query in both: what moved, and why', async () => {
      const { status, generations, results, warnings } = await compare({
        query: 'I forgot my password',
        k: 5,
      })
      expect(status).toBe(200)
      expect(generations.map(({ state }) => state)).toEqual(['live', 'building'])
      expect(warnings.map(({ code }) => code)).toEqual(['SCORES_DO_NOT_COMPARE'])
      const [result] = results
      const rows = result?.rows ?? []
      const ranks = (side: 'a' | 'b') => rows.flatMap((row) => row[side]?.rank ?? []).sort((x, y) => x - y)
      expect([ranks('a'), ranks('b')]).toEqual([
        [1, 2, 3, 4, 5],
        [1, 2, 3, 4, 5],
      ])
      for (const { move, why } of rows) if (move !== 'same') expect(why.length).toBeGreaterThan(0)
      const codes = new Set(rows.flatMap(({ why }) => why.map(({ code }) => code)))
      expect([...codes].some((code) => code === 'BEATEN' || code === 'OTHER_PASSAGE')).toBe(true)
    })

    test('a document that the other has not yet, and one that has none at all', async () => {
      const { db } = world.running.backends
      await patch({ paused: true })
      await db.query(
        `update millrace.generation_documents f set state = 'waiting' from millrace.documents d
         where f.generation_id = $1 and d.id = f.document_id and d.external_id = 'change-password.md'`,
        [id],
      )
      await db.query(
        `create table public.kept as select p.* from millrace.published p where p.generation_id = ${Number(id)}`,
      )
      await db.query(
        `delete from millrace.published p using millrace.generation_documents f
         where p.generation_id = $1 and f.generation_id = $1 and p.document_id = f.document_id and f.state = 'waiting'`,
        [id],
      )
      const query = 'change my password'
      const behind = await compare({ query, k: 3 })
      expect(behind.warnings.map(({ code }) => code)).toContain('STILL_BUILDING')
      const gone = behind.results[0]?.rows.find(({ documentId }) => documentId === 'change-password.md')
      expect(gone).toMatchObject({ move: 'gone', why: [{ code: 'NOT_IN_GENERATION' }] })
      const { report } = await gate()
      expect(report?.golden?.lost).toBeGreaterThan(0)
      await db.query('delete from millrace.published where generation_id = $1', [id])
      const empty = await compare({ query, k: 3 })
      expect([empty.status, empty.warnings[0]?.code, empty.results[0]?.moved.gone]).toEqual([
        200,
        'NOTHING_BUILT',
        3,
      ])
      await db.query('insert into millrace.published select * from public.kept')
    })

    test('the golden set in both, and on the command line', async () => {
      const { status, golden } = await compare({ golden: true })
      expect([status, golden?.state]).toEqual([200, 'finished'])
      expect(golden?.comparison).toMatchObject({
        common: questions.length,
        worse: { total: expect.any(Number) },
      })
      const cli = async (...args: string[]) => {
        let out = ''
        const write = (text: string) => {
          out += text
        }
        const openEngine = () => {
          throw new Error('no engine is needed')
        }
        await buildProgram({ client: world.client, write, openEngine }).parseAsync([
          'node',
          'millrace',
          ...args,
        ])
        return out
      }
      const shown = await cli('compare', 'faq', 'I forgot my password')
      expect(shown).toMatch(/a: {2}generation \d+ {2}live .*\nb: {2}generation \d+ {2}building/)
      expect(shown).toContain('document')
      const live = String((await findDomain(deps(), 'faq')).generationId)
      expect(await cli('compare', 'faq', '--golden', '--generations', `${live},${id}`)).toContain('hit@1')
      await expect(cli('compare', 'faq')).rejects.toMatchObject({ code: 'NO_QUERY' })
    })

    test('wrong input is refused', async () => {
      const live = String((await findDomain(deps(), 'faq')).generationId)
      const query = 'x'
      const refused = async (body: object) => {
        const { status, code } = await compare(body)
        return [status, code]
      }
      expect(await refused({ query, generations: [live, live] })).toEqual([400, 'SAME_GENERATION'])
      expect(await refused({ query, generations: [live, '999'] })).toEqual([404, 'UNKNOWN_GENERATION'])
      expect(await refused({ query, generations: [live, 'x'.repeat(500)] })).toEqual([
        404,
        'UNKNOWN_GENERATION',
      ])
      expect(await refused({ query, generations: [live] })).toEqual([400, 'INVALID_REQUEST'])
      expect(await refused({ query, golden: true })).toEqual([400, 'INVALID_REQUEST'])
      expect(await refused({})).toEqual([400, 'INVALID_REQUEST'])
      expect(await refused({ query: ' ' })).toEqual([400, 'MISSING_QUERY'])
      expect(await refused({ query, filter: { a: { no: 1 } } })).toEqual([400, 'INVALID_FILTER'])
      const several = await compare({ queries: ['password', ' '] })
      expect(several.results.map((result) => result.error?.code)).toEqual([undefined, 'MISSING_QUERY'])
      const status = async (method: string, path: string) => {
        const { status, body } = await world.call(method, path)
        return [status, body.error?.code]
      }
      const at = (which: string) => `/v1/domains/faq/generations/${which}/gate`
      expect(await status('POST', at(live))).toEqual([400, 'SAME_GENERATION'])
      expect(await status('POST', at('999'))).toEqual([404, 'UNKNOWN_GENERATION'])
      expect(await status('GET', at('x'))).toEqual([404, 'UNKNOWN_GENERATION'])
      expect(await status('GET', '/v1/domains/nope/generations/1/gate')).toEqual([404, 'UNKNOWN_DOMAIN'])
      expect((await world.call('POST', `/v1/domains/faq/generations/${id}/cancel`)).status).toBe(200)
      expect(await status('POST', at(id))).toEqual([409, 'GENERATION_ENDED'])
      expect((await status('GET', at(id)))[0]).toBe(200)
      expect(await refused({ query, generations: [live, id] })).toEqual([409, 'GENERATION_ENDED'])
      expect(await refused({ query })).toEqual([409, 'NOTHING_TO_COMPARE'])
    })
  })
}
