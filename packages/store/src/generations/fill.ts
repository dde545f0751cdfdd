import type { Db } from '../connect.js'

/** Ids of documents that one slice looks at, whichever domain they are of: so long a statement takes at most. */
const SLICE_IDS = { server: 10_000, embedded: 2_000 } as const
/** Rows that one statement adds when it looks over the whole domain. */
const RECONCILED = 1_000

/** Its text is here: it came with the document, or its file was read. */
export const HAS_TEXT = `(d.origin not in ('file', 'url') or d.format is not null)`

/** Why a document has no part in a generation although readers of the live one find it. */
const GONE = {
  code: 'REVISION_CANCELLED',
  message: 'Its last revision was cancelled, and the text of the one before it is not kept',
} as const

/**
 * What a document `d` that is not being worked on gets in generation `g`, where `p` is what readers of the live one see
 * of it. One whose text can be prepared waits for that. One whose text is gone (its last revision was cancelled, or its
 * file could not be read) fails where readers would lose it, and has no part in it where they would not.
 */
const WAITS = `coalesce(d.state <> 'cancelled' and ${HAS_TEXT} or p.revision = d.revision, false)`
const OUTCOME = `case when ${WAITS} then 'waiting' else 'failed' end as state,
  case when not ${WAITS} then coalesce(d.error_code, '${GONE.code}') end as code,
  case when not ${WAITS} then coalesce(d.error_message, '${GONE.message}') end as message`
const LIVE = `left join millrace.generations l on l.domain_id = d.domain_id and l.state = 'live'
  left join millrace.published p on p.generation_id = l.id and p.document_id = d.id`
/** Closed, with a part in `g`, and not there already. */
const DUE = `d.domain_id = g.domain_id and d.state in ('ready', 'failed', 'cancelled')
  and (${WAITS} or p.document_id is not null)
  and not exists (
    select 1 from millrace.published r where r.generation_id = g.id and r.document_id = d.id
      and r.revision = case when ${WAITS} then d.revision else p.revision end
  )`
const INSERT = `insert into millrace.generation_documents as f
    (generation_id, document_id, revision, state, error_code, error_message)
  select given.generation, given.id, given.revision, given.state, given.code, given.message
  from (
    select g.id as generation, d.id, d.revision, ${OUTCOME}
    from millrace.generations g cross join millrace.documents d ${LIVE}
    where g.id = $1 and ${DUE}`
const CONFLICT = `on conflict (generation_id, document_id) do update set
    revision = excluded.revision, state = excluded.state, leased_until = '-infinity', attempts = 0,
    error_code = excluded.error_code, error_message = excluded.error_message, chunks = null, tokens = null
  where f.revision <> excluded.revision
  returning 1`

interface Filling {
  readonly after: number
  readonly last: number
}

/**
 * Gives the next slice of a domain's documents their rows in a generation that is being built; those that are being
 * worked on come by themselves when they are ready. Any worker may go on where another stopped: a slice that is done
 * twice changes nothing. True when the generation was filled before, or is now.
 */
export async function fillGeneration(db: Db, generationId: number): Promise<boolean> {
  const found = await db.query<Filling>(
    `select g.filled_after as after, coalesce((select max(id) from millrace.documents), 0)::int8 as last
     from millrace.generations g
     where g.id = $1 and g.filled_at is null and (g.state = 'building' or g.state = 'retired' and g.follows)`,
    [generationId],
  )
  const filling = found[0]
  if (filling === undefined) return true
  if (filling.after < filling.last) {
    await fillSlice(db, generationId, filling)
    return false
  }
  // Rows that came in out of the order of their ids, should there be any.
  const missed = await db.query(
    `${INSERT} and not exists (
         select 1 from millrace.generation_documents x where x.generation_id = g.id and x.document_id = d.id
       )
       order by d.id limit $2
       for key share of d
     ) given
     ${CONFLICT}`,
    [generationId, RECONCILED],
  )
  if (missed.length > 0) return false
  await db.query('update millrace.generations set filled_at = now() where id = $1 and filled_at is null', [
    generationId,
  ])
  return true
}

/** Whoever deletes a document waits, or it is not seen any more. The cursor moves last, and by one worker only. */
function fillSlice(db: Db, generationId: number, { after, last }: Filling): Promise<void> {
  const to = Math.min(last, after + SLICE_IDS[db.kind])
  return db.transact(async (tx) => {
    await tx.query(
      `${INSERT} and d.id > $2 and d.id <= $3
         order by d.id
         for key share of d
       ) given
       ${CONFLICT}`,
      [generationId, after, to],
    )
    await tx.query(
      'update millrace.generations set filled_after = $3 where id = $1 and filled_after = $2 and filled_at is null',
      [generationId, after, to],
    )
  })
}

/**
 * Rows whose document has come to another revision without being ready: what they were to be made of is gone, and
 * nothing brings the new revision by itself. `embedding`: also those whose chunks are there, where readers of the live
 * generation have another revision. Returns how many it changed.
 */
export async function settleStale(
  db: Db,
  generationId: number,
  of: 'waiting' | 'preparing' | 'embedding',
): Promise<number> {
  return db.transact(async (tx) => {
    const stale = await tx.query<{ id: number }>(
      `select f.document_id as id
       from millrace.generation_documents f join millrace.documents d on d.id = f.document_id ${LIVE}
       where f.generation_id = $1 and f.state = $2 and f.leased_until < now() and f.revision <> d.revision
         and d.state in ('failed', 'cancelled') and (f.state <> 'embedding' or p.revision is distinct from f.revision)
       order by f.document_id limit $3
       for update of f skip locked`,
      [generationId, of, RECONCILED],
    )
    if (stale.length === 0) return 0
    const ids = stale.map(({ id }) => id)
    await tx.query(`${INSERT} and d.id = any($2)) given ${CONFLICT}`, [generationId, ids])
    // What is not to be there is what the statement above has left alone.
    await tx.query(
      `delete from millrace.generation_documents f using millrace.documents d
       where f.generation_id = $1 and f.document_id = any($2) and d.id = f.document_id and f.revision <> d.revision
         and d.state in ('failed', 'cancelled')`,
      [generationId, ids],
    )
    return ids.length
  })
}
