import { setTimeout as sleep } from 'node:timers/promises'
import { openDb } from '@millrace/store'
import { ingest, openClient, silent } from 'millrace'
import { z } from 'zod'
import { type Figure, figure } from '../figure.js'
import { openServers, shared } from '../place.js'
import { startProgram } from '../program.js'

const GENERATIONS = '/v1/domains/site/generations'
const KILLS = 3
/** Between a start and its kill: in the middle of the work. */
const KILL_MS = 4_000

const generationSchema = z.object({ id: z.string(), phase: z.string().nullable(), embedded: z.number() })

/**
 * A build whose worker is killed with -9 three times: what was begun and not stored then is embedded again, and that is
 * all that is.
 */
export async function benchKilled(): Promise<Figure[]> {
  const place = await openServers()
  const api = startProgram('apps/api/dist/main.js', place.env)
  const startWorker = () => startProgram('apps/worker/dist/main.js', { ...place.env, SWEEP_SECONDS: '1' })
  let worker = startWorker()
  const db = openDb({ url: String(place.env.DATABASE_URL), kind: 'server' })
  try {
    const url = await api.logged('the API listens', 'url')
    const client = openClient({ url, apiKey: undefined, language: 'en' })
    await client.post('/v1/domains', { name: 'site', model: 'bge-small-zh-v1.5' }, z.unknown())
    await ingest(client, 'site', [shared('eval', 'corpus', 'apisix-docs', 'en')], silent)
    const { id } = await client.post(GENERATIONS, { model: 'all-minilm-l6-v2' }, generationSchema)
    const again: { texts: number; tokens: number; leases: number }[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      await sleep(KILL_MS)
      process.kill(worker.pid, 'SIGKILL')
      await worker.stop()
      again.push(await begun(db, Number(id)))
      // What a dead worker holds is free when its time is up; here nobody waits for that.
      await db.query('update millrace.leases set leased_until = now()')
      worker = startWorker()
    }
    const built = await complete()
    const [stored] = await db.query<{ texts: number }>(
      `select count(*)::int as texts from millrace.vectors_${Number(id)}`,
    )
    const most = (of: 'texts' | 'tokens' | 'leases') => Math.max(...again.map((one) => one[of]))
    return [
      figure('texts of the generation', stored?.texts ?? 0, 'texts'),
      figure('counted as embedded, over kills', built.embedded, 'texts', String(stored?.texts ?? 0)),
      figure('embedded again after a kill, at most', most('texts'), 'texts'),
      figure('the same in tokens (a lease has up to 2,048)', most('tokens'), 'tokens'),
      figure('leases that a worker had begun', most('leases'), 'leases', '≤ 4, its slots'),
    ]

    async function complete() {
      for (;;) {
        const now = await client.get(`${GENERATIONS}/${id}`, generationSchema)
        if (now.phase === 'complete') return now
        await sleep(500)
      }
    }
  } finally {
    await worker.stop()
    await api.stop()
    await db.close()
    await place.remove()
  }
}

/** What was taken to be embedded and is not stored. */
async function begun(db: ReturnType<typeof openDb>, generationId: number) {
  const [row] = await db.query<{ texts: number; tokens: number; leases: number }>(
    `select count(*)::int as texts, coalesce(sum(tokens), 0)::int as tokens, count(distinct lease_id)::int as leases
     from millrace.pending where generation_id = $1 and attempts > 0`,
    [generationId],
  )
  return row ?? { texts: 0, tokens: 0, leases: 0 }
}
