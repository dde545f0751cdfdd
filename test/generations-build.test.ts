import { createHash } from 'node:crypto'
import { type Engine, openEngine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  buildGenerations,
  cancelIngestion,
  changedRecipe,
  createDomain,
  type Domain,
  deleteDocument,
  deleteDomain,
  embedLease,
  findDomainAt,
  listDomains,
  openLog,
  readSettings,
  recipeHash,
  recipeOf,
  search,
  submitDocuments,
} from '@millrace/flow'
import {
  buildIndex,
  claimBeside,
  completeness,
  dispatch,
  fillGeneration,
  type GenerationRow,
  generationErrors,
  getGeneration,
  insertGeneration,
  listLeases,
  openLease,
  patchGeneration,
  progressOf,
  recheckBeside,
  releaseOwners,
  retryDocuments,
  type StorageForm,
  switchTo,
  takeBackLeases,
} from '@millrace/store'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { OTHER, openParts, SMALL_LEASES } from './support/parts.js'
import { TEST_ENV } from './support/world.js'

const SIZES = { large: { size: 128 }, small: { size: 48 } } as const

/** One text that is a chunk whatever the size is, and one that is not. */
const short = (n: number) => ({ id: `short-${n}`, text: `Note ${n}: the kettle is on.` })
const long = (n: number) => ({
  id: `long-${n}`,
  title: `Report ${n}`,
  text: Array.from({ length: 12 }, (_, i) => `Sentence ${i} of report ${n} is about case ${i * n}.`).join(
    ' ',
  ),
})
const DOCUMENTS = [1, 2, 3].flatMap((n) => [short(n), long(n)])

const log = openLog('silent', 'test')
const engine = openEngine({ ...readSettings(TEST_ENV), log })
afterAll(() => engine.close())

/** Vectors and terms of its own, of the text alone: most of these tests are not about models. */
const quick: Engine = {
  ...engine,
  embed: async ({ model, texts }) =>
    texts.map((text) => {
      const bytes = createHash('shake256', { outputLength: engine.manifest(model).dims })
        .update(text)
        .digest()
      const length = Math.hypot(...bytes)
      const terms = { ids: Int32Array.of(7, 9), weights: Float32Array.of(1, 2) }
      const vector = Float32Array.from(bytes, (byte) => byte / length)
      return { vector, terms, tokens: text.length, windows: 1, truncated: false }
    }),
}

/** Of one text it makes no vector. */
const fragile: Engine = {
  ...quick,
  embed: async (request) => {
    const results = await quick.embed(request)
    return results.map((result, i) =>
      request.texts[i]?.includes('not a number')
        ? { error: new CodedError('NOT_FINITE', 'The vector is not finite') }
        : result,
    )
  },
}

interface Change {
  readonly storage?: StorageForm
  readonly chunking?: { readonly size: number }
  readonly model?: string
  readonly copy?: boolean
  readonly copiesSince?: Date
  readonly weight?: number
}

for (const backend of databases()) {
  describe(`the build of a generation, ${backend.name}`, () => {
    const parts = openParts(backend, engine, log)
    const { deps, ranges, prepare, settings } = parts
    /** By an engine that makes vectors out of nothing, unless it is another. */
    const embedAll = (made: Engine = quick) => parts.embedAll(made)
    afterEach(async () => {
      for (const { name } of await listDomains(deps())) await deleteDomain(deps(), name)
      ranges.splice(0)
    })

    const submit = async (domain: Domain, given: readonly object[]) =>
      (await submitDocuments(deps(), domain, given as { id: string; text: string }[])).ingestion
    let created = 0
    const ingested = async (given: readonly object[] = DOCUMENTS, made: Engine = quick) => {
      const domain = await createDomain(deps(), { name: `build-${created++}`, chunking: SIZES.large })
      await submit(domain, given)
      await prepare()
      await embedAll(made)
      return domain
    }
    const begin = async (domain: Domain, change: Change): Promise<GenerationRow> => {
      const manifest = engine.manifest(change.model ?? domain.model)
      const wishes = change.chunking === undefined ? {} : { chunking: change.chunking }
      const recipe =
        change.model === undefined
          ? changedRecipe(domain.recipe, manifest, wishes)
          : recipeOf(manifest, { chunking: domain.recipe.chunking, ...wishes })
      const made = await insertGeneration(parts.db, {
        domainId: domain.id,
        liveId: domain.generationId,
        model: manifest.id,
        dims: manifest.dims,
        recipe: { ...recipe },
        recipeHash: recipeHash(recipe),
        storage: change.storage ?? domain.storage,
        outputs: domain.outputs,
        lexical: domain.lexical,
        counted: domain.counted,
        levels: domain.levels,
        copiesFrom: change.copy === false || change.model !== undefined ? null : domain.generationId,
        copiesSince: change.copiesSince ?? null,
        ...(change.weight === undefined ? {} : { weight: change.weight }),
      })
      if (typeof made !== 'object') throw new Error(`not begun: ${made}`)
      return made
    }
    const build = () => buildGenerations(deps())
    const fill = async ({ id }: GenerationRow) => {
      while (!(await fillGeneration(parts.db, id)));
    }
    const now = async (domain: Domain, { id }: Pick<GenerationRow, 'id'>): Promise<GenerationRow> => {
      const row = await getGeneration(parts.db, domain.id, id)
      if (row === undefined) throw new Error('the generation is gone')
      return row
    }
    const progress = async ({ id }: Pick<GenerationRow, 'id'>) => (await progressOf(parts.db, [id])).get(id)
    /** What readers of a generation find, document by document. */
    const published = (generationId: number) =>
      parts.db.query<{
        id: string
        revision: number
        title: string | null
        metadata: object
        texts: number
      }>(
        `select d.external_id as id, p.revision, p.title, p.metadata, (
           select count(*)::int from millrace.chunks c join millrace.vectors_${generationId} v using (text_hash)
           where c.generation_id = p.generation_id and c.document_id = p.document_id and c.revision = p.revision
         ) as texts
         from millrace.published p join millrace.documents d on d.id = p.document_id
         where p.generation_id = $1 order by 1`,
        [generationId],
      )
    const without = <T extends { texts: number }>(rows: readonly T[]) => rows.map(({ texts, ...row }) => row)
    const idsFound = async (domain: Domain, generationId: number, query: string) => {
      const at = await findDomainAt(deps(), domain.name, String(generationId))
      return (await search(deps(), at, { query, k: 4 })).hits.map(({ documentId }) => documentId)
    }

    test('a change of storage computes no vector, and every form finds the same', async () => {
      const domain = await ingested(DOCUMENTS, engine)
      const before = await published(domain.generationId)
      const found = await idsFound(domain, domain.generationId, 'report 3')
      for (const storage of ['half', 'binary', 'sq8', 'sq4'] as const) {
        const made = await begin(domain, { storage })
        await build()
        const row = await now(domain, made)
        expect(row).toMatchObject({ textsEmbedded: 0, tokensEmbedded: 0, builtAt: expect.any(Date) })
        expect(row.textsCopied).toBe(DOCUMENTS.length)
        expect(await published(made.id)).toEqual(before)
        expect(await idsFound(domain, made.id, 'report 3')).toEqual(found)
        expect(await progress(made)).toMatchObject({ total: 6, ready: 6, waiting: 0, textsPending: 0 })
        expect(await completeness(parts.db, made.id, settings())).toMatchObject({
          complete: true,
          open: 0,
          failed: 0,
        })
        await parts.db.query(`update millrace.generations set state = 'ending' where id = $1`, [made.id])
      }
    })

    test('codes are decoded for a finer form, and are what they were', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 2))
      const sq8 = await begin(domain, { storage: 'sq8' })
      await build()
      // As a switch does it.
      await parts.db.query(`update millrace.generations set state = 'ending' where id = $1`, [
        domain.generationId,
      ])
      await parts.db.query(`update millrace.generations set state = 'live', follows = false where id = $1`, [
        sq8.id,
      ])
      const coded = await findDomainAt(deps(), domain.name, String(sq8.id))
      const full = await begin(coded, { storage: 'full' })
      await build()
      expect((await now(domain, full)).textsEmbedded).toBe(0)
      const [near] = await parts.db.query<{ least: number; rows: number }>(
        `select min(-(a.embedding <#> b.embedding))::float8 as least, count(*)::int as rows
         from millrace.vectors_${domain.generationId} a join millrace.vectors_${full.id} b using (text_hash)`,
      )
      expect(near?.rows).toBe(2)
      expect(near?.least).toBeGreaterThan(0.999)
    })

    test('vectors that documents brought are taken over with their chunks', async () => {
      const domain = await createDomain(deps(), { name: `build-${created++}`, model: 'external', dims: 3 })
      const given = (id: string, vector: number[]) => ({ id, chunks: [{ text: id, vector }] })
      await submit(domain, [given('x', [1, 0, 0]), given('y', [0, 1, 0])])
      const made = await insertGeneration(parts.db, {
        ...domain,
        domainId: domain.id,
        liveId: domain.generationId,
        recipe: { model: 'external', revision: '', dims: 3 },
        storage: 'half',
      })
      if (typeof made !== 'object') throw new Error('not begun')
      await build()
      await submit(domain, [given('y', [0, 0, 1]), given('z', [0, 0.6, 0.8])])
      await build()
      expect(await published(made.id)).toEqual(await published(domain.generationId))
      expect(await now(domain, made)).toMatchObject({ textsEmbedded: 0, textsCopied: 4 })
    })

    test('a change of chunk size reuses what has the same text, terms and all', async () => {
      const domain = await ingested(DOCUMENTS, engine)
      const made = await begin(domain, { chunking: SIZES.small })
      await build()
      // Three notes are one chunk in both.
      expect(await now(domain, made)).toMatchObject({ textsCopied: 3, textsEmbedded: 0 })
      await embedAll(engine)
      const row = await now(domain, made)
      expect(row.textsEmbedded).toBeGreaterThan(6)
      expect(row.tokensEmbedded).toBeGreaterThan(100)
      expect(row.builtAt).toBeNull()
      await build()
      expect((await now(domain, made)).builtAt).toEqual(expect.any(Date))
      expect(without(await published(made.id))).toEqual(without(await published(domain.generationId)))

      // The same generation without copying weighs terms the same.
      await parts.db.query(`update millrace.generations set state = 'retired' where id = $1`, [made.id])
      const anew = await begin(domain, { chunking: SIZES.small, copy: false })
      await build()
      await embedAll(engine)
      expect((await now(domain, anew)).textsCopied).toBe(0)
      const [apart] = await parts.db.query<{ most: number; rows: number }>(
        `select max(a.weights <-> b.weights)::float8 as most, count(*)::int as rows
         from millrace.terms_${made.id} a join millrace.terms_${anew.id} b using (text_hash)`,
      )
      expect(apart?.rows).toBe(row.textsCopied + row.textsEmbedded)
      expect(apart?.most).toBeLessThan(0.0001)
    })

    test('another model embeds everything, with its own chunks', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 4))
      const made = await begin(domain, { model: OTHER })
      await build()
      await embedAll()
      await build()
      const row = await now(domain, made)
      expect(row).toMatchObject({ textsCopied: 0, builtAt: expect.any(Date) })
      const [vectors] = await parts.db.query<{ count: number }>(
        `select count(*)::int as count from millrace.vectors_${made.id}`,
      )
      expect(row.textsEmbedded).toBe(vectors?.count)
      expect((await published(made.id)).map(({ id }) => id)).toEqual(
        DOCUMENTS.slice(0, 4)
          .map(({ id }) => id)
          .sort(),
      )
    })

    test('what comes, changes and goes during the build ends up right in both', async () => {
      const domain = await ingested()
      const made = await begin(domain, { chunking: SIZES.small })
      // Half of the way: prepared, not embedded.
      await build()
      const changed = (n: number, text: string) => ({ id: `short-${n}`, text, metadata: { changed: n } })
      await submit(domain, [
        changed(1, 'Note 1: the kettle is off.'),
        { ...long(4), metadata: { late: true } },
      ])
      // The new revision is on its way: the old one is published with what it had.
      await embedAll()
      expect(await published(made.id)).toContainEqual({
        id: 'short-1',
        revision: 1,
        title: null,
        metadata: {},
        texts: 1,
      })
      await prepare()
      await embedAll()
      await deleteDocument(deps(), domain, 'long-2')
      // Only the metadata is new.
      await submit(domain, [{ ...short(2), metadata: { only: 'this' } }])
      await prepare()
      await build()
      await embedAll()
      const live = await published(domain.generationId)
      expect(without(await published(made.id))).toEqual(without(live))
      expect(live.map(({ id }) => id)).toEqual([
        'long-1',
        'long-3',
        'long-4',
        'short-1',
        'short-2',
        'short-3',
      ])
      expect(live).toContainEqual(expect.objectContaining({ id: 'short-2', metadata: { only: 'this' } }))
      const [left] = await parts.db.query<{ orphans: number; pending: number }>(
        `select (
           select count(*)::int from millrace.vectors_${made.id} v where v.orphaned_at is null and not exists (
             select 1 from millrace.chunks c where c.generation_id = $1 and c.text_hash = v.text_hash
           )
         ) as orphans, (select count(*)::int from millrace.pending) as pending`,
        [made.id],
      )
      expect(left).toEqual({ orphans: 0, pending: 0 })
      await build()
      expect((await completeness(parts.db, made.id, settings()))?.complete).toBe(true)
    })

    test('a revision that is cancelled, or fails, is told as lost, and nothing waits for ever', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 3))
      const made = await begin(domain, { chunking: SIZES.small })
      const id = await submit(domain, [{ ...short(1), text: 'Note 1: never embedded.' }])
      await cancelIngestion(deps(), id)
      ranges.splice(0)
      await build()
      await embedAll()
      expect(await progress(made)).toMatchObject({ ready: 2, failed: 1, lost: 1 })
      expect(await generationErrors(parts.db, made.id)).toMatchObject([
        { code: 'REVISION_CANCELLED', count: 1, example: { document: 'short-1' } },
      ])
      expect((await completeness(parts.db, made.id, settings()))?.complete).toBe(false)
      // Submitted again it comes by itself.
      await submit(domain, [{ ...short(1), text: 'Note 1: embedded at last.' }])
      await prepare()
      await embedAll()
      await build()
      await embedAll()
      expect(await progress(made)).toMatchObject({ ready: 3, failed: 0 })
    })

    test('a row that waits for texts of a revision that nobody can show any more goes', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 1))
      await submit(domain, [{ id: 'bad', text: 'This one is not a number.' }])
      await prepare()
      await embedAll(fragile)
      const made = await begin(domain, { chunking: SIZES.small, copy: false })
      // It failed in the live one; in this one it may go better.
      await build()
      expect(await progress(made)).toMatchObject({ total: 2, embedding: 2 })
      const id = await submit(domain, [{ id: 'bad', text: 'Another number.' }])
      await cancelIngestion(deps(), id)
      await embedAll()
      expect(await progress(made)).toMatchObject({ ready: 1, embedding: 1 })
      await parts.db.query(
        `update millrace.generation_documents set leased_until = '-infinity' where generation_id = $1`,
        [made.id],
      )
      await recheckBeside(parts.db, 30)
      expect(await progress(made)).toMatchObject({ total: 1, ready: 1, failed: 0 })
    })

    test('a model that no worker has stops it, says so, and is no fault of its documents', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 1))
      const made = await begin(domain, { model: OTHER })
      const without: Engine = {
        ...quick,
        manifest: (id) => {
          if (id === OTHER) throw new CodedError('UNKNOWN_MODEL', `There is no model ${id}`)
          return engine.manifest(id)
        },
      }
      expect(await buildGenerations({ ...deps(), engine: without })).toBe(0)
      expect(await now(domain, made)).toMatchObject({
        errorCode: 'UNKNOWN_MODEL',
        errorMessage: `There is no model ${OTHER}`,
      })
      expect(await build()).toBe(1)
      expect((await now(domain, made)).errorCode).toBeNull()
    })

    test('one that was waiting when its document was cancelled is settled', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 2))
      const made = await begin(domain, { chunking: SIZES.small })
      await fill(made)
      expect(await progress(made)).toMatchObject({ total: 2, waiting: 2, unfilled: 0 })
      const id = await submit(domain, [{ ...short(1), text: 'Note 1: never embedded.' }])
      await cancelIngestion(deps(), id)
      await build()
      await embedAll()
      expect(await progress(made)).toMatchObject({ waiting: 0, ready: 1, failed: 1 })
    })

    test('what an ingestion wanted that is cancelled stays wanted by the generation that is built', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 2))
      const made = await begin(domain, { chunking: SIZES.small })
      await build()
      const pending = (await progress(made))?.textsPending ?? 0
      expect(pending).toBeGreaterThan(2)
      const id = await submit(domain, [{ ...long(1), text: `${long(1).text} And there is more.` }])
      await prepare()
      await cancelIngestion(deps(), id)
      expect((await progress(made))?.textsPending).toBe(pending)
      await embedAll()
      expect(await progress(made)).toMatchObject({ embedding: 0, textsPending: 0 })
    })

    test('two workers share the work, and each text is embedded or copied once', async () => {
      const domain = await ingested([...DOCUMENTS, ...[4, 5, 6, 7].flatMap((n) => [short(n), long(n)])])
      const made = await begin(domain, { chunking: SIZES.small, storage: 'half' })
      await Promise.all([build(), build()])
      await Promise.all([embedAll(), embedAll()])
      await Promise.all([build(), build()])
      const row = await now(domain, made)
      const [texts] = await parts.db.query<{ count: number }>(
        'select count(distinct text_hash)::int as count from millrace.chunks where generation_id = $1',
        [made.id],
      )
      expect(row.textsCopied + row.textsEmbedded).toBe(texts?.count)
      expect(row.builtAt).toEqual(expect.any(Date))
    })

    test('what a worker had that died is taken up when its time is over, and given up after five times', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 2))
      const made = await begin(domain, { chunking: SIZES.small })
      const { db } = parts
      const options = { chunksFrom: null, documents: 10, ownedSeconds: 600 }
      await fill(made)
      expect(await claimBeside(db, made.id, options)).toHaveLength(2)
      // Somebody has them.
      expect(await build()).toBe(0)
      const lapse = () =>
        db.query(
          `update millrace.generation_documents set leased_until = now() - interval '1 s' where generation_id = $1`,
          [made.id],
        )
      await lapse()
      expect(await build()).toBe(2)
      // A batch in hand is lost: that one is embedded again, and no other.
      const [lost] = await dispatch(db, { ...SMALL_LEASES, leasesMax: 1 })
      await db.query(`update millrace.leases set leased_until = now() - interval '1 s' where id = $1`, [
        lost?.id,
      ])
      await embedAll()
      const [texts] = await db.query<{ count: number }>(
        'select count(distinct text_hash)::int as count from millrace.chunks where generation_id = $1',
        [made.id],
      )
      const row = await now(domain, made)
      expect(row.textsCopied + row.textsEmbedded).toBe(texts?.count)

      await db.query(
        `update millrace.generation_documents set state = 'preparing', attempts = 5 where generation_id = $1`,
        [made.id],
      )
      await lapse()
      expect(await build()).toBe(0)
      expect(await generationErrors(db, made.id)).toMatchObject([{ code: 'PREPARE_FAILED', count: 2 }])
      expect(await retryDocuments(db, made.id)).toBe(2)
      await build()
      expect(await progress(made)).toMatchObject({ ready: 2, failed: 0 })
    })
    test('an embedded database that starts anew frees what its process had', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 2))
      const made = await begin(domain, { chunking: SIZES.small })
      await build()
      await parts.db.query(
        `update millrace.generation_documents set state = 'preparing', leased_until = now() + interval '1 hour'
         where generation_id = $1`,
        [made.id],
      )
      await releaseOwners(parts.db)
      expect(await build()).toBe(2)
    })

    test('texts that were lost from pending come back', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 2))
      const made = await begin(domain, { chunking: SIZES.small })
      await build()
      await parts.db.query('delete from millrace.pending')
      await parts.db.query(
        `update millrace.generation_documents set leased_until = '-infinity' where generation_id = $1`,
        [made.id],
      )
      expect(await recheckBeside(parts.db, 30)).toBeGreaterThan(0)
      await embedAll()
      expect(await progress(made)).toMatchObject({ ready: 2 })
    })

    test('one that is paused is neither prepared nor embedded', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 2))
      const made = await begin(domain, { chunking: SIZES.small })
      const pause = (paused: boolean) =>
        patchGeneration(parts.db, { domainId: domain.id, id: made.id, states: ['building'] }, { paused })
      await pause(true)
      expect(await build()).toBe(0)
      await pause(false)
      expect(await build()).toBe(2)
      await pause(true)
      expect(await dispatch(parts.db, SMALL_LEASES)).toEqual([])
      await pause(false)
      expect((await dispatch(parts.db, SMALL_LEASES)).length).toBeGreaterThan(0)
    })

    test('a pause takes back the leases that nobody has begun, and leaves the others to whoever has them', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 2))
      const made = await begin(domain, { copy: false, chunking: SIZES.small })
      await build()
      const [begun, ...others] = await dispatch(parts.db, { ...SMALL_LEASES, leaseTexts: 1 })
      if (begun === undefined || others.length === 0) throw new Error('too few leases')
      expect(await openLease(parts.db, begun, 3)).toHaveLength(1)
      await patchGeneration(
        parts.db,
        { domainId: domain.id, id: made.id, states: ['building'] },
        { paused: true },
      )
      await takeBackLeases(parts.db, made.id)
      expect(await listLeases(parts.db, 0)).toEqual([begun])
      for (const lease of others) {
        expect(await embedLease({ ...deps(), engine: quick }, lease)).toEqual({ texts: 0, tokens: 0 })
      }
      expect((await embedLease({ ...deps(), engine: quick }, begun)).texts).toBe(1)
      expect((await progress(made))?.textsPending).toBe(others.length)
      await patchGeneration(
        parts.db,
        { domainId: domain.id, id: made.id, states: ['building'] },
        { paused: false },
      )
      await embedAll()
      expect(await progress(made)).toMatchObject({ ready: 2, textsPending: 0 })
    })

    test('a generation of half the weight gets half as many tokens', async () => {
      const texts = (seed: string) =>
        Array.from({ length: 24 }, (_, i) => ({
          id: `${seed}-${i}`,
          text: `Line ${i} of ${seed}, all of a length.`,
        }))
      const domain = await ingested(texts('old'))
      const made = await begin(domain, { copy: false, weight: 0.5 })
      await build()
      await submit(domain, texts('new'))
      await prepare()
      await parts.db.query('delete from millrace.turns')
      await dispatch(parts.db, { ...SMALL_LEASES, leasesMax: 12, leaseTexts: 2 })
      const [given] = await parts.db.query<{ share: number }>(
        `select (sum(tokens) filter (where generation_id = $1) / sum(tokens))::float8 as share from millrace.leases`,
        [made.id],
      )
      expect(given?.share).toBeGreaterThan(0.25)
      expect(given?.share).toBeLessThan(0.45)
    })

    test('a text that cannot be embedded fails its document there, and not in the live one', async () => {
      const domain = await ingested([
        ...DOCUMENTS.slice(0, 2),
        { id: 'bad', text: 'This one is not a number.' },
      ])
      const made = await begin(domain, { copy: false })
      await build()
      await embedAll(fragile)
      expect(await progress(made)).toMatchObject({ ready: 2, failed: 1, lost: 1, textsPending: 0 })
      expect(await generationErrors(parts.db, made.id)).toEqual([
        { code: 'NOT_FINITE', count: 1, example: { document: 'bad', message: 'The vector is not finite' } },
      ])
      const [document] = await parts.db.query<{ state: string }>(
        `select state from millrace.documents where domain_id = $1 and external_id = 'bad'`,
        [domain.id],
      )
      expect(document?.state).toBe('ready')
    })

    test('only what was published since a moment is taken over, and keeps its date', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 2))
      await parts.db.query(
        `update millrace.published p set published_at = '2020-01-01' from millrace.documents d
         where d.id = p.document_id and p.generation_id = $1 and d.external_id = 'long-1'`,
        [domain.generationId],
      )
      const made = await begin(domain, { copiesSince: new Date('2021-01-01') })
      await build()
      await embedAll()
      const row = await now(domain, made)
      expect(row.textsCopied).toBe(1)
      expect(row.textsEmbedded).toBeGreaterThan(0)
      const dates = await parts.db.query<{ same: boolean }>(
        `select p.published_at = l.published_at as same from millrace.published p
         join millrace.published l on l.document_id = p.document_id and l.generation_id = $2
         join millrace.documents d on d.id = p.document_id
         where p.generation_id = $1 order by d.external_id`,
        [made.id, domain.generationId],
      )
      expect(dates.map(({ same }) => same)).toEqual([false, true])
    })

    test('a retired one that follows gets what comes, from the live one where that has it', async () => {
      const domain = await ingested(DOCUMENTS.slice(0, 2))
      const made = await begin(domain, { storage: 'half' })
      await build()
      const { outcome } = await switchTo(parts.db, {
        domainId: domain.id,
        generationId: made.id,
        force: null,
        bands: [],
        isExternal: false,
        indexRowsMin: 1_000,
      })
      expect(outcome).toBe('switched')
      const which = { domainId: domain.id, id: domain.generationId, states: ['retired'] as const }
      await patchGeneration(parts.db, which, { keepUpToDate: true })
      const live = await findDomainAt(deps(), domain.name, String(made.id))
      await submit(live, [long(9)])
      await prepare()
      await embedAll()
      await build()
      expect(await published(domain.generationId)).toEqual(await published(made.id))
      const retired = await now(domain, { id: domain.generationId })
      expect(retired).toMatchObject({ textsEmbedded: 0, filledAt: expect.any(Date) })
      // What it had was left as it was.
      expect(await progress(retired)).toMatchObject({ total: 1, ready: 1 })
    })

    if (backend.isServer) {
      test('its index is built when all of it is there, and then it is complete', async () => {
        const domain = await ingested()
        const made = await begin(domain, { storage: 'half' })
        const policy = { indexRowsMin: 5 }
        const few = { ...settings(), ...policy }
        expect(await buildIndex(parts.db, { rowsMin: 5 })).toBe(domain.generationId)
        await buildGenerations({ ...deps(), settings: few })
        expect(await completeness(parts.db, made.id, policy)).toMatchObject({
          complete: false,
          indexDue: true,
          termCountsDue: false,
        })
        expect(await buildIndex(parts.db, { rowsMin: 5 })).toBe(made.id)
        await buildGenerations({ ...deps(), settings: few })
        expect(await now(domain, made)).toMatchObject({
          builtAt: expect.any(Date),
          indexedAt: expect.any(Date),
          termsCountedAt: expect.any(Date),
        })
        const [rows] = await parts.db.query<{ reltuples: number }>(
          `select reltuples from pg_class where oid = 'millrace.vectors_${made.id}'::regclass`,
        )
        expect(rows?.reltuples).toBe(6)
      })
    }
  })
}
