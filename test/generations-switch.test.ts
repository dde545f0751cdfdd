import { setTimeout as sleep } from 'node:timers/promises'
import { openEngine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  buildGenerations,
  cancelGeneration,
  cancelIngestion,
  changedRecipe,
  createDomain,
  type Domain,
  deleteDomain,
  embedLease,
  endGenerations,
  findDomain,
  getIngestion,
  type KnownDomains,
  openKnownDomains,
  openLog,
  openQueryCache,
  prepareRange,
  readSettings,
  recipeHash,
  recipeOf,
  resumeIngestion,
  rollbackGeneration,
  type SwitchDeps,
  type SwitchWishes,
  searchNamed,
  submitDocuments,
  switchDue,
  switchGeneration,
} from '@millrace/flow'
import {
  deleteDocument,
  dispatch,
  endSlice,
  type GenerationRow,
  getGeneration,
  insertGeneration,
  type NewGeneration,
  syncSources,
} from '@millrace/store'
import { afterAll, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { MODEL, OTHER, openParts, SMALL_LEASES } from './support/parts.js'
import { TEST_ENV, until } from './support/world.js'

const report = (n: number, sentences = 12) => ({
  id: `report-${n}`,
  title: `Report ${n}`,
  text: Array.from(
    { length: sentences },
    (_, i) => `Sentence ${i} of report ${n} is about case ${i * n}.`,
  ).join(' '),
})
const DOCUMENTS = [1, 2, 3, 4].map((n) => report(n))

const log = openLog('silent', 'test')
const engine = openEngine({ ...readSettings(TEST_ENV), log })
afterAll(() => engine.close())

type Change = Partial<NewGeneration> & { readonly size?: number }

for (const backend of databases()) {
  describe(`the switch, ${backend.name}`, () => {
    const parts = openParts(backend, engine, log)
    const { ranges, preparer, prepare, embedAll } = parts
    const cache = openQueryCache({ entries: 1_000 })
    const deps = () => ({ ...parts.deps(), cache, known: openKnownDomains({ db: parts.db }) })

    const submit = async (domain: Domain, given: readonly object[], sync: 'full' | null = null) => {
      const options = sync === null ? undefined : { source: 's', sync }
      const to = await findDomain(deps(), domain.name)
      return (await submitDocuments(deps(), to, given as { id: string; text: string }[], options)).ingestion
    }
    const work = async () => {
      await prepare()
      await embedAll()
    }
    let created = 0
    const ingested = async (given: readonly object[] = DOCUMENTS) => {
      ranges.splice(0)
      const domain = await createDomain(deps(), { name: `switch-${created++}`, chunking: { size: 128 } })
      if (given.length > 0) await submit(domain, given)
      await work()
      return domain
    }
    const begin = async (domain: Domain, { size, ...change }: Change = {}): Promise<GenerationRow> => {
      const live = await findDomain(deps(), domain.name)
      const manifest = engine.manifest(change.model ?? live.model)
      const wishes = size === undefined ? {} : { chunking: { size } }
      const recipe =
        manifest.id === live.model
          ? changedRecipe(live.recipe, manifest, wishes)
          : recipeOf(manifest, { chunking: { size: size ?? 48 } })
      const made = await insertGeneration(parts.db, {
        domainId: live.id,
        liveId: live.generationId,
        dims: manifest.dims,
        recipe: { ...recipe },
        recipeHash: recipeHash(recipe),
        storage: live.storage,
        outputs: live.outputs,
        lexical: live.lexical,
        counted: live.counted,
        levels: manifest.levels,
        copiesFrom: manifest.id === live.model ? live.generationId : null,
        ...change,
        model: manifest.id,
      })
      if (typeof made !== 'object') throw new Error(`not begun: ${made}`)
      return made
    }
    const build = async () => {
      await buildGenerations(deps())
      await embedAll()
      await buildGenerations(deps())
    }
    const built = async (domain: Domain, change: Change = { model: OTHER }) => {
      const made = await begin(domain, change)
      await build()
      return made
    }
    const switchTo = (
      domain: Domain,
      { id }: Pick<GenerationRow, 'id'>,
      wishes: SwitchWishes = {},
      more: Partial<SwitchDeps> = {},
    ) => switchGeneration({ ...deps(), ...more }, domain.name, String(id), wishes)
    const rollback = (domain: Domain) => rollbackGeneration(deps(), domain.name)
    const row = async (domain: Domain, { id }: Pick<GenerationRow, 'id'>) => {
      const found = await getGeneration(parts.db, domain.id, id)
      if (found === undefined) throw new Error('the generation is gone')
      return found
    }
    const states = async (domain: Domain) =>
      (
        await parts.db.query<{ id: number; state: string }>(
          'select id, state from millrace.generations where domain_id = $1 order by id',
          [domain.id],
        )
      ).map(({ state }) => state)
    const documents = (domain: Domain) =>
      parts.db.query<{ id: string; state: string; chunks: number | null; code: string | null }>(
        `select external_id as id, state, chunks, error_code as code from millrace.documents
         where domain_id = $1 order by 1`,
        [domain.id],
      )
    const chunksOf = async (id: number) =>
      (
        await parts.db.query<{ key: string }>(
          `select d.external_id || ' ' || c.ordinal || ' ' || c.text as key
           from millrace.chunks c join millrace.documents d on d.id = c.document_id where c.generation_id = $1`,
          [id],
        )
      ).map(({ key }) => key)
    const tables = async (id: number) =>
      (
        await parts.db.query<{ name: string }>(
          `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname = 'millrace' and c.relkind = 'r' and c.relname in ('vectors_' || $1, 'terms_' || $1) order by 1`,
          [id],
        )
      ).map(({ name }) => name)
    const settle = async () => {
      await parts.db.query(`update millrace.generations set retired_at = retired_at - interval '1 hour'
        where state in ('retired', 'ending')`)
      await endGenerations(deps())
    }
    const soakOver = (domain: Domain) =>
      parts.db.query(
        `update millrace.generations set drop_at = now(), retired_at = now() - interval '2 minutes'
         where domain_id = $1 and state = 'retired'`,
        [domain.id],
      )
    const find = async (domain: Domain, query: string, known?: KnownDomains) => {
      const { outcomes } = await searchNamed({ ...deps(), ...(known && { known }) }, domain.name, [
        { query, k: 4 },
      ])
      const [outcome] = outcomes
      if (outcome === undefined || 'error' in outcome) throw outcome?.error ?? new Error('no outcome')
      return outcome
    }
    const refused = (work: Promise<unknown>) =>
      work.then(
        () => 'nothing',
        (error: unknown) => (error instanceof CodedError ? error : String(error)),
      )

    test('searches see one generation or the other, and never an error', async () => {
      const domain = await ingested()
      const next = await built(domain)
      const chunks = new Map([
        [MODEL, new Set(await chunksOf(domain.generationId))],
        [OTHER, new Set(await chunksOf(next.id))],
      ])
      const seen = new Set<string>()
      const dims = new Set<number>()
      let isOver = false
      let searches = 0
      const client = async (n: number) => {
        while (!isOver) {
          const { hits, model } = await find(domain, `case ${(n * searches++) % 9} of a report`)
          seen.add(model)
          expect(hits).toHaveLength(4)
          for (const { documentId, chunk, chunkText } of hits) {
            expect(chunks.get(model)).toContain(`${documentId} ${chunk} ${chunkText}`)
          }
        }
      }
      const reader = async () => {
        while (!isOver) {
          const rows = await parts.db.query<{ dims: number; own: number }>(
            `select distinct vector_dims(embedding) as dims, (
               select g.dims from millrace.generations g where g.domain_id = $1 and g.state = 'live'
             ) as own from millrace_domains."${domain.name}"`,
            [domain.id],
          )
          expect(rows).toHaveLength(1)
          expect(rows[0]?.dims).toBe(rows[0]?.own)
          dims.add(rows[0]?.dims ?? 0)
          await sleep(1)
        }
      }
      const clients = Promise.all([client(1), client(2), reader()])
      try {
        await sleep(100)
        expect(await switchTo(domain, next)).toMatchObject({
          live: String(next.id),
          retired: String(domain.generationId),
          behind: 0,
        })
        await sleep(100)
        expect(await rollback(domain)).toMatchObject({ live: String(domain.generationId), behind: 0 })
        await sleep(100)
        expect(await switchTo(domain, next)).toMatchObject({ retired: String(domain.generationId) })
        await sleep(100)
      } finally {
        isOver = true
        await clients
      }
      expect(searches).toBeGreaterThan(10)
      expect([...seen].sort()).toEqual([MODEL, OTHER])
      expect([...dims].sort()).toEqual([384, 512])
      expect(await states(domain)).toEqual(['retired', 'live'])
      const live = await findDomain(deps(), domain.name)
      expect(live).toMatchObject({
        model: OTHER,
        generationId: next.id,
        levels: engine.manifest(OTHER).levels,
      })
      expect((await row(domain, next)).liveSince).toEqual(expect.any(Date))
      // A document says what it is in the live one, a moment later.
      await endGenerations(deps())
      const counts = (await documents(domain)).map((one) => one.chunks ?? 0)
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(chunks.get(OTHER)?.size)
    })

    test('documents on their way are prepared for the one that is live then, and counted once', async () => {
      const domain = await ingested()
      const next = await built(domain)
      // Some are embedded, some wait to be, some were not begun.
      const ingestion = await submit(domain, [report(11, 60), report(12, 60)])
      await prepare()
      const leases = await dispatch(parts.db, SMALL_LEASES)
      const [first] = leases
      if (first === undefined) throw new Error('no lease')
      await embedLease(deps(), first)
      const open = await getIngestion(deps(), ingestion)
      expect(open).toMatchObject({ state: 'running', documents: { embedding: 2 } })
      expect(await switchTo(domain, next)).toMatchObject({ again: 2 })
      expect(await getIngestion(deps(), ingestion)).toMatchObject({
        documents: { received: 2, embedding: 0 },
        chunks: { total: 0, embedded: 0, reused: 0 },
      })
      // What a worker still has of the old one does nothing, and says nothing.
      for (const lease of leases.slice(1))
        expect(await embedLease(deps(), lease)).toEqual({ texts: 0, tokens: 0 })
      expect(ranges).not.toEqual([])
      await work()
      const done = await getIngestion(deps(), ingestion)
      expect(done).toMatchObject({ state: 'finished', documents: { ready: 2, failed: 0 } })
      const own = (await chunksOf(next.id)).filter((key) => /^report-1[12] /.test(key))
      expect(done.chunks).toEqual({ total: own.length, embedded: own.length, reused: 0 })
      expect((await find(domain, 'report 12')).model).toBe(OTHER)
      const [waiting] = await parts.db.query<{ count: number }>(
        'select count(*)::int as count from millrace.pending',
      )
      expect(waiting?.count).toBe(0)
    })

    test('a switch while a range is being prepared: the rest of it is prepared anew', async () => {
      const domain = await ingested()
      const next = await built(domain)
      const ingestion = await submit(domain, [report(21), report(22)])
      let isSwitched = false
      const inBetween = {
        ...preparer,
        prepare: async (given: Parameters<typeof preparer.prepare>[0]) => {
          const prepared = await preparer.prepare(given)
          if (!isSwitched) await switchTo(domain, next)
          isSwitched = true
          return prepared
        },
      }
      const [range] = ranges.splice(0)
      if (range === undefined) throw new Error('no range')
      expect(await prepareRange({ ...deps(), preparer: inBetween }, range)).toBeGreaterThan(0)
      await work()
      expect(await getIngestion(deps(), ingestion)).toMatchObject({
        state: 'finished',
        documents: { ready: 2 },
      })
      expect((await chunksOf(domain.generationId)).some((key) => key.startsWith('report-21'))).toBe(false)
      expect((await chunksOf(next.id)).some((key) => key.startsWith('report-21'))).toBe(true)
    })

    test('a rollback receives again what it has missed; the way forward is open', async () => {
      const domain = await ingested()
      const next = await built(domain)
      await switchTo(domain, next)
      await submit(domain, [report(31), { ...report(1), text: 'Report 1 is about a kettle now.' }])
      await work()
      await deleteDocument(parts.db, domain.id, 'report-2')
      const back = await rollback(domain)
      expect(back).toMatchObject({ live: String(domain.generationId), retired: String(next.id), behind: 2 })
      expect(await getIngestion(deps(), String(back.ingestion))).toMatchObject({
        state: 'running',
        documents: { total: 2, received: 2 },
      })
      // Until it is ready readers see what there is of it.
      const before = (await find(domain, 'report 1')).hits
      expect(before.map(({ documentId }) => documentId)).not.toContain('report-2')
      await work()
      expect(await getIngestion(deps(), String(back.ingestion))).toMatchObject({
        state: 'finished',
        documents: { ready: 2 },
      })
      expect((await find(domain, 'a kettle')).hits[0]?.documentId).toBe('report-1')
      expect((await documents(domain)).map(({ state }) => state)).toEqual([
        'ready',
        'ready',
        'ready',
        'ready',
      ])
      expect(await switchTo(domain, next)).toMatchObject({ behind: 0, ingestion: null })
      expect((await find(domain, 'a kettle')).hits[0]?.documentId).toBe('report-1')
      // And at once: what the new one has need not be prepared anew.
      await submit(domain, [report(32)])
      await work()
      const briefly = await rollback(domain)
      expect(briefly).toMatchObject({ behind: 1 })
      await prepare()
      await switchTo(domain, next)
      expect((await documents(domain)).map(({ state }) => state)).not.toContain('received')
      expect(await getIngestion(deps(), String(briefly.ingestion))).toMatchObject({
        state: 'finished',
        documents: { ready: 1 },
      })
    })

    test('one that is kept up to date is behind on nothing', async () => {
      const domain = await ingested()
      const next = await built(domain, { model: OTHER, keepUpToDate: true })
      await switchTo(domain, next)
      await submit(domain, [report(41)])
      await work()
      expect(await row(domain, { id: domain.generationId })).toMatchObject({
        state: 'retired',
        follows: true,
      })
      await build()
      expect(await rollback(domain)).toMatchObject({ behind: 0 })
      expect((await find(domain, 'report 41')).hits.map(({ documentId }) => documentId)).toContain(
        'report-41',
      )
      expect(await row(domain, next)).toMatchObject({ state: 'retired', follows: true })
    })

    test('a generation that is cancelled takes nothing in any more, and goes', async () => {
      const domain = await ingested()
      const next = await begin(domain, { model: OTHER })
      await buildGenerations(deps())
      const leases = await dispatch(parts.db, SMALL_LEASES)
      expect(leases.length).toBeGreaterThan(1)
      expect(await cancelGeneration(deps(), domain.name, String(next.id))).toMatchObject({ state: 'ending' })
      for (const lease of leases) expect(await embedLease(deps(), lease)).toEqual({ texts: 0, tokens: 0 })
      expect(await dispatch(parts.db, SMALL_LEASES)).toEqual([])
      await buildGenerations(deps())
      // As far as a process came that died.
      await endSlice(parts.db, next.id)
      await endGenerations(deps())
      expect(await row(domain, next)).toMatchObject({ state: 'ended', endedBy: 'cancelled' })
      expect(await tables(next.id)).toEqual([])
      expect(await chunksOf(next.id)).toEqual([])
      expect(await cancelGeneration(deps(), domain.name, String(next.id))).toMatchObject({ state: 'ended' })
      expect(await refused(switchTo(domain, next))).toMatchObject({ code: 'GENERATION_ENDED' })
      expect(await states(domain)).toEqual(['live', 'ended'])
      expect((await find(domain, 'report 3')).hits).toHaveLength(4)
      // Another can be begun at once.
      await cancelGeneration(deps(), domain.name, String((await begin(domain, { model: OTHER })).id))
    })

    test('after its soak time a retired one goes; who looked it up before finds the live one', async () => {
      const domain = await ingested()
      const next = await built(domain)
      const stale = await findDomain(deps(), domain.name)
      await switchTo(domain, next)
      expect((await row(domain, { id: domain.generationId })).dropAt?.getTime()).toBeGreaterThan(
        Date.now() + 80_000_000,
      )
      await endGenerations(deps())
      expect(await states(domain)).toEqual(['retired', 'live'])
      const late: KnownDomains = { last: () => stale, find: async () => stale }
      expect((await find(domain, 'report 3', late)).model).toBe(MODEL)
      await soakOver(domain)
      await endGenerations(deps())
      expect(await row(domain, { id: domain.generationId })).toMatchObject({
        state: 'ended',
        endedBy: 'soaked',
      })
      expect(await tables(domain.generationId)).toEqual([])
      expect((await find(domain, 'report 3', late)).model).toBe(OTHER)
      expect(await refused(rollback(domain))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' })
      // Its documents can still be changed and deleted.
      expect(await deleteDocument(parts.db, domain.id, 'report-1')).toBe(true)
      await deleteDomain(deps(), domain.name)
      expect(await refused(find(domain, 'report 3', late))).toMatchObject({ code: 'UNKNOWN_DOMAIN' })
    })

    test('the one before the last makes room; a domain may be deleted while rows go', async () => {
      const domain = await ingested()
      const second = await built(domain)
      await switchTo(domain, second)
      const third = await built(domain, { size: 64 })
      expect(await switchTo(domain, third)).toMatchObject({ replaced: String(domain.generationId) })
      expect(await states(domain)).toEqual(['ending', 'retired', 'live'])
      expect(await row(domain, { id: domain.generationId })).toMatchObject({ endedBy: 'replaced' })
      // Searches under way may still be on it.
      await endGenerations(deps())
      expect(await tables(domain.generationId)).toHaveLength(2)
      await settle()
      expect(await states(domain)).toEqual(['ended', 'retired', 'live'])
      await soakOver(domain)
      await Promise.all([endGenerations(deps()), deleteDomain(deps(), domain.name)])
      await endGenerations(deps())
      expect(await states(domain)).toEqual([])
      expect(await tables(second.id)).toEqual([])
    })

    test('what is not complete is refused; with force what failed fails', async () => {
      const domain = await ingested()
      const next = await begin(domain, { model: OTHER })
      await parts.db.query('update millrace.generations set paused = true where id = $1', [next.id])
      expect(await refused(switchTo(domain, next))).toMatchObject({
        code: 'GENERATION_NOT_COMPLETE',
        details: { filled: false },
      })
      await parts.db.query('update millrace.generations set paused = false where id = $1', [next.id])
      await build()
      await parts.db.query(
        `update millrace.generation_documents set state = 'failed', error_code = 'EMBED_GAVE_UP', error_message = 'It broke'
         where generation_id = $1 and document_id = (
           select id from millrace.documents where domain_id = $2 and external_id = 'report-3')`,
        [next.id, domain.id],
      )
      await parts.db.query(
        `delete from millrace.published where generation_id = $1 and document_id = (
           select id from millrace.documents where domain_id = $2 and external_id = 'report-3')`,
        [next.id, domain.id],
      )
      expect(await refused(switchTo(domain, next))).toMatchObject({
        code: 'GENERATION_NOT_COMPLETE',
        details: { open: 0, lost: 1, errors: [{ code: 'EMBED_GAVE_UP', example: { document: 'report-3' } }] },
      })
      await switchTo(domain, next, { force: { reason: 'it may' } })
      expect((await row(domain, next)).forced).toMatchObject({ reason: 'it may', gated: null })
      const failed = () => documents(domain).then((all) => all.filter(({ state }) => state !== 'ready'))
      expect(await failed()).toMatchObject([{ id: 'report-3', state: 'failed', code: 'EMBED_GAVE_UP' }])
      // The old one has it.
      expect(await rollback(domain)).toMatchObject({ behind: 0 })
      expect(await failed()).toEqual([])
    })

    test('a gate refuses, is overruled, and may be let through by itself', async () => {
      const domain = await ingested()
      const next = await built(domain, { model: OTHER, switchWhenBuilt: true })
      let passed = false
      let asked = 0
      const gate: SwitchDeps['gate'] = async () => {
        asked++
        return { passed, report: { worse: 2 } }
      }
      expect(await refused(switchTo(domain, next, {}, { gate }))).toMatchObject({
        code: 'GATE_FAILED',
        details: { report: { worse: 2 } },
      })
      const automatic = { ...deps(), gate }
      expect(await switchDue(automatic)).toBe(0)
      expect(await switchDue(automatic)).toBe(0)
      expect(asked).toBe(2)
      passed = true
      await parts.db.query(`update millrace.roles set until = '-infinity' where name like 'switch %'`)
      expect(await Promise.all([switchDue(automatic), switchDue(automatic)])).toEqual(
        expect.arrayContaining([1, 0]),
      )
      expect(await states(domain)).toEqual(['retired', 'live'])
      expect((await row(domain, next)).forced).toBeNull()
      passed = false
      const third = await built(domain, { size: 64 })
      await switchTo(domain, third, { force: { reason: 'known' } }, { gate })
      expect((await row(domain, third)).forced).toMatchObject({ reason: 'known', gated: { worse: 2 } })
      const fourth = await built(domain, { size: 80 })
      await switchTo(
        domain,
        fourth,
        { force: { reason: 'at once' } },
        { gate: async (_d, _g, how) => (how.isForced ? null : { passed, report: {} }) },
      )
      expect((await row(domain, fourth)).forced).toMatchObject({
        reason: 'at once',
        gated: { state: 'unasked' },
      })
      // Back again: no gate is asked.
      const before = asked
      await rollbackGeneration({ ...deps(), gate }, domain.name)
      expect(asked).toBe(before)
    })

    test.runIf(backend.isServer)('who holds the view, also an idle one, is named', async () => {
      const domain = await ingested()
      const next = await built(domain)
      const found = await parts.db.transact(async (tx) => {
        const [own] = await tx.query<{ pid: number }>(
          `select pg_backend_pid() as pid from (select 1 from millrace_domains."${domain.name}" limit 1) v`,
        )
        return { own, error: await refused(switchTo(domain, next)) }
      })
      expect(found.error).toMatchObject({ code: 'UNAVAILABLE', details: { holders: [found.own?.pid] } })
      expect(await switchTo(domain, next)).toMatchObject({ live: String(next.id) })
    })

    test('wrong input, two at once, and thresholds that come along', async () => {
      const domain = await ingested()
      expect(await refused(rollback(domain))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' })
      for (const id of ['0', 'x', '999999', "1' or true"]) {
        expect(await refused(switchGeneration(deps(), domain.name, id))).toMatchObject({
          code: 'UNKNOWN_GENERATION',
        })
        expect(await refused(cancelGeneration(deps(), domain.name, id))).toMatchObject({
          code: 'UNKNOWN_GENERATION',
        })
      }
      expect(await refused(switchGeneration(deps(), 'nobody', '1'))).toMatchObject({ code: 'UNKNOWN_DOMAIN' })
      expect(await switchTo(domain, { id: domain.generationId })).toMatchObject({ retired: null })
      expect(await refused(cancelGeneration(deps(), domain.name, String(domain.generationId)))).toMatchObject(
        {
          code: 'GENERATION_NOT_BUILDING',
        },
      )
      const next = await built(domain)
      const carryBands: SwitchDeps['carryBands'] = async (_live, { recipeHash: recipe }) => [
        { score: 'dense', recipe, threshold: 0.25, chosen: true },
      ]
      const both = await Promise.all([
        switchTo(domain, next, {}, { carryBands }),
        switchTo(domain, next, {}, { carryBands }),
      ])
      expect(both.map(({ live }) => live)).toEqual([String(next.id), String(next.id)])
      expect(both.filter(({ retired }) => retired === null)).toHaveLength(1)
      expect(await findDomain(deps(), domain.name)).toMatchObject({ threshold: 0.25 })
      expect(await refused(cancelGeneration(deps(), domain.name, String(domain.generationId)))).toMatchObject(
        {
          code: 'GENERATION_NOT_BUILDING',
        },
      )
      // Whichever comes later changes nothing, or is refused: it does not go forward again.
      const back = await Promise.all([refused(rollback(domain)), refused(rollback(domain))])
      expect(back).toContain('nothing')
      expect((await findDomain(deps(), domain.name)).generationId).toBe(domain.generationId)
      expect(await refused(rollback(domain))).toMatchObject({
        code: 'NOTHING_TO_ROLL_BACK',
        hint: expect.stringContaining(`generations/${next.id}/switch`),
      })
      expect((await states(domain)).sort()).toEqual(['live', 'retired'])
    })

    test('ingestions that are cancelled, resumed or keep a source in step go on over a switch', async () => {
      const domain = await ingested()
      const ingestion = await submit(domain, [report(51), report(52)])
      await prepare()
      await cancelIngestion(deps(), ingestion)
      const synced = await submit(domain, [report(61), report(62)], 'full')
      await work()
      await syncSources(parts.db)
      const next = await built(domain)
      const again = await submit(domain, [report(61)], 'full')
      const late = await submit(domain, [report(71)])
      await prepare()
      await switchTo(domain, next)
      await resumeIngestion(deps(), ingestion)
      await work()
      await syncSources(parts.db)
      for (const id of [ingestion, synced, again, late]) {
        expect(await getIngestion(deps(), id), id).toMatchObject({ state: 'finished' })
      }
      expect((await documents(domain)).map(({ id }) => id)).toEqual(
        [
          'report-1',
          'report-2',
          'report-3',
          'report-4',
          'report-51',
          'report-52',
          'report-61',
          'report-71',
        ].sort(),
      )
      expect(new Set((await documents(domain)).map(({ state }) => state))).toEqual(new Set(['ready']))
      expect((await find(domain, 'report 51')).model).toBe(OTHER)
    })

    test('a domain that never rests is switched too, and loses nothing', async () => {
      const domain = await ingested()
      const next = await begin(domain, { size: 48 })
      let isOver = false
      const ingestions: string[] = []
      const submitting = (async () => {
        for (let n = 100; !isOver && n < 130; n++) {
          ingestions.push(
            await submit(domain, [report(n, 3), { ...report(1), text: `Report 1 has ${n} pages.` }]),
          )
          await sleep(30)
        }
      })()
      const working = (async () => {
        while (!isOver) {
          await work()
          await buildGenerations(deps())
        }
      })()
      try {
        await until(async () => (await row(domain, next)).filledAt ?? undefined)
        expect(await switchTo(domain, next)).toMatchObject({ retired: String(domain.generationId) })
      } finally {
        isOver = true
        await Promise.all([submitting, working])
      }
      await work()
      for (const id of ingestions) {
        const { state, documents: counts } = await getIngestion(deps(), id)
        expect(state).toBe('finished')
        expect(counts.ready + counts.cancelled).toBe(2)
      }
      expect(new Set((await documents(domain)).map(({ state }) => state))).toEqual(new Set(['ready']))
      expect((await documents(domain)).length).toBe(4 + ingestions.length)
      expect((await find(domain, `Report 1 has ${99 + ingestions.length} pages`)).hits[0]?.text).toContain(
        `${99 + ingestions.length} pages`,
      )
    })

    test("vectors of one's own come in while generations take turns", async () => {
      const domain = await createDomain(deps(), { name: `switch-${created++}`, model: 'external', dims: 3 })
      const given = (n: number) => ({ id: `v${n}`, chunks: [{ text: `v${n}`, vector: [1, n, n * n] }] })
      await submit(domain, [given(0)])
      const made = await insertGeneration(parts.db, {
        ...domain,
        domainId: domain.id,
        liveId: domain.generationId,
        recipe: { model: 'external', revision: '', dims: 3 },
        storage: 'half',
        switchWhenBuilt: true,
      })
      if (typeof made !== 'object') throw new Error('not begun')
      let isOver = false
      const submitting = (async () => {
        let n = 1
        while (!isOver && n < 40) {
          await submit(domain, [given(n++), given(0), given(1000 + n)])
          await sleep(30)
        }
        return n
      })()
      const building = (async () => {
        while (!isOver) {
          await buildGenerations(deps())
          await sleep(5)
        }
      })()
      let live = 0
      try {
        await until(async () => (await row(domain, made)).filledAt ?? undefined)
        for (let n = 0; n < 3; n++) {
          const to = n === 1 ? await rollback(domain) : await switchTo(domain, made)
          live += to.retired === null ? 0 : 1
          await sleep(40)
        }
      } finally {
        isOver = true
        await building
      }
      const sent = await submitting
      expect(live).toBe(3)
      await buildGenerations(deps())
      const counts = await parts.db.query<{ count: number }>(
        'select count(*)::int as count from millrace.published where generation_id = any($1) group by generation_id',
        [[domain.generationId, made.id]],
      )
      const total = (await documents(domain)).length
      expect(total).toBe(2 * (sent - 1) + 1)
      expect(counts).toEqual([{ count: total }, { count: total }])
    })
  })
}
