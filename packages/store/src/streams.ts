import type { Db, Session, Tx } from './connect.js'

/** What a submission says of itself. */
export interface IngestionWishes {
  readonly source: string | null
  readonly sync: 'full' | null
  /** Somebody is still sending, and says so again within this time; null: everything is in this transaction. */
  readonly openSeconds: number | null
}

/** Undefined when the domain is gone: its row is looked at again, and held, in this transaction. */
export async function insertIngestion(
  tx: Tx,
  domainId: number,
  wishes: IngestionWishes,
): Promise<number | undefined> {
  const rows = await tx.query<{ id: number }>(
    `insert into millrace.ingestions (domain_id, source, sync, open_until)
     select id, $2, $3, now() + make_interval(secs => $4) from millrace.domains where id = $1 for key share
     returning id`,
    [domainId, wishes.source, wishes.sync, wishes.openSeconds],
  )
  return rows[0]?.id
}

/** More is coming; false when it was cancelled, ended or went with its domain. */
export async function renewIngestion(on: Session, id: number, openSeconds: number): Promise<boolean> {
  const rows = await on.query(
    `update millrace.ingestions set open_until = now() + make_interval(secs => $2)
     where id = $1 and state = 'running' and not sealed returning 1`,
    [id, openSeconds],
  )
  return rows.length > 0
}

/** Nothing more will be added to it: from now on it finishes when its last document does. */
export async function sealIngestion(tx: Tx, id: number): Promise<void> {
  await tx.query('update millrace.ingestions set sealed = true, open_until = null where id = $1', [id])
  await tx.query(`select millrace.move_counts(array[$1]::bigint[], array['received'], array[0])`, [id])
}

export interface RejectedDocument {
  readonly index: number
  readonly id?: string
  readonly code: string
  readonly message: string
}

/** What a caller sent may be refused for the very characters that Postgres cannot keep. */
const storable = (value: unknown): unknown =>
  typeof value === 'string' ? value.replaceAll('\0', '\uFFFD').toWellFormed() : value

/** How many documents were not taken for one reason, and the first of them. */
export interface RejectionCount {
  readonly code: string
  readonly count: number
  readonly example: Omit<RejectedDocument, 'code'>
}

/** By code; of examples the first stays. */
export function countRejections(
  rejected: readonly RejectedDocument[],
  before: readonly RejectionCount[] = [],
): RejectionCount[] {
  const byCode = new Map(before.map((one) => [one.code, one]))
  for (const { code, ...example } of rejected) {
    const known = byCode.get(code)
    byCode.set(code, { code, count: (known?.count ?? 0) + 1, example: known?.example ?? example })
  }
  return [...byCode.values()]
}

/** Adds to what an ingestion refused. */
export async function addRejections(
  tx: Tx,
  ingestionId: number,
  counts: readonly RejectionCount[],
): Promise<void> {
  if (counts.length === 0) return
  await tx.query(
    `insert into millrace.ingestion_rejections as r (ingestion_id, code, count, example)
     select $1, g.code, g.count, g.example::jsonb
     from unnest($2::text[], $3::integer[], $4::text[]) as g (code, count, example)
     on conflict (ingestion_id, code) do update set count = r.count + excluded.count`,
    [
      ingestionId,
      counts.map(({ code }) => code),
      counts.map(({ count }) => count),
      counts.map(({ example }) => JSON.stringify(example, (_key, value: unknown) => storable(value))),
    ],
  )
  await tx.query('update millrace.ingestions set rejected = rejected + $2 where id = $1', [
    ingestionId,
    counts.reduce((sum, { count }) => sum + count, 0),
  ])
}

/** The code under which a submission that broke off is counted. */
export const BODY_INCOMPLETE = 'BODY_INCOMPLETE'

/** The body broke off: what came before is kept and worked on, and nothing is taken for gone. */
export function abandonIngestion(db: Db, id: number, message: string, index: number): Promise<void> {
  return db.transact(async (tx) => {
    const open = await tx.query(
      `update millrace.ingestions set sync_skipped = coalesce(sync_skipped, $2)
       where id = $1 and not sealed returning 1`,
      [id, 'the submission broke off before its end'],
    )
    if (open.length === 0) return
    await addRejections(tx, id, countRejections([{ index, code: BODY_INCOMPLETE, message }]))
    await sealIngestion(tx, id)
  })
}

/** Streams whose sender has not been heard of for their time: whoever received them is dead. Returns their ids. */
export async function sealLost(db: Db): Promise<number[]> {
  const lost = await db.query<{ id: number }>(
    'select id from millrace.ingestions where open_until < now() and not sealed order by id limit 100',
  )
  for (const { id } of lost) {
    await abandonIngestion(db, id, 'Whoever received it is gone: the rest did not arrive', -1)
  }
  return lost.map((row) => row.id)
}

/** Rows forgotten in one statement. */
const FORGET_ROWS = 50_000

/** What ended ingestions noted while they ran goes; those that can be resumed keep theirs. Returns how many rows. */
export async function forgetSeen(db: Db): Promise<number> {
  // From one id to the next by the index: a stream at work may have noted millions.
  const ended = await db.query<{ id: number }>(
    `with recursive noted (id) as (
       select min(ingestion_id) from millrace.ingestion_seen
       union all
       select (select min(ingestion_id) from millrace.ingestion_seen where ingestion_id > noted.id)
       from noted where noted.id is not null
     )
     select noted.id from noted
     where noted.id is not null and not exists (
       select 1 from millrace.ingestions i where i.id = noted.id and i.state <> 'finished'
     )`,
  )
  let count = 0
  for (const { id } of ended) {
    for (let rows = FORGET_ROWS; rows === FORGET_ROWS; count += rows) {
      rows = (
        await db.query(
          `delete from millrace.ingestion_seen where ctid = any(array(
             select ctid from millrace.ingestion_seen where ingestion_id = $1 limit $2
           )) returning 1`,
          [id, FORGET_ROWS],
        )
      ).length
    }
  }
  return count
}
