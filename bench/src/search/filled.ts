import { createHash } from 'node:crypto'
import { type Db, type DomainRow, insertTerms, type Terms } from '@millrace/store'
import { insertVectors } from '@millrace/store/vectors'

/** A document of one chunk with all that a worker would have made of it. */
export interface ReadyDocument {
  /** Default: the hash of its text. */
  readonly id?: string
  /** No two are the same. */
  readonly text: string
  readonly vector: Float32Array
  readonly terms?: Terms
  readonly metadata?: object
}

type Filled = Pick<DomainRow, 'id' | 'generationId' | 'dims'>

/** Puts documents into a domain as if they had been ingested; each batch is a transaction. */
export async function fill(
  db: Db,
  domain: Filled,
  batches: AsyncIterable<readonly ReadyDocument[]> | Iterable<readonly ReadyDocument[]>,
): Promise<void> {
  const [ingestion] = await db.query<{ id: number }>(
    'insert into millrace.ingestions (domain_id) values ($1) returning id',
    [domain.id],
  )
  if (ingestion === undefined) throw new Error('no ingestion came back')
  for await (const batch of batches) await store(db, domain, ingestion.id, batch)
  await db.query(
    `update millrace.ingestions set state = 'finished', finished_at = now(), sealed = true where id = $1`,
    [ingestion.id],
  )
}

async function store(
  db: Db,
  { id, generationId, dims }: Filled,
  ingestionId: number,
  batch: readonly ReadyDocument[],
): Promise<void> {
  const rows = batch.map((document) => ({
    ...document,
    hash: createHash('sha256').update(document.text).digest(),
  }))
  const withTerms = rows.flatMap(({ hash, terms }) => (terms === undefined ? [] : [{ hash, terms }]))
  await db.transact(async (tx) => {
    await insertVectors(tx, generationId, { storage: 'full', dims }, rows)
    if (withTerms.length > 0) await insertTerms(tx, generationId, withTerms)
    await tx.query(
      `with given as (
         select * from unnest($3::text[], $4::text[], $5::bytea[], $6::jsonb[]) as g (external_id, text, hash, metadata)
       ), added as (
         insert into millrace.documents
           (domain_id, external_id, text, content_hash, ingestion_id, state, chunks, tokens)
         select $1, external_id, text, hash, $2, 'ready', 1, 0 from given
         returning id, text, content_hash
       ), cut as (
         insert into millrace.chunks
           (document_id, generation_id, revision, ordinal, start_at, end_at, tokens, text_hash, text)
         select id, $7, 1, 0, 0, length(text), 0, content_hash, text from added
       )
       insert into millrace.published (generation_id, document_id, revision, metadata)
       select $7, a.id, 1, g.metadata from added a join given g on g.hash = a.content_hash`,
      [
        id,
        ingestionId,
        rows.map(({ id: name, hash }) => name ?? hash.toString('hex')),
        rows.map(({ text }) => text),
        rows.map(({ hash }) => hash),
        rows.map(({ metadata = {} }) => JSON.stringify(metadata)),
        generationId,
      ],
    )
  })
}

/** All in batches; what is left over is one too. */
export async function* inBatches<T>(all: AsyncIterable<T> | Iterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = []
  for await (const one of all) {
    batch.push(one)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** In milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/** What each took, one after the other. */
export async function inTurn<T>(all: readonly T[], work: (one: T) => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  for (const one of all) times.push(await timed(() => work(one)))
  return times
}

/**
 * What each took each way, in turns, so that what else the machine does falls on every way. Each begins in its turn: the
 * first finds the least in Postgres's memory.
 */
export async function alternate<T, Way extends string>(
  all: readonly T[],
  ways: Readonly<Record<Way, (one: T) => Promise<number>>>,
): Promise<Readonly<Record<Way, readonly number[]>>> {
  const names = Object.keys(ways) as Way[]
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Way, number[]>
  for (const [i, one] of all.entries()) {
    const first = i % names.length
    for (const name of [...names.slice(first), ...names.slice(0, first)])
      times[name].push(await ways[name](one))
  }
  return times
}
