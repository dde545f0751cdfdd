import { type Db, one, type Session } from '../connect.js'
import { keepGenerations } from '../generations/hold.js'
import { removeDocuments } from '../remove-documents.js'

export interface OldDocuments {
  /** Those of before this moment; a date of metadata is compared by its day, in UTC. */
  readonly before: Date
  /** Of metadata, with a date (see `isDate`); null: when the document last changed. */
  readonly field: string | null
}

/** Whether `value`, an SQL expression, is a day that there is, YYYY-MM-DD, alone or with a time behind it as ISO 8601 has it. */
const isDate = (value: string): string => `case
  when ${value} ~ '^(?!0000)\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])(T([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d([.,]\\d+)?)?(Z|[+-]([01]\\d|2[0-3]):?[0-5]\\d)?)?$'
  then substr(${value}, 9, 2)::int <= extract(day from
    make_date(left(${value}, 4)::int, substr(${value}, 6, 2)::int, 1) + interval '1 month' - interval '1 day')
  else false end`

/** Documents of a domain that have no date in that field, so that they never get old. */
export async function countUndated(on: Session, domainId: number, field: string): Promise<number> {
  const rows = await on.query<{ count: number }>(
    `select count(*)::int as count from millrace.documents
     where domain_id = $1 and (${isDate('(metadata ->> $2)')}) is not true`,
    [domainId, field],
  )
  return one(rows, 'undated documents').count
}

/** Deletes documents that are old and not at work, at most `limit`; returns how many. */
export function deleteOld(db: Db, domainId: number, old: OldDocuments, limit: number): Promise<number> {
  return db.transact(async (tx) => {
    const kept = await keepGenerations(tx, domainId)
    const condition =
      old.field === null
        ? 'updated_at < $3::timestamptz and $4::text is null'
        : `${isDate('(metadata ->> $4)')} and left(metadata ->> $4, 10) < to_char($3::timestamptz at time zone 'UTC', 'YYYY-MM-DD')`
    const rows = await tx.query<{ id: number }>(
      `select id from millrace.documents
       where domain_id = $1 and state in ('ready', 'failed', 'cancelled') and ${condition}
       order by id limit $2 for update skip locked`,
      [domainId, limit, old.before, old.field],
    )
    const ids = rows.map(({ id }) => id)
    if (ids.length === 0) return 0
    await removeDocuments(tx, kept, ids)
    return ids.length
  })
}

const OTHERS = {
  queries: ['millrace.queries', 'at < $3'],
  goldenRuns: ['millrace.golden_runs', `state <> 'running' and finished_at < $3`],
  generations: ['millrace.generations', `state = 'ended' and ended_at < $3`],
} as const
export type OldThing = keyof typeof OTHERS

/** Deletes what else is old of a domain, at most `limit`; returns how many. */
export async function deleteOldOf(
  db: Db,
  domainId: number,
  what: OldThing,
  before: Date,
  limit: number,
): Promise<number> {
  const [table, condition] = OTHERS[what]
  const rows = await db.query(
    `delete from ${table} where id in (
       select id from ${table} where domain_id = $1 and ${condition} order by id limit $2
     ) returning 1`,
    [domainId, limit, before],
  )
  return rows.length
}
