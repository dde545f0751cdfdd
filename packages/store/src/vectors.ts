import type { Session, Tx } from './connect.js'
import { bytea, column, copyRows } from './copy.js'
import { columnsOf, type Form, type Stored, store, tableSettings } from './storage/form.js'
import { besidesOf } from './terms.js'

/** A text's hash and its unit-length vector. */
export interface VectorRow {
  readonly hash: Buffer
  readonly vector: Float32Array
}

/** One table a generation, with typed dims: a new model is a new table, and dropping the old one is instant. */
export const vectorsTable = (generationId: number) => `millrace.vectors_${Number(generationId)}`

/** A table for the vectors of a generation, in its form of storage. */
export async function createVectors(tx: Tx, generationId: number, form: Form): Promise<void> {
  const table = vectorsTable(generationId)
  // Nothing in them can be compressed: Postgres need not try.
  const own = columnsOf(form).map(({ name, type }) => `${name} ${type} storage external not null`)
  await tx.query(`create table ${table} (
    text_hash   bytea primary key,
    ${own.join(', ')},
    orphaned_at timestamptz(3)
  ) ${tableSettings(form)}`)
  await tx.query(`create index on ${table} (orphaned_at) where orphaned_at is not null`)
}

/** A generation as it is until the transaction of whoever holds it ends. */
export interface HeldForm extends Form {
  readonly state: 'live' | 'building' | 'retired'
}

/**
 * How a generation keeps its vectors, and that it stays, in its state, until the transaction ends; undefined when it is
 * gone, or is going.
 */
export async function holdForm(tx: Tx, generationId: number): Promise<HeldForm | undefined> {
  const found = await tx.query<HeldForm>(
    `select storage, dims, state from millrace.generations
     where id = $1 and state in ('live', 'building', 'retired') for key share`,
    [generationId],
  )
  return found[0]
}

export async function dropVectors(tx: Tx, generationId: number): Promise<void> {
  await tx.query(`drop table if exists ${vectorsTable(generationId)}`)
}

/** Binary COPY on servers (185 k rows/s against 8 k for inserts), unnest on PGlite, which cannot COPY. */
export async function insertVectors(
  tx: Tx,
  generationId: number,
  form: Form,
  rows: readonly VectorRow[],
): Promise<void> {
  const stored = rows.map(({ hash, vector }) => ({ ...store(form.storage, vector), hash }))
  await insertStored(tx, generationId, form, stored)
}

/** A text's hash and its vector as a form keeps it. */
export type StoredRow = Stored & { readonly hash: Buffer }

/** The same for what is in its form already. */
export async function insertStored(
  tx: Tx,
  generationId: number,
  form: Form,
  stored: readonly StoredRow[],
): Promise<void> {
  if (stored.length === 0) return
  const table = vectorsTable(generationId)
  const columns = columnsOf(form)
  if (tx.kind === 'embedded') {
    const names = columns.map(({ name }) => name).join(', ')
    await tx.query(
      `insert into ${table} (text_hash, ${names})
       select hash, ${columns.map(({ name, cast }) => [name, ...cast].join('::')).join(', ')}
       from unnest($1::bytea[], ${columns.map((_, i) => `$${i + 2}::text[]`).join(', ')}) as given (hash, ${names})`,
      [stored.map(({ hash }) => hash), ...columns.map(({ text }) => stored.map(text))],
    )
    return
  }
  await copyRows<StoredRow>(
    tx,
    table,
    [column('text_hash', bytea, ({ hash }: StoredRow) => hash), ...columns],
    stored,
  )
}

/** Marks the vectors of these hashes that no chunk refers to any more; the sweep deletes old marks. */
export async function markOrphans(tx: Tx, generationId: number, hashes: readonly Buffer[]): Promise<void> {
  if (hashes.length === 0) return
  await tx.query(
    `update ${vectorsTable(generationId)} v set orphaned_at = now()
     where v.text_hash = any($2) and v.orphaned_at is null
       and not exists (select 1 from millrace.chunks c where c.generation_id = $1 and c.text_hash = v.text_hash)`,
    [generationId, hashes],
  )
}

/** Takes the mark off what is used again. The row's lock decides between this and the sweep's delete. */
export async function clearMarks(tx: Tx, generationId: number, hashes: readonly Buffer[]): Promise<void> {
  await tx.query(
    `update ${vectorsTable(generationId)} set orphaned_at = null
     where text_hash = any($1) and orphaned_at is not null`,
    [hashes],
  )
}

/** Deletes vectors marked before `graceSeconds` ago and still unused, and what is kept beside them; returns how many. */
export async function deleteOrphans(
  on: Session,
  generationId: number,
  graceSeconds: number,
): Promise<number> {
  const besides = await besidesOf(on, generationId)
  const withThem = besides.map(
    (table, i) => `, beside_${i} as (delete from ${table} b using gone where b.text_hash = gone.text_hash)`,
  )
  const deleted = await on.query<{ count: number }>(
    `with gone as (
       delete from ${vectorsTable(generationId)} v
       where v.orphaned_at < now() - make_interval(secs => $2)
         and not exists (select 1 from millrace.chunks c where c.generation_id = $1 and c.text_hash = v.text_hash)
       returning v.text_hash
     )${withThem.join('')}
     select count(*)::int as count from gone`,
    [generationId, graceSeconds],
  )
  return deleted[0]?.count ?? 0
}

export async function countVectors(on: Session, generationId: number): Promise<number> {
  const rows = await on.query<{ count: number }>(
    `select count(*)::int as count from ${vectorsTable(generationId)}`,
  )
  return rows[0]?.count ?? 0
}

/** Of these texts, those that would have to be embedded: without a vector, and not waiting for one. */
export async function missingTexts(
  on: Session,
  generationId: number,
  hashes: readonly Buffer[],
): Promise<Buffer[]> {
  const rows = await on.query<{ hash: Buffer }>(
    `select given.hash from unnest($2::bytea[]) as given (hash)
     where not exists (select 1 from ${vectorsTable(generationId)} v where v.text_hash = given.hash)
       and not exists (
         select 1 from millrace.pending p where p.generation_id = $1 and p.text_hash = given.hash
       )`,
    [generationId, hashes],
  )
  return rows.map((row) => row.hash)
}
