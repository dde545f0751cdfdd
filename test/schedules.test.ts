import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openLog, tick, tickDue } from '@millrace/flow'
import { claimScheduleRun } from '@millrace/store'
import { buildProgram } from 'millrace'
import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { backends, databases } from './support/backends.js'
import { openWorld, until, type World } from './support/world.js'

const run = z.object({
  id: z.string(),
  cause: z.string(),
  outcome: z.string().nullable(),
  ticks: z.number(),
  cost: z.record(z.string(), z.number()),
  summary: z.string().nullable(),
  alarm: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  waits: z.object({ until: z.string(), why: z.string() }).nullable(),
})
const schedule = z.object({
  id: z.string(),
  name: z.string(),
  nextAt: z.string().nullable(),
  last: run.nullable(),
  runs: z.record(z.string(), z.number()),
})
const detail = schedule.extend({ history: z.array(run) })

/** A clock that is set. */
let clock = new Date('2026-03-01T12:00:00Z')
const now = () => clock
const setClock = (text: string) => {
  clock = new Date(text)
}
const open = (backend: Parameters<typeof openWorld>[0]) =>
  openWorld(backend, { URL_ALLOW: 'localhost', INDEX_ROWS_MIN: '10' }, now)
const create = (world: World, body: object) => world.client.post('/v1/schedules', body, schedule)
const show = (world: World, name: string) => world.client.get(`/v1/schedules/${name}`, detail)
const depsOf = ({ running }: World) => ({ db: running.backends.db, log: openLog('silent', 'test'), now })

/** The last run of a schedule, when it has ended; what waits for its work is told that the time has passed. */
async function ended(world: World, name: string) {
  const { history } = await show(world, name)
  const last = history.find(({ outcome }) => outcome !== 'skipped')
  if (last?.waits?.why === 'work') setClock(last.waits.until)
  return last?.outcome == null ? undefined : last
}

/** Begins a run, and waits until it has ended. */
async function runNow(world: World, name: string) {
  await world.client.post(`/v1/schedules/${name}/run`, {}, run)
  return until(() => ended(world, name))
}

async function ingest(world: World, domain: string, documents: readonly object[]) {
  const { ingestion } = await world.client.post(
    `/v1/domains/${domain}/documents`,
    { documents },
    submissionSchema,
  )
  return world.finished(ingestion)
}

describe.each(backends())('when schedules are due, $name', (backend) => {
  let world: World
  beforeAll(async () => {
    setClock('2026-03-01T12:00:00Z')
    world = await open(backend)
    await world.client.post('/v1/domains', { name: 'faq' }, z.unknown())
    // Nobody but the tests and the queue looks at what is due.
    await world.running.backends.db.query(
      `update millrace.roles set until = now() + interval '1 hour' where name = 'schedule'`,
    )
  })
  afterAll(() => world?.close())

  const retention = (name: string, more: object) =>
    create(world, { name, domain: 'faq', action: { kind: 'retention', olderThanDays: 30 }, ...more })

  test('two schedulers, and the queue twice, begin one run', async () => {
    const { id, nextAt } = await retention('nightly', { cron: '30 2 * * *', timeZone: 'Europe/Berlin' })
    expect(nextAt).toBe('2026-03-02T01:30:00.000Z')
    expect(await tickDue(depsOf(world))).toBe(0)
    setClock('2026-03-02T01:30:01Z')
    const deps = depsOf(world)
    await Promise.all([tickDue(deps), tick(deps, Number(id)), tickDue(deps), tick(deps, Number(id))])
    const after = await until(async () => {
      const shown = await show(world, 'nightly')
      return shown.last?.outcome === 'done' ? shown : undefined
    })
    expect(after).toMatchObject({
      nextAt: '2026-03-03T01:30:00.000Z',
      history: [{ cause: 'tick', outcome: 'done', summary: 'deleted: nothing' }],
      runs: { done: 1, failed: 0, stopped: 0, skipped: 0 },
    })
  })

  test('what was missed while everything was down is done once', async () => {
    setClock('2026-03-09T15:00:00Z')
    await tickDue(depsOf(world))
    await tickDue(depsOf(world))
    const after = await until(async () => {
      const shown = await show(world, 'nightly')
      return shown.history[0]?.outcome === 'done' ? shown : undefined
    })
    expect(after.history.map(({ cause }) => cause)).toEqual(['missed', 'tick'])
    expect(after.nextAt).toBe('2026-03-10T01:30:00.000Z')
    await world.call('DELETE', '/v1/schedules/nightly')
  })

  test('outside its window a run waits; ticks meanwhile are skipped and counted; it goes on when it opens', async () => {
    setClock('2026-03-10T12:00:00Z')
    await retention('windowed', { every: 3_600, window: { from: '22:00', to: '06:00' } })
    setClock('2026-03-10T13:00:00Z')
    await tickDue(depsOf(world))
    const waiting = await until(async () => (await show(world, 'windowed')).last?.waits ?? undefined)
    expect(waiting).toEqual({ until: '2026-03-10T22:00:00.000Z', why: 'window' })
    for (const hour of [14, 15]) {
      setClock(`2026-03-10T${hour}:00:00Z`)
      await tickDue(depsOf(world))
    }
    const skipped = await show(world, 'windowed')
    expect(skipped.runs).toMatchObject({ done: 0, skipped: 2 })
    expect(skipped.history).toMatchObject([{ outcome: 'skipped', ticks: 2 }, { outcome: null }])
    const busy = await world.call('POST', '/v1/schedules/windowed/run')
    expect([busy.status, busy.body.error?.code]).toEqual([409, 'SCHEDULE_AT_WORK'])
    setClock('2026-03-10T22:00:00Z')
    await until(async () => ((await show(world, 'windowed')).runs.done === 1 ? true : undefined))
  })

  test('pause ends what is at work, and the next tick after a resume is the first after now', async () => {
    setClock('2026-03-11T12:00:00Z')
    const begun = await world.call('POST', '/v1/schedules/windowed/run')
    expect([begun.status, begun.body.cause]).toEqual([202, 'now'])
    expect((await world.call('POST', '/v1/schedules/windowed/pause')).body).toMatchObject({
      paused: true,
      nextAt: null,
    })
    await until(async () => ((await show(world, 'windowed')).last?.outcome === 'stopped' ? true : undefined))
    setClock('2026-03-12T12:30:00Z')
    await tickDue(depsOf(world))
    expect((await show(world, 'windowed')).runs).toMatchObject({ done: 1, stopped: 1 })
    expect((await world.call('POST', '/v1/schedules/windowed/resume')).body.nextAt).toBe(
      '2026-03-12T13:00:00.000Z',
    )
  })

  test('a run whose owner died is taken up by somebody else', async () => {
    const { db } = world.running.backends
    const { id } = await retention('orphan', { cron: '@yearly', paused: true })
    await db.query(
      `insert into millrace.schedule_runs (schedule_id, cause, due_at, started_at, owner, owned_until, held_until)
       values ($1, 'now', now(), now(), gen_random_uuid(), now() + interval '1 hour', '2026-01-01')`,
      [id],
    )
    expect(await claimScheduleRun(db, { owner: crypto.randomUUID(), seconds: 1, now: clock })).toBeUndefined()
    await db.query(`update millrace.schedule_runs set owned_until = '-infinity' where schedule_id = $1`, [id])
    await until(async () => ((await show(world, 'orphan')).last?.outcome === 'done' ? true : undefined))
  })

  test('the queue says when one is due, and forgets those that are gone', async () => {
    const { db, queues } = world.running.backends
    const { id } = await retention('prompt', { cron: '@yearly' })
    await db.query('update millrace.schedules set next_at = $2 where id = $1', [id, clock])
    const ticking = { id: Number(id), cron: null, everySeconds: 1, timeZone: 'UTC', nextAt: new Date() }
    await queues.ticks.put(ticking)
    await until(
      async () => ((await show(world, 'prompt')).last?.outcome === 'done' ? true : undefined),
      10_000,
    )
    await queues.ticks.keep([])
    await db.query('update millrace.schedules set next_at = $2 where id = $1', [id, clock])
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect((await show(world, 'prompt')).history).toHaveLength(1)
  })

  test('goes with its domain', async () => {
    await world.client.post('/v1/domains', { name: 'brief' }, z.unknown())
    await create(world, { name: 'gone', domain: 'brief', action: { kind: 'reembed' }, cron: '@daily' })
    await world.call('DELETE', '/v1/domains/brief')
    for (const [method, path] of [
      ['GET', ''],
      ['POST', '/run'],
      ['POST', '/pause'],
    ] as const) {
      const { status, body } = await world.call(method, `/v1/schedules/gone${path}`)
      expect([status, body.error?.code]).toEqual([404, 'UNKNOWN_SCHEDULE'])
    }
  })
})

/** What the site answers at a path. */
interface Page {
  readonly status?: number
  readonly text?: string
  readonly etag?: string
  readonly lastModified?: string
}

describe.each(databases())('what schedules do, $name', (backend) => {
  let world: World
  let site: Server
  let base = ''
  const pages = new Map<string, Page>()
  const asked: { path: string; conditional: boolean }[] = []

  const answer = ({ url = '', headers }: IncomingMessage): { status: number; page: Page } => {
    const conditional = headers['if-none-match'] !== undefined || headers['if-modified-since'] !== undefined
    asked.push({ path: url, conditional })
    const page = pages.get(url) ?? { status: 404 }
    const isSame =
      (page.etag !== undefined && headers['if-none-match'] === page.etag) ||
      (page.lastModified !== undefined && headers['if-modified-since'] === page.lastModified)
    return { status: page.status ?? (isSame ? 304 : 200), page }
  }

  beforeAll(async () => {
    setClock('2026-03-01T12:00:00Z')
    site = createServer((request, response) => {
      const { status, page } = answer(request)
      const { etag, lastModified, text = '' } = page
      response.writeHead(status, {
        'content-type': 'text/plain',
        ...(etag === undefined ? {} : { etag }),
        ...(lastModified === undefined ? {} : { 'last-modified': lastModified }),
      })
      response.end(status === 304 ? undefined : text)
    })
    await new Promise<void>((resolve) => site.listen(0, 'localhost', resolve))
    base = `http://localhost:${(site.address() as AddressInfo).port}`
    world = await open(backend)
    await world.client.post('/v1/domains', { name: 'pages' }, z.unknown())
  })
  afterAll(async () => {
    site?.close()
    await world?.close()
  })

  test('pages are asked for again: unchanged ones cost nothing, changed ones are a new revision, gone ones are told', async () => {
    pages.set('/tag', { text: 'The page with a tag.', etag: '"1"' })
    pages.set('/date', { text: 'The page with a date.', lastModified: 'Sun, 01 Mar 2026 00:00:00 GMT' })
    pages.set('/plain', { text: 'The page with neither.' })
    pages.set('/news', { text: 'The news of yesterday.', etag: '"a"' })
    pages.set('/gone', { text: 'The page that goes.' })
    const paths = [...pages.keys()]
    await ingest(
      world,
      'pages',
      paths.map((path) => ({ id: path.slice(1), url: `${base}${path}`, metadata: { path } })),
    )
    await create(world, { name: 'refresh', domain: 'pages', action: { kind: 'refresh' }, cron: '@hourly' })
    asked.length = 0
    const first = await runNow(world, 'refresh')
    expect(first).toMatchObject({ outcome: 'done', summary: 'pages: 5 unchanged' })
    expect(first.cost).toMatchObject({ fetched: 5, unchanged: 5, changed: 0, gone: 0 })
    expect(first.cost.tokens ?? 0).toBe(0)
    expect(
      asked
        .filter(({ conditional }) => conditional)
        .map(({ path }) => path)
        .sort(),
    ).toEqual(['/date', '/news', '/tag'])

    pages.set('/news', { text: 'The news of today is longer.', etag: '"b"' })
    pages.delete('/gone')
    const second = await runNow(world, 'refresh')
    expect(second).toMatchObject({ outcome: 'done', summary: 'pages: 3 unchanged, 1 changed, 1 gone' })
    expect(second.cost.tokens).toBeGreaterThan(0)
    const read = async (id: string) => (await world.call('GET', `/v1/domains/pages/documents/${id}`)).body
    expect(await read('news')).toMatchObject({
      text: 'The news of today is longer.',
      revision: 2,
      state: 'ready',
    })
    expect(await read('tag')).toMatchObject({ revision: 1 })
    expect(await read('gone')).toMatchObject({ state: 'ready' })

    pages.set('/plain', { text: '' })
    pages.set('/date', { status: 500 })
    const third = await runNow(world, 'refresh')
    expect(third.summary).toBe('pages: 2 unchanged, 1 gone, 2 not to be had')
    expect(third.alarm).toContain(`${base}/plain (it has no bytes)`)
    expect(third.alarm).toMatch(/\/date \(.*500/)
    expect(await read('plain')).toMatchObject({ text: 'The page with neither.', revision: 1 })
    pages.set('/plain', { text: 'The page with neither.' })
    pages.set('/date', { text: 'The page with a date.' })
    await world.call('PATCH', '/v1/schedules/refresh', { action: { kind: 'refresh', gone: 'delete' } })
    expect(await runNow(world, 'refresh')).toMatchObject({
      summary: 'pages: 4 unchanged, 1 gone and deleted',
    })
    expect(await read('gone')).toMatchObject({ error: { code: 'UNKNOWN_DOCUMENT' } })
  })

  test('above its tokens an hour a run waits for the next hour', async () => {
    pages.set('/news', { text: 'The news of tomorrow is longer still.', etag: '"c"' })
    await world.call('PATCH', '/v1/schedules/refresh', { tokensAnHour: 5 })
    const begun = await world.client.post('/v1/schedules/refresh/run', {}, run)
    const waits = await until(async () => {
      await ended(world, 'refresh')
      const { last } = await show(world, 'refresh')
      return last?.waits?.why === 'tokens' ? last.waits : undefined
    })
    setClock(waits.until)
    expect(await until(() => ended(world, 'refresh'))).toMatchObject({ id: begun.id, outcome: 'done' })
  })

  test('documents that failed are tried again', async () => {
    await world.client.post('/v1/domains', { name: 'flaky' }, z.unknown())
    const late = Array.from({ length: 3 }, (_, n) => `/late${n}`)
    await ingest(
      world,
      'flaky',
      late.map((path) => ({ id: path.slice(1), url: `${base}${path}` })),
    )
    pages.set('/late0', { text: 'It is here after all.' })
    pages.set('/late1', { text: 'This one too.' })
    await create(world, {
      name: 'retry',
      domain: 'flaky',
      action: { kind: 'reembed', failed: true, recipe: true },
      cron: '@daily',
    })
    const done = await runNow(world, 'retry')
    expect(done).toMatchObject({ outcome: 'done' })
    expect(done.summary).toBe('of 3 failed documents 2 are ready now; nothing is stale')
    expect(done.cost).toMatchObject({ documents: 3, texts: 2 })
  })

  test('what an older revision of the model made is made anew beside it, within the window, and takes over', async () => {
    const { db } = world.running.backends
    const generations = (state: string) =>
      db.query<{ id: number; paused: boolean }>(
        `select g.id, g.paused from millrace.generations g join millrace.domains d on d.id = g.domain_id
         where d.name = 'diary' and g.state = $1`,
        [state],
      )
    await world.client.post('/v1/domains', { name: 'diary' }, z.unknown())
    await ingest(world, 'diary', [
      { id: 'd0', text: 'What happened at all.', metadata: { day: '2026-01-01' } },
    ])
    const [old] = await generations('live')
    await db.query(
      `update millrace.generations set recipe_hash = 'older', recipe = jsonb_set(recipe, '{revision}', '"older"') where id = $1`,
      [old?.id],
    )
    const search = () => world.call('POST', '/v1/domains/diary/search', { query: 'What happened?' })
    expect((await search()).body.error?.code).toBe('MODEL_CHANGED')
    setClock('2026-03-02T05:59:00Z')
    await create(world, {
      name: 'renew',
      domain: 'diary',
      action: { kind: 'reembed', recipe: true, switch: 'built' },
      cron: '@monthly',
      window: { from: '22:00', to: '06:00' },
    })
    await world.client.post('/v1/schedules/renew/run', {}, run)
    await until(async () => ((await generations('building')).length > 0 ? true : undefined))
    setClock('2026-03-02T06:00:00Z')
    const waits = await until(async () => {
      const { last } = await show(world, 'renew')
      return last?.waits?.why === 'window' ? last.waits : undefined
    })
    expect(waits.until).toBe('2026-03-02T22:00:00.000Z')
    expect((await generations('building')).every(({ paused }) => paused)).toBe(true)
    // Stopped while it waits, the next run takes up its own generation again.
    await world.call('POST', '/v1/schedules/renew/pause')
    await until(async () => ((await show(world, 'renew')).last?.outcome === 'stopped' ? true : undefined))
    await world.call('POST', '/v1/schedules/renew/resume')
    setClock('2026-03-02T22:00:00Z')
    await world.client.post('/v1/schedules/renew/run', {}, run)
    const done = await until(() => ended(world, 'renew'))
    const [live] = await generations('live')
    expect(done).toMatchObject({ outcome: 'done', summary: `generation ${live?.id} is live` })
    expect(live?.id).not.toBe(old?.id)
    // The one before could not be asked any more, so its gate had nothing to hold against the new one.
    expect((await search()).status).toBe(200)
    const again = await world.client.post('/v1/schedules/renew/run', {}, run)
    const nothing = await until(() => ended(world, 'renew'))
    expect(nothing).toMatchObject({ id: again.id, summary: 'nothing is stale' })
  })

  test('no more is leased of a generation than its hour has left, and what somebody paused raises an alarm', async () => {
    const { db } = world.running.backends
    const building = async () => {
      const [row] = await db.query<{ id: number; tokens: number; paused: boolean }>(
        `select g.id, g.tokens_embedded::int as tokens, g.paused from millrace.generations g
         join millrace.domains d on d.id = g.domain_id where d.name = 'capped' and g.state = 'building'`,
      )
      return row
    }
    await world.client.post('/v1/domains', { name: 'capped' }, z.unknown())
    const words = Array.from({ length: 20 }, (_, n) => ({ id: `c${n}`, text: `The report of week ${n}.` }))
    await ingest(world, 'capped', words)
    await db.query(`update millrace.published set published_at = published_at - interval '900 days'`)
    const action = { kind: 'reembed', olderThanDays: 30 }
    const limits = { cron: '@monthly', tokensAnHour: 30 }
    await create(world, { name: 'capped', domain: 'capped', action, ...limits })
    await world.client.post('/v1/schedules/capped/run', {}, run)
    await until(async () => {
      await ended(world, 'capped')
      return (await show(world, 'capped')).last?.waits?.why === 'tokens' ? true : undefined
    })
    const built = await building()
    expect(built?.paused).toBe(true)
    expect(built?.tokens).toBeGreaterThanOrEqual(30)
    expect(built?.tokens).toBeLessThan(50)
    expect((await show(world, 'capped')).last?.cost.tokens).toBe(built?.tokens)
    const { body } = await world.call('DELETE', '/v1/schedules/capped')
    expect(body).toMatchObject({ paused: [{ domain: 'capped', generation: String(built?.id) }] })
    await create(world, { name: 'other', domain: 'capped', action, cron: '@monthly' })
    expect((await runNow(world, 'other')).alarm).toContain('is being built already, and is paused')
    await world.call('DELETE', '/v1/schedules/other')
    await world.client.post(`/v1/domains/capped/generations/${built?.id}/resume`, {}, z.unknown())
    await until(async () => (((await building())?.tokens ?? 0) > 50 ? true : undefined))
  })

  test('what is old is deleted, in slices', async () => {
    await ingest(
      world,
      'diary',
      ['2026-01-01', '2026-02-28T10:00:00Z', 'soon', '2026-02-31', '2026-01-01 or so'].map((day, n) => ({
        id: `d${n}`,
        text: `What happened: ${day}`,
        metadata: { day },
      })),
    )
    setClock('2026-03-05T12:00:00Z')
    await create(world, {
      name: 'forget',
      domain: 'diary',
      action: {
        kind: 'retention',
        olderThanDays: 10,
        field: 'day',
        of: ['documents', 'queries', 'goldenRuns'],
      },
      cron: '@daily',
    })
    expect(await runNow(world, 'forget')).toMatchObject({
      outcome: 'done',
      summary: 'deleted: 1 document; 3 without a date in day stay',
      cost: { deleted: 1 },
    })
    const left = await world.call('GET', '/v1/domains/diary/documents')
    expect((left.body.documents as { id: string }[]).map(({ id }) => id)).toEqual(['d1', 'd2', 'd3', 'd4'])
  })

  test('a golden set that is not good enough raises an alarm', async () => {
    const bad = { question: 'What happened?', documentId: 'nowhere' }
    const good = { question: 'What happened soon?', documentId: 'd2' }
    await world.client.post('/v1/domains/diary/golden', { questions: [good, bad] }, z.unknown())
    const golden = { kind: 'golden', alarm: { metric: 'hitAt3', below: 0.9 } }
    await create(world, { name: 'watch', domain: 'diary', action: golden, cron: '@daily' })
    expect(await runNow(world, 'watch')).toMatchObject({
      outcome: 'done',
      alarm: null,
      cost: { questions: 2 },
    })
    await world.client.post(
      '/v1/domains/diary/golden',
      { questions: [{ question: 'The news of tomorrow?', documentId: 'd1' }] },
      z.unknown(),
    )
    await world.call('PATCH', '/v1/schedules/watch', {
      action: { kind: 'golden', k: 1, alarm: { metric: 'hitAt1', below: 1 } },
    })
    await world.call('DELETE', '/v1/domains/diary/documents/d2')
    await ingest(world, 'diary', [{ id: 'd3', text: 'The news of tomorrow? What happened soon?' }])
    const alarmed = await runNow(world, 'watch')
    expect(alarmed.alarm).toContain('hitAt1 is 0, less than 1')
    const { body } = await world.call('GET', '/v1/status')
    expect(body.alarms).toMatchObject([{ schedule: 'watch', domain: 'diary' }])
    const metrics = await (await fetch(`${world.url}/metrics`)).text()
    expect(metrics).toContain('millrace_schedule_alarm{schedule="watch"} 1')
    expect(metrics).toContain('millrace_schedule_runs_total{schedule="watch",outcome="done"} 2')
    await world.call('PATCH', '/v1/schedules/watch', { action: { kind: 'golden', k: 1 } })
    expect((await world.call('GET', '/v1/status')).body.alarms).toEqual([])
  })

  test('of every domain what goes wrong in one is told, and the others have theirs', async () => {
    await create(world, { name: 'all', action: { kind: 'golden' }, cron: '@daily' })
    const done = await runNow(world, 'all')
    expect(done).toMatchObject({ outcome: 'failed', error: { code: 'GOLDEN_EMPTY' } })
    expect(done.summary).toContain('diary: golden run')
    expect(done.summary).toContain('pages: GOLDEN_EMPTY')
  })

  test('tables and indexes that drifted are mended, where nobody else does it', async () => {
    await world.client.post('/v1/domains', { name: 'worn' }, z.unknown())
    await ingest(
      world,
      'worn',
      Array.from({ length: 20 }, (_, n) => ({ id: `w${n}`, text: `Worn text number ${n}.` })),
    )
    await create(world, { name: 'mend', domain: 'worn', action: { kind: 'upkeep' }, cron: '@weekly' })
    if (!backend.isServer) {
      expect((await runNow(world, 'mend')).summary).toBe('the embedded database looks after itself')
      return
    }
    const { db } = world.running.backends
    const built = () =>
      db.query<{ shape: { rows: number } }>(
        `select index_shape as shape from millrace.generations g join millrace.domains d on d.id = g.domain_id
         where d.name = 'worn' and indexed_at is not null and index_shape is not null`,
      )
    const [index] = await until(async () => ((await built()).length > 0 ? built() : undefined))
    expect(index?.shape.rows).toBe(20)
    expect((await runNow(world, 'mend')).summary).toBe('nothing had drifted')
    await db.query(
      `update millrace.generations set index_shape = '{"rows": 5, "bytes": 100000}' where index_shape is not null`,
    )
    expect((await runNow(world, 'mend')).summary).toBe('1 rebuilt index')
    expect((await built())[0]?.shape.rows).toBe(20)
  })

  test('by the command: create, list, show, run, pause, resume, runs, delete', async () => {
    const told: string[] = []
    const command = async (...args: string[]) => {
      told.length = 0
      const program = buildProgram({
        client: world.client,
        write: (text) => told.push(text),
        openEngine: () => {
          throw new Error('no engine is needed')
        },
      })
      await program.parseAsync(['schedules', ...args], { from: 'user' })
      return told.join('')
    }
    const option = 'of=["queries","goldenRuns"]'
    const limits = ['--window', '00:00-23:59', '--tokens', '1000', '--zone', 'Asia/Shanghai']
    await command(
      ...['create', 'tidy', '--do', 'retention', '-d', 'pages', '--every', '3600', ...limits],
      ...['--option', 'olderThanDays=30', '--option', option],
    )
    expect(await command('list')).toContain('tidy')
    expect(await command('run', 'tidy', '--wait')).toContain('deleted: nothing')
    const shown = await command('show', 'tidy')
    for (const part of ['every 1 h', '00:00 to 23:59 Asia/Shanghai', '1,000 tokens an hour', '1 done']) {
      expect(shown).toContain(part)
    }
    expect(await command('pause', 'tidy')).toContain('paused')
    expect(await command('resume', 'tidy')).not.toContain('paused')
    expect(JSON.parse(await command('runs', 'tidy', '--json'))).toMatchObject([
      { cause: 'now', outcome: 'done' },
    ])
    expect(await command('delete', 'tidy')).toBe('deleted tidy\n')
    await expect(command('show', 'tidy')).rejects.toThrow('There is no schedule tidy')
  })

  test('what cannot be a schedule is refused with a hint', async () => {
    const good = { name: 'x', domain: 'pages', action: { kind: 'refresh' }, cron: '@daily' }
    for (const [change, status, code] of [
      [{ cron: '0 0 31 2 *' }, 400, 'BAD_SCHEDULE'],
      [{ timeZone: 'Mars/Phobos' }, 400, 'BAD_SCHEDULE'],
      [{ cron: null, every: 5 }, 400, 'BAD_SCHEDULE'],
      [{ every: 60 }, 400, 'BAD_SCHEDULE'],
      [{ cron: null }, 400, 'BAD_SCHEDULE'],
      [{ window: { from: '22', to: '06:00' } }, 400, 'BAD_SCHEDULE'],
      [{ action: { kind: 'dance' } }, 400, 'BAD_SCHEDULE'],
      [{ action: { kind: 'refresh', fast: true } }, 400, 'BAD_SCHEDULE'],
      [{ name: '12' }, 400, 'BAD_SCHEDULE'],
      [{ tokensAnHour: 0 }, 400, 'BAD_SCHEDULE'],
      [{ colour: 'red' }, 400, 'INVALID_REQUEST'],
      [{ domain: 'nowhere' }, 404, 'UNKNOWN_DOMAIN'],
      [{ name: 'refresh' }, 409, 'SCHEDULE_EXISTS'],
    ] as const) {
      const { status: got, body } = await world.call('POST', '/v1/schedules', { ...good, ...change })
      expect([change, got, body.error?.code]).toEqual([change, status, code])
      expect(body.error?.hint).toBeTruthy()
    }
    const patched = await world.call('PATCH', '/v1/schedules/mend', { every: 60, domain: null })
    expect(patched.body).toMatchObject({ every: 60, cron: null, domain: null })
    expect((await world.call('DELETE', '/v1/schedules/mend')).status).toBe(200)
    expect((await world.call('DELETE', '/v1/schedules/mend')).status).toBe(404)
  })
})
