import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { openWorld, until, type World } from './support/world.js'

const MINILM = 'all-minilm-l6-v2'
const BGE_ZH = 'bge-small-zh-v1.5'

const SUBJECTS = ['bread', 'tomatoes', 'bicycles', 'coins', 'whales', 'chess', 'the moon', 'taxes']

/** A heading and a paragraph a section: sections stay whole where chunks are a little larger or smaller. */
const documents = (count: number, sections: number) =>
  Array.from({ length: count }, (_, i) => ({
    id: `d${i}`,
    title: `Note ${i}`,
    text: Array.from({ length: sections }, (_, j) => {
      const subject = SUBJECTS[(i + j) % SUBJECTS.length]
      return `## Part ${j} of ${i}\n\nIt is about ${subject}, and about number ${i * 31 + j}. ${`Of ${subject} much can be said. `.repeat(4 + j)}`
    }).join('\n\n'),
  }))

for (const backend of databases()) {
  describe(`generations, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
      await fill('notes', documents(12, 6))
      await fill('many', documents(250, 1))
      await world.call('POST', '/v1/domains', { name: 'brought', model: 'external', dims: 3 })
    })
    afterAll(() => world?.close())

    async function fill(name: string, given: readonly object[], more: object = {}): Promise<void> {
      await world.call('POST', '/v1/domains', { name, chunking: { kind: 'markdown', size: 128 }, ...more })
      const path = `/v1/domains/${name}/documents`
      const { ingestion } = await world.client.post(path, { documents: given }, submissionSchema)
      await world.finished(ingestion)
    }
    /** Builds another generation, switches to it, and returns what its start answered. */
    async function become(name: string, wishes: object) {
      const begun = (await world.call('POST', generations(name), wishes)).body
      const one = `${generations(name)}/${begun.id}`
      await until(async () => {
        const { phase } = (await world.call('GET', one)).body
        return phase === 'complete' ? phase : undefined
      })
      const { status } = await world.call('POST', `${one}/switch`, { force: { reason: 'a test' } })
      expect(status).toBe(200)
      return begun
    }
    const generations = (name: string) => `/v1/domains/${name}/generations`
    async function planned(name: string, wishes: object) {
      const { status, body } = await world.call('POST', generations(name), { ...wishes, dryRun: true })
      expect(body).not.toHaveProperty('error')
      expect(status).toBe(200)
      return body as unknown as {
        documents: number
        chunks: { total: number; copied: number; embedded: number }
        tokens: { total: number; embedded: number }
        hours: number | null
        speed: { of: string } | null
        bytes: number
        changes: string[]
        exact: boolean
        copiedFrom: string | null
        sampled: number | null
        adapted: object[]
      }
    }
    /** What the domain has, counted by its rows. */
    async function standing(name: string) {
      const [row] = await world.running.backends.db.query<{ chunks: number; tokens: number }>(
        `select count(*)::int as chunks, sum(c.tokens)::int as tokens from millrace.chunks c
         join millrace.generations g on g.id = c.generation_id and g.state = 'live'
         join millrace.domains d on d.id = g.domain_id where d.name = $1`,
        [name],
      )
      return row ?? { chunks: 0, tokens: 0 }
    }

    test('a plan of another storage counts everything, and embeds nothing', async () => {
      const { chunks, tokens } = await standing('notes')
      const half = await planned('notes', { storage: 'half' })
      expect(half).toMatchObject({
        documents: 12,
        chunks: { total: chunks, copied: chunks, embedded: 0 },
        tokens: { total: tokens, embedded: 0 },
        hours: 0,
        changes: ['storage'],
        exact: true,
        sampled: null,
        adapted: [],
      })
      const full = await planned('notes', { index: { m: 24 } })
      expect(full.bytes).toBeGreaterThan(half.bytes)
      expect(half.bytes).toBeGreaterThan(chunks * 2 * 384)
    })

    test('a plan that takes nothing over embeds everything', async () => {
      const { chunks, tokens } = await standing('notes')
      expect(await planned('notes', { copy: false })).toMatchObject({
        chunks: { total: chunks, copied: 0, embedded: chunks },
        tokens: { total: tokens, embedded: tokens },
        changes: ['vectors'],
      })
    })

    test('of what was published since a moment vectors are taken over, the rest is embedded', async () => {
      const long = await planned('notes', { copySince: '2020-01-01T00:00:00Z' })
      expect(long.chunks.embedded).toBe(0)
      const soon = await planned('notes', { copySince: '2999-01-01T00:00:00+01:00' })
      expect(soon.chunks).toMatchObject({ copied: 0, embedded: soon.chunks.total })
      expect(soon.changes).toEqual(['vectors'])
    })

    test('a plan of other chunks tells those that stay from those that are new', async () => {
      const plan = await planned('notes', { chunking: { size: 96 } })
      expect(plan.changes).toEqual(['chunking'])
      expect(plan.sampled).toBeNull()
      expect(plan.chunks.copied).toBeGreaterThan(0)
      expect(plan.chunks.embedded).toBeGreaterThan(0)
      expect(plan.chunks.copied + plan.chunks.embedded).toBeLessThanOrEqual(plan.chunks.total)
      // What it says is what comes of it.
      await fill('smaller', documents(12, 6), { chunking: { kind: 'markdown', size: 96 } })
      const { chunks, tokens } = await standing('smaller')
      expect([plan.chunks.total, plan.tokens.total]).toEqual([chunks, tokens])
    })

    test('a plan of another model embeds everything, in hours that were measured', async () => {
      const plan = await planned('notes', { model: BGE_ZH })
      expect(plan).toMatchObject({ changes: ['model'], chunks: { copied: 0 }, exact: true })
      expect(plan.tokens.embedded).toBeGreaterThan(0)
      expect(plan.speed?.of).toBe('other model')
      expect(plan.hours).toBeGreaterThanOrEqual(0)
      expect((await planned('notes', { copy: false })).speed?.of).toBe('this model')
    })

    test('of many documents some are divided, and stand for all', async () => {
      const plan = await planned('many', { model: BGE_ZH })
      expect(plan.sampled).toBe(125)
      expect(plan.documents).toBe(250)
      const { chunks } = await standing('many')
      expect(Math.abs(plan.chunks.total - chunks)).toBeLessThan(chunks / 20)
    })

    test('codes of a coarser form do not become finer, and the plan says so', async () => {
      await fill('coarse', documents(2, 1), { storage: 'sq4' })
      expect(await planned('coarse', { storage: 'full' })).toMatchObject({
        exact: false,
        copiedFrom: 'sq4',
        chunks: { embedded: 0 },
      })
      expect(await planned('coarse', { storage: 'full', copy: false })).toMatchObject({
        exact: true,
        copiedFrom: null,
      })
    })

    test('a coarser form that vectors came through is not forgotten, however fine they are now', async () => {
      await become('coarse', { storage: 'half' })
      expect(await planned('coarse', { storage: 'full' })).toMatchObject({ exact: false, copiedFrom: 'sq4' })
      const { copiedFrom } = await become('coarse', { storage: 'full' })
      expect(copiedFrom).toBe('sq4')
      const report = (await world.call('GET', '/v1/domains/coarse/storage')).body
      expect(report).toMatchObject({
        storage: 'full',
        copiedFrom: 'sq4',
        error: { pairs: expect.any(Number) },
      })
      expect(report.notes).toContainEqual(
        expect.stringContaining('Vectors were copied from sq4: they keep its precision'),
      )
      expect((await become('coarse', { copy: false })).copiedFrom).toBeNull()
      const mended = (await world.call('GET', '/v1/domains/coarse/storage')).body
      expect(mended).toMatchObject({ copiedFrom: null, error: null })
    })

    test('an external domain changes how its vectors are kept, and nothing else', async () => {
      expect(await planned('brought', { storage: 'half' })).toMatchObject({
        documents: 0,
        bytes: 0,
        hours: 0,
      })
      for (const wishes of [
        { model: MINILM },
        { chunking: { size: 64 } },
        { copy: false },
        { outputs: ['sparse'] },
      ]) {
        const { status, body } = await world.call('POST', generations('brought'), wishes)
        expect([status, body.error?.code]).toEqual([400, 'NOT_FOR_EXTERNAL'])
      }
    })

    test('one is begun, seen, changed and paused; a second one at once is refused', async () => {
      await fill('begun', documents(3, 2))
      const live = (await world.call('GET', '/v1/domains/begun')).body
      expect(live).toMatchObject({
        generation: { id: expect.any(String), state: 'live' },
        building: null,
        retired: null,
      })
      const { status, body } = await world.call('POST', generations('begun'), {
        model: BGE_ZH,
        storage: 'half',
        weight: 0.25,
        soakSeconds: 3_600,
        thresholds: 'carry',
        gate: { margin: 0.1 },
      })
      expect(status).toBe(201)
      expect(body).toMatchObject({
        domain: 'begun',
        state: 'building',
        model: BGE_ZH,
        storage: 'half',
        weight: 0.25,
        soakSeconds: 3_600,
        thresholds: 'carry',
        gate: { margin: 0.1 },
        switch: 'manual',
        paused: false,
        copiesFrom: null,
        liveSince: null,
        recipe: { model: BGE_ZH, chunking: { kind: 'markdown', size: 128 } },
      })
      const id = body.id as string
      const again = await world.call('POST', generations('begun'), { storage: 'sq8' })
      expect([again.status, again.body.error?.code]).toEqual([409, 'GENERATION_EXISTS'])
      expect(again.body.error?.details).toMatchObject({ id })
      const plan = await world.call('POST', generations('begun'), { storage: 'sq8', dryRun: true })
      expect(plan.body.error?.code).toBe('GENERATION_EXISTS')

      const listed = (await world.call('GET', generations('begun'))).body.generations as { id: string }[]
      expect(listed).toMatchObject([
        { id, state: 'building' },
        {
          id: (live.generation as { id: string }).id,
          state: 'live',
          documents: { total: 3, ready: 3 },
          startedAt: null,
        },
      ])
      const domain = (await world.call('GET', '/v1/domains/begun')).body
      expect(domain).toMatchObject({ model: MINILM, building: { id, model: BGE_ZH, storage: 'half' } })
      const state = (await world.call('GET', '/v1/status')).body.domains as object[]
      expect(state).toContainEqual(
        expect.objectContaining({ name: 'begun', building: expect.objectContaining({ id }) }),
      )

      const one = `${generations('begun')}/${id}`
      const patched = await world.call('PATCH', one, { weight: 2, switch: 'manual', keepUpToDate: true })
      expect(patched.body).toMatchObject({
        weight: 2,
        keepUpToDate: true,
        soakSeconds: 3_600,
        thresholds: 'carry',
      })
      for (const [action, paused] of [
        ['pause', true],
        ['pause', true],
        ['resume', false],
      ] as const) {
        const answer = await world.call('POST', `${one}/${action}`)
        expect([answer.status, answer.body.paused]).toEqual([200, paused])
      }
      expect((await world.call('GET', one)).body).toMatchObject({ id, weight: 2, paused: false })
    })

    test('of many that begin at once one is', async () => {
      await fill('raced', documents(1, 1))
      const answers = await Promise.all(
        Array.from({ length: 4 }, () => world.call('POST', generations('raced'), { storage: 'half' })),
      )
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409])
    })

    test('a generation is searched by its id, and says so', async () => {
      await fill('tried', documents(3, 1))
      const asked = { query: 'whales', k: 1 }
      const plain = (await world.call('POST', '/v1/domains/tried/search', asked)).body
      const live = ((await world.call('GET', '/v1/domains/tried')).body.generation as { id: string }).id
      expect(plain).toMatchObject({ generation: live, model: MINILM })
      const { id } = (await world.call('POST', generations('tried'), { model: BGE_ZH })).body as unknown as {
        id: string
      }
      const tried = await world.call('POST', '/v1/domains/tried/search', { ...asked, generation: id })
      expect(tried.status).toBe(200)
      expect(tried.body).toMatchObject({ generation: id, model: BGE_ZH })
      const several = await world.call('POST', '/v1/domains/tried/search', {
        queries: ['a', 'b'],
        generation: id,
      })
      expect(several.body.results).toMatchObject([{ generation: id }, { generation: id }])
      const same = await world.call('POST', '/v1/domains/tried/search', { ...asked, generation: live })
      expect(same.body.hits).toEqual(plain.hits)
    })

    test('what a PATCH of the domain cannot do, its refusal says how to', async () => {
      const { body } = await world.call('PATCH', '/v1/domains/notes', { model: BGE_ZH })
      expect(body.error).toMatchObject({
        code: 'NEEDS_GENERATION',
        hint: expect.stringContaining('/v1/domains/notes/generations'),
      })
    })
  })
}
