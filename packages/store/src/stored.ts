import { type ColbertRow, insertColbert } from './colbert.js'
import type { Db, Tx } from './connect.js'
import type { Lease } from './leases.js'
import { holdWaiting, holdWaitingBeside, publish, publishBeside } from './publish.js'
import { insertTerms, type TermsRow } from './terms.js'
import { holdForm, insertVectors, type VectorRow, vectorsTable } from './vectors.js'

/** Vectors are worked out again from pending, should their commit be lost. */
const DERIVED = { durable: false }

/** A text that cannot be embedded: its documents fail with this. */
export interface FailedText {
  readonly hash: Buffer
  readonly code: string
  readonly message: string
}

export interface StoredLease {
  readonly texts: number
  readonly tokens: number
}

/**
 * Ends (part of) a lease in one transaction: takes its rows out of pending, writes exactly those vectors,
 * makes complete documents visible, counts the ingestions forward. Rows that somebody else has stored
 * meanwhile are no longer there to take, so a second delivery writes and counts nothing. `done`: the lease
 * itself ends, what it has left is free again.
 */
export function storeLease(
  db: Db,
  lease: Lease,
  result: {
    readonly vectors: readonly VectorRow[]
    /** Of the same texts, where the generation keeps them. */
    readonly terms?: readonly TermsRow[]
    readonly colbert?: readonly ColbertRow[]
    readonly failed: readonly FailedText[]
    readonly done: boolean
  },
): Promise<StoredLease> {
  return db.transact(async (tx) => {
    const form = await holdForm(tx, lease.generationId)
    if (form === undefined) return { texts: 0, tokens: 0 }
    const taken = await takePending(
      tx,
      lease,
      result.vectors.map((row) => row.hash),
    )
    const wanted = new Map(taken.map((row) => [row.hash.toString('hex'), row]))
    const isFresh = ({ hash }: { readonly hash: Buffer }) =>
      wanted.get(hash.toString('hex'))?.stored === false
    await insertVectors(tx, lease.generationId, form, result.vectors.filter(isFresh))
    // Whatever else is kept of a text goes with its vector: there is either all of it or nothing.
    await insertTerms(tx, lease.generationId, (result.terms ?? []).filter(isFresh))
    await insertColbert(tx, lease.generationId, (result.colbert ?? []).filter(isFresh))
    const hashes = taken.map((row) => row.hash)
    if (form.state === 'live') {
      await failTexts(tx, lease, result.failed)
      await publish(tx, lease.generationId, await holdWaiting(tx, lease.generationId, hashes))
    } else {
      await failBeside(tx, lease, result.failed)
      await publishBeside(tx, lease.generationId, await holdWaitingBeside(tx, lease.generationId, hashes))
    }
    // An ingestion counts what is made of it for its readers: for the next generation it is counted anew.
    if (form.state === 'live') await countEmbedded(tx, taken)
    else await countBuilt(tx, lease.generationId, taken)
    if (result.done) await tx.query('delete from millrace.leases where id = $1', [lease.id])
    return { texts: taken.length, tokens: taken.reduce((sum, row) => sum + row.tokens, 0) }
  }, DERIVED)
}

interface Taken {
  readonly hash: Buffer
  readonly tokens: number
  readonly ingestion: number | null
  /** There is a vector already: nothing to write. Not expected, and no reason to fail. */
  readonly stored: boolean
}

const takePending = (tx: Tx, lease: Lease, hashes: readonly Buffer[]): Promise<Taken[]> =>
  tx.query<Taken>(
    `delete from millrace.pending p
     where p.lease_id = $1 and p.generation_id = $2 and p.text_hash = any($3)
     returning p.text_hash as hash, p.tokens, p.ingestion_id as ingestion,
       exists (select 1 from ${vectorsTable(lease.generationId)} v where v.text_hash = p.text_hash) as stored`,
    [lease.id, lease.generationId, hashes],
  )

async function failTexts(tx: Tx, lease: Lease, failed: readonly FailedText[]): Promise<void> {
  if (failed.length === 0) return
  const hashes = failed.map((text) => text.hash)
  const taken = await takePending(tx, lease, hashes)
  const ids = await holdWaiting(
    tx,
    lease.generationId,
    taken.map((row) => row.hash),
  )
  await tx.query(
    `update millrace.documents d set
       state = 'failed', leased_until = null, updated_at = now(), error_code = f.code, error_message = f.message
     from (
       select distinct on (c.document_id) c.document_id, f.code, f.message
       from unnest($3::bytea[], $4::text[], $5::text[]) as f (hash, code, message)
       join millrace.chunks c on c.generation_id = $1 and c.text_hash = f.hash
       order by c.document_id, c.ordinal
     ) f
     where d.id = f.document_id and d.id = any($2) and d.state = 'embedding'`,
    [lease.generationId, ids, hashes, failed.map((text) => text.code), failed.map((text) => text.message)],
  )
}

/** As `failTexts`, of a generation that is not live: what fails in it says nothing of the documents. */
async function failBeside(tx: Tx, lease: Lease, failed: readonly FailedText[]): Promise<void> {
  if (failed.length === 0) return
  const hashes = failed.map((text) => text.hash)
  const taken = await takePending(tx, lease, hashes)
  const ids = await holdWaitingBeside(
    tx,
    lease.generationId,
    taken.map((row) => row.hash),
  )
  await tx.query(
    `update millrace.generation_documents s set state = 'failed', error_code = f.code, error_message = f.message
     from (
       select distinct on (c.document_id) c.document_id, c.revision, f.code, f.message
       from unnest($3::bytea[], $4::text[], $5::text[]) as f (hash, code, message)
       join millrace.chunks c on c.generation_id = $1 and c.text_hash = f.hash
       where c.document_id = any($2)
       order by c.document_id, c.revision desc, c.ordinal
     ) f
     where s.generation_id = $1 and s.document_id = f.document_id and s.revision = f.revision and s.state = 'embedding'`,
    [lease.generationId, ids, hashes, failed.map((text) => text.code), failed.map((text) => text.message)],
  )
}

/** Last: whoever else stores for this generation waits for its row. */
async function countBuilt(tx: Tx, generationId: number, taken: readonly Taken[]): Promise<void> {
  if (taken.length === 0) return
  await tx.query(
    `update millrace.generations set
       texts_embedded = texts_embedded + $2, tokens_embedded = tokens_embedded + $3
     where id = $1`,
    [generationId, taken.length, taken.reduce((sum, row) => sum + row.tokens, 0)],
  )
}

async function countEmbedded(tx: Tx, taken: readonly Taken[]): Promise<void> {
  const owned = taken.filter((row) => row.ingestion !== null)
  if (owned.length === 0) return
  await tx.query(
    `update millrace.ingestions i set
       chunks_embedded = i.chunks_embedded + e.texts, tokens_embedded = i.tokens_embedded + e.tokens,
       rate_last = clock_timestamp(),
       rate_from = case when i.rate_next < e.past then i.rate_next else i.rate_from end,
       rate_from_tokens = case when i.rate_next < e.past then i.rate_next_tokens else i.rate_from_tokens end,
       rate_next = case when i.rate_next < e.past then clock_timestamp() else i.rate_next end,
       rate_next_tokens = case when i.rate_next < e.past then i.tokens_embedded + e.tokens else i.rate_next_tokens end
     from (
       select t.ingestion, count(*)::int as texts, sum(t.tokens) as tokens, now() - interval '20 s' as past
       from unnest($1::bigint[], $2::bigint[]) as t (ingestion, tokens) group by 1
     ) e
     where i.id = e.ingestion`,
    [owned.map((row) => row.ingestion), owned.map((row) => row.tokens)],
  )
}
