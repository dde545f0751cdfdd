import type { Db } from '../connect.js'
import type { LayoutPart, Origin } from '../schema.js'
import { PREPARE_ATTEMPTS_MAX } from '../sweep.js'
import { HAS_TEXT, settleStale } from './fill.js'

/** A document that is to come to a generation that is not live. */
export interface ClaimedBeside {
  readonly id: number
  readonly revision: number
  readonly title: string | null
  /** '' for one whose chunks can be copied. */
  readonly text: string
  readonly layout: readonly LayoutPart[] | null
  readonly origin: Origin
  /** The generation whose chunks are the same has this revision. */
  readonly copied: boolean
  /** Of this revision in the live generation, where it is known: how much work it is, about. */
  readonly chunks: number | null
}

export interface ClaimOptions {
  /** A generation with the same recipe: what it has is copied rather than cut again. */
  readonly chunksFrom: number | null
  readonly documents: number
  readonly ownedSeconds: number
}

/**
 * Takes documents that wait to come to a generation, for `ownedSeconds`; when none does, those whose owner's time is up.
 * One that is being submitted anew is left to what comes of that. Empty: there is nothing to take now.
 */
export async function claimBeside(
  db: Db,
  generationId: number,
  options: ClaimOptions,
): Promise<ClaimedBeside[]> {
  const waiting = await claim(db, generationId, 'waiting', options)
  if (waiting.length > 0) return waiting
  await giveUp(db, generationId)
  const lost = await claim(db, generationId, 'preparing', options)
  if (lost.length > 0) return lost
  const settled =
    (await settleStale(db, generationId, 'waiting')) + (await settleStale(db, generationId, 'preparing'))
  return settled > 0 ? claim(db, generationId, 'waiting', options) : []
}

const claim = (
  db: Db,
  generationId: number,
  state: 'waiting' | 'preparing',
  { chunksFrom, documents, ownedSeconds }: ClaimOptions,
): Promise<ClaimedBeside[]> =>
  db.query<ClaimedBeside>(
    `with due as (
       select f.generation_id, f.document_id
       from millrace.generation_documents f
       join millrace.documents d on d.id = f.document_id and d.revision = f.revision
       where f.generation_id = $1 and f.state = $2 and f.leased_until < now() and ${HAS_TEXT}
       order by f.document_id limit $3
       for update of f skip locked
     ), mine as (
       update millrace.generation_documents f set
         state = 'preparing', attempts = f.attempts + 1, leased_until = now() + make_interval(secs => $4)
       from due where f.generation_id = due.generation_id and f.document_id = due.document_id
       returning f.document_id, f.revision
     )
     select d.id, d.revision, d.title, case when p.document_id is null then d.text else '' end as text, d.layout,
       d.origin, p.document_id is not null as copied, d.chunks
     from mine
     join millrace.documents d on d.id = mine.document_id and d.revision = mine.revision
     left join millrace.published p
       on p.generation_id = $5 and p.document_id = d.id and p.revision = d.revision
     order by d.id`,
    [generationId, state, documents, ownedSeconds, chunksFrom],
  )

/** What whoever prepared it died of again and again. */
async function giveUp(db: Db, generationId: number): Promise<void> {
  await db.query(
    `update millrace.generation_documents set
       state = 'failed', error_code = 'PREPARE_FAILED',
       error_message = format('Preparing it broke off %s times', attempts)
     where (generation_id, document_id) in (
       select generation_id, document_id from millrace.generation_documents
       where generation_id = $1 and state = 'preparing' and leased_until < now() and attempts >= $2
       for update skip locked
     )`,
    [generationId, PREPARE_ATTEMPTS_MAX],
  )
}

/** Whoever claimed them is still at work on them. */
export async function renewBeside(
  db: Db,
  generationId: number,
  ids: readonly number[],
  ownedSeconds: number,
): Promise<void> {
  await db.query(
    `update millrace.generation_documents set leased_until = now() + make_interval(secs => $3)
     where generation_id = $1 and document_id = any($2) and state = 'preparing'`,
    [generationId, ids, ownedSeconds],
  )
}

/** Gives back what was claimed and not begun: the next to ask has it at once. */
export async function releaseBeside(db: Db, generationId: number, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return
  await db.query(
    `update millrace.generation_documents set
       state = 'waiting', leased_until = '-infinity', attempts = greatest(0, attempts - 1)
     where generation_id = $1 and document_id = any($2) and state = 'preparing'`,
    [generationId, ids],
  )
}

/** Documents that cannot be prepared for a generation; one that has another revision by now is left alone. */
export async function failBeside(
  db: Db,
  generationId: number,
  failed: readonly {
    readonly id: number
    readonly revision: number
    readonly code: string
    readonly message: string
  }[],
): Promise<void> {
  if (failed.length === 0) return
  await db.query(
    `update millrace.generation_documents f set state = 'failed', error_code = g.code, error_message = g.message
     from unnest($2::bigint[], $3::integer[], $4::text[], $5::text[]) as g (id, revision, code, message)
     where f.generation_id = $1 and f.document_id = g.id and f.revision = g.revision and f.state = 'preparing'`,
    [
      generationId,
      failed.map((one) => one.id),
      failed.map((one) => one.revision),
      failed.map((one) => one.code),
      failed.map((one) => one.message),
    ],
  )
}
