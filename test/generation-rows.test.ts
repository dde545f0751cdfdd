import { type Backends, openBackends, openLog, readSettings } from '@millrace/flow'
import {
  type Db,
  type DomainRow,
  deleteDomain,
  getDomain,
  insertGeneration,
  measuredSpeed,
  type NewGeneration,
  patchGeneration,
} from '@millrace/store'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases, type Place } from './support/backends.js'
import { filledDomain } from './support/filled.js'
import { TEST_ENV } from './support/world.js'

const LEVELS = [{ key: 'other', above: null, name: { zh: '别', en: 'other' } }]

for (const backend of databases()) {
  describe(`rows of generations, ${backend.name}`, () => {
    let place: Place
    let backends: Backends
    let db: Db
    beforeAll(async () => {
      place = await backend.open()
      backends = await openBackends(readSettings({ ...TEST_ENV, ...place.env }), openLog('silent', 'test'))
      db = backends.db
    })
    afterAll(async () => {
      await backends?.close()
      await place?.remove()
    })

    const domainOf = (name: string): Promise<DomainRow> =>
      filledDomain(db, { name, dims: 4 }, [{ vector: Float32Array.of(1, 0, 0, 0), metadata: {} }])
    const beside = (domain: DomainRow): NewGeneration => ({
      domainId: domain.id,
      liveId: domain.generationId,
      model: 'm',
      dims: 8,
      recipe: { model: 'm' },
      recipeHash: 'another',
      storage: 'half',
      outputs: ['dense', 'sparse', 'colbert'],
      lexical: 'bm25',
      levels: LEVELS,
    })

    test('one is built beside the live one, with tables of its own and levels for its recipe', async () => {
      const domain = await domainOf('beside')
      const made = await insertGeneration(db, beside(domain))
      expect(made).toMatchObject({
        state: 'building',
        follows: true,
        paused: false,
        weight: 0.5,
        soakSeconds: 86_400,
        thresholds: 'confirm',
        liveSince: null,
        startedAt: expect.any(Date),
      })
      const id = typeof made === 'object' ? made.id : 0
      const tables = await db.query<{ name: string }>(
        'select name from unnest($1::text[]) as u (name) where to_regclass(name) is not null',
        [['vectors', 'terms', 'colbert'].map((kind) => `millrace.${kind}_${id}`)],
      )
      expect(tables).toHaveLength(3)
      const now = await getDomain(db, 'beside')
      expect(now?.generationId).toBe(domain.generationId)
      expect(now?.bands.find(({ recipe }) => recipe === 'another')).toMatchObject({
        threshold: null,
        levels: LEVELS,
        chosen: false,
      })
    })

    test('of many at once one is begun', async () => {
      const domain = await domainOf('many')
      const made = await Promise.all(Array.from({ length: 5 }, () => insertGeneration(db, beside(domain))))
      expect(made.filter((one) => one === 'exists')).toHaveLength(4)
    })

    test('what was decided beside another live one is not begun', async () => {
      const domain = await domainOf('moved')
      expect(await insertGeneration(db, { ...beside(domain), liveId: domain.generationId - 1 })).toBe('moved')
    })

    test('nothing is begun in a domain that is gone', async () => {
      const domain = await domainOf('gone')
      await deleteDomain(db, 'gone')
      expect(await insertGeneration(db, beside(domain))).toBeUndefined()
    })

    test('a change reaches one that is in a state for it, and leaves the rest as it was', async () => {
      const domain = await domainOf('patched')
      const made = await insertGeneration(db, beside(domain))
      const which = { domainId: domain.id, id: typeof made === 'object' ? made.id : 0 }
      const building = { ...which, states: ['building'] as const }
      const changed = await patchGeneration(db, building, { weight: 2, paused: true, gate: { margin: 0.1 } })
      expect(changed).toMatchObject({ weight: 2, paused: true, gate: { margin: 0.1 }, soakSeconds: 86_400 })
      expect(await patchGeneration(db, building, { paused: false })).toMatchObject({
        weight: 2,
        paused: false,
      })
      expect(await patchGeneration(db, { ...which, states: ['retired'] }, { weight: 1 })).toBeUndefined()
    })

    test('a speed is that of the model which was live, else of builds with it, whatever is live now', async () => {
      const domain = await domainOf('sped')
      const made = await insertGeneration(db, { ...beside(domain), model: 'sped-new' })
      const id = typeof made === 'object' ? made.id : 0
      await db.query(
        `update millrace.generations set model = 'sped-old', live_since = '2026-01-01' where id = $1`,
        [domain.generationId],
      )
      await db.query(
        `insert into millrace.ingestions (domain_id, state, tokens_embedded, started_at, work_started_at, finished_at)
         values ($1, 'finished', 10000, '2026-01-02 00:00', '2026-01-02 00:00', '2026-01-02 00:00:10')`,
        [domain.id],
      )
      expect(await measuredSpeed(db, 'sped-old')).toEqual({ tokensPerSecond: 1_000, isModel: true })
      expect(await measuredSpeed(db, 'sped-new')).toEqual({ tokensPerSecond: 1_000, isModel: false })
      await db.query(
        `update millrace.generations set state = 'retired', retired_at = '2026-01-03' where id = $1`,
        [domain.generationId],
      )
      await db.query(
        `update millrace.generations set state = 'live', live_since = '2026-01-03', tokens_embedded = 9000,
           started_at = '2026-01-02 12:00', built_at = '2026-01-02 12:00:30' where id = $1`,
        [id],
      )
      expect(await measuredSpeed(db, 'sped-old')).toEqual({ tokensPerSecond: 1_000, isModel: true })
      expect(await measuredSpeed(db, 'sped-new')).toEqual({ tokensPerSecond: 300, isModel: true })
    })

    test('of a retired one the soak is moved, never below a minute, and it follows again from the beginning', async () => {
      const domain = await domainOf('soaking')
      await db.query(
        `update millrace.generations set state = 'retired', retired_at = '2026-01-01', drop_at = '2026-01-02',
           filled_after = 7, filled_at = now() where id = $1`,
        [domain.generationId],
      )
      const which = { domainId: domain.id, id: domain.generationId, states: ['retired'] as const }
      const short = await patchGeneration(db, which, { soakSeconds: 0, keepUpToDate: true })
      expect(short).toMatchObject({ soakSeconds: 0, follows: true, filledAfter: 0, filledAt: null })
      expect((short?.dropAt?.getTime() ?? 0) - (short?.retiredAt?.getTime() ?? 0)).toBe(60_000)
      const long = await patchGeneration(db, which, { soakSeconds: 172_800 })
      expect((long?.dropAt?.getTime() ?? 0) - (long?.retiredAt?.getTime() ?? 0)).toBe(172_800_000)
    })
  })
}
