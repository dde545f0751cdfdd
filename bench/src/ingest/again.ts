import { openDb } from '@millrace/store'
import { findFiles, type IngestReport, ingestFiles, openClient, silent } from 'millrace'
import { z } from 'zod'
import { type Figure, figure } from '../figure.js'
import { openServers, shared } from '../place.js'
import { startProgram } from '../program.js'

const MODEL = 'all-minilm-l6-v2'
/** An idle backend hands in what it counted after ten seconds (PGSTAT_IDLE_INTERVAL in Postgres's pgstat.c). */
const STATISTICS_MS = 12_000

interface Touched {
  readonly table: string
  readonly rows: number
}

/**
 * A documentation site ingested with the model, and again unchanged: how much faster, and which rows were written, by
 * Postgres's own count.
 */
export async function benchAgain(): Promise<Figure[]> {
  const files = await findFiles([shared('eval', 'corpus', 'apisix-docs', 'en')])
  const place = await openServers()
  const programs = [
    startProgram('apps/api/dist/main.js', place.env),
    startProgram('apps/worker/dist/main.js', place.env),
  ] as const
  const db = openDb({ url: String(place.env.DATABASE_URL), kind: 'server' })
  const touched = async (): Promise<Touched[]> => {
    await new Promise((resolve) => setTimeout(resolve, STATISTICS_MS))
    return db.query<Touched>(
      `select case when relname ~ '^vectors_' then 'vectors' else relname end as table,
         sum(n_tup_ins + n_tup_upd + n_tup_del)::int as rows
       from pg_stat_user_tables
       where schemaname = 'millrace' and (relname in ('documents', 'chunks') or relname ~ '^vectors_')
       group by 1 order by 1`,
    )
  }
  try {
    const url = await programs[0].logged('the API listens', 'url')
    await programs[1].logged('the worker is up', 'slots')
    const client = openClient({ url, apiKey: undefined, language: 'en' })
    await client.post('/v1/domains', { name: 'site', model: MODEL }, z.unknown())
    const first = await ingestFiles(client, 'site', files, silent)
    const before = await touched()
    const again: IngestReport[] = []
    for (let round = 0; round < 3; round++) again.push(await ingestFiles(client, 'site', files, silent))
    const after = await touched()
    const seconds = Math.min(...again.map((report) => report.seconds))
    return [
      figure('documents', first.documents.ready, 'documents'),
      figure('first', first.seconds, 's'),
      figure('again, best of three', seconds, 's'),
      figure('first over again', first.seconds / seconds, 'x', '≥ 50'),
      figure(
        'embedded again',
        again.reduce((sum, report) => sum + report.chunks.embedded, 0),
        'chunks',
        '0',
      ),
      ...before.map(({ table, rows }) =>
        figure(
          `rows of ${table} written again`,
          (after.find((row) => row.table === table)?.rows ?? 0) - rows,
          'rows',
          '0',
        ),
      ),
    ]
  } finally {
    await db.close()
    await Promise.all(programs.map((program) => program.stop()))
    await place.remove()
  }
}
