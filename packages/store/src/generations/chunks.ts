import type { Db, Tx } from '../connect.js'
import {
  dropUnseen,
  insertChunks,
  insertPending,
  type PreparedDocument,
  sumTokens,
  type Text,
  textsOf,
} from '../prepare.js'
import { holdBeside, publishBeside } from '../publish.js'
import { clearMarks, holdForm, markOrphans } from '../vectors.js'
import { type CopyOptions, copyTexts } from './copy.js'

export interface BesideTarget {
  readonly generationId: number
  /** Where texts that are there already are taken from; null: each is embedded. */
  readonly copy: CopyOptions | null
  readonly ownedSeconds: number
}

export interface StoredBeside {
  /** Documents that came to be in it, ready or waiting for their texts. */
  readonly documents: number
  readonly textsCopied: number
}

type Claimed = Pick<PreparedDocument, 'id' | 'revision'>

/**
 * Writes the chunks of documents that were claimed for a generation that is not live, takes over what is there of their
 * texts, and has the rest embedded. What came to another revision meanwhile, or is somebody else's, is left alone.
 */
export const storeBeside = (
  db: Db,
  to: BesideTarget,
  prepared: readonly PreparedDocument[],
): Promise<StoredBeside> =>
  storeHeld(db, to, prepared, async (tx, held) => {
    const mine = new Set(held)
    const documents = prepared.filter(({ id }) => mine.has(id))
    await insertChunks(tx, to.generationId, documents)
    return {
      texts: textsOf(documents),
      counts: documents.map(({ id, chunks }) => ({
        id,
        chunks: chunks.length,
        tokens: sumTokens([{ chunks }]),
      })),
    }
  })

/**
 * As `storeBeside`, with the chunks that another generation with the same recipe has of these very revisions. What that
 * one does not have any more waits again, to be prepared.
 */
export const copyBeside = (
  db: Db,
  to: BesideTarget & { readonly chunksFrom: number },
  claimed: readonly Claimed[],
): Promise<StoredBeside> =>
  storeHeld(db, to, claimed, async (tx, held) => {
    const counts = await copyChunks(tx, to, held)
    const texts = await tx.query<Text>(
      `select distinct on (c.text_hash) c.text_hash as hash, c.tokens
       from millrace.chunks c
       join millrace.generation_documents f
         on f.generation_id = c.generation_id and f.document_id = c.document_id and f.revision = c.revision
       where c.generation_id = $1 and c.document_id = any($2)
       order by c.text_hash`,
      [to.generationId, counts.map(({ id }) => id)],
    )
    return { texts, counts }
  })

interface Counted {
  readonly id: number
  readonly chunks: number
  readonly tokens: number
}

function storeHeld(
  db: Db,
  to: BesideTarget,
  claimed: readonly Claimed[],
  write: (
    tx: Tx,
    held: readonly number[],
  ) => Promise<{ readonly texts: readonly Text[]; readonly counts: readonly Counted[] }>,
): Promise<StoredBeside> {
  return db.transact(
    async (tx) => {
      const nothing = { documents: 0, textsCopied: 0 }
      const copy = await holdGenerations(tx, to)
      if (copy === undefined) return nothing
      const held = await holdClaimed(tx, to.generationId, claimed)
      if (held.length === 0) return nothing
      const dropped = await dropUnseen(tx, to.generationId, held)
      const { texts, counts } = await write(tx, held)
      await markOrphans(tx, to.generationId, dropped)
      // First: from then on the sweep leaves them alone, and what it has deleted already is seen to be missing.
      await clearMarks(
        tx,
        to.generationId,
        texts.map(({ hash }) => hash),
      )
      const textsCopied = copy === null ? 0 : await copyTexts(tx, texts, copy)
      await insertPending(tx, { generationId: to.generationId, ingestionId: null }, texts)
      await markStored(tx, to, held, counts)
      const ids = counts.map(({ id }) => id)
      await publishBeside(tx, to.generationId, ids)
      await countCopied(tx, to.generationId, textsCopied)
      return { documents: ids.length, textsCopied }
    },
    { durable: false },
  )
}

/** That both stay until the transaction ends; undefined when the new one is no longer built, null: nothing to copy from. */
async function holdGenerations(tx: Tx, to: BesideTarget): Promise<CopyOptions | null | undefined> {
  // The live one first, as everybody takes them.
  await tx.query(
    `select 1 from millrace.generations where id = any($1) order by state <> 'live', id for key share`,
    [[to.generationId, ...(to.copy === null ? [] : [to.copy.from.id])]],
  )
  const source = to.copy === null ? undefined : await holdForm(tx, to.copy.from.id)
  const target = await holdForm(tx, to.generationId)
  if (target === undefined || target.state === 'live') return undefined
  return source === undefined ? null : to.copy
}

/** Locks those that are still what they were claimed as; what the generation has already is ready with that. */
async function holdClaimed(tx: Tx, generationId: number, claimed: readonly Claimed[]): Promise<number[]> {
  await tx.query('select 1 from millrace.documents where id = any($1) order by id for key share', [
    claimed.map(({ id }) => id),
  ])
  const held = await holdBeside(
    tx,
    generationId,
    claimed.map(({ id }) => id),
    'preparing',
  )
  const rows = await tx.query<{ id: number; there: boolean }>(
    `select f.document_id as id, exists (
       select 1 from millrace.published p
       where p.generation_id = $1 and p.document_id = f.document_id and p.revision = f.revision
     ) as there
     from millrace.generation_documents f
     join unnest($2::bigint[], $3::integer[]) as mine (id, revision)
       on mine.id = f.document_id and mine.revision = f.revision
     where f.generation_id = $1 and f.document_id = any($4)`,
    [generationId, claimed.map(({ id }) => id), claimed.map(({ revision }) => revision), held],
  )
  const there = rows.filter((row) => row.there).map((row) => row.id)
  if (there.length > 0) {
    await tx.query(
      `update millrace.generation_documents set state = 'ready', leased_until = '-infinity'
       where generation_id = $1 and document_id = any($2)`,
      [generationId, there],
    )
  }
  return rows.filter((row) => !row.there).map((row) => row.id)
}

/** In one statement, which sees the old generation's chunks and parents of one revision or of none. */
const copyChunks = (
  tx: Tx,
  to: { readonly generationId: number; readonly chunksFrom: number },
  ids: readonly number[],
): Promise<Counted[]> =>
  tx.query<Counted>(
    `with mine as (
       select p.document_id, p.revision from millrace.published p
       join millrace.generation_documents f
         on f.generation_id = $1 and f.document_id = p.document_id and f.revision = p.revision
       where p.generation_id = $2 and p.document_id = any($3)
     ), shown as (
       insert into millrace.parents
         (generation_id, document_id, revision, ordinal, start_at, end_at, headings, place, text)
       select $1, r.document_id, r.revision, r.ordinal, r.start_at, r.end_at, r.headings, r.place, r.text
       from mine join millrace.parents r using (document_id, revision) where r.generation_id = $2
     ), cut as (
       insert into millrace.chunks
         (generation_id, document_id, revision, ordinal, start_at, end_at, tokens, text_hash, context, text, headings,
          place, parent)
       select $1, c.document_id, c.revision, c.ordinal, c.start_at, c.end_at, c.tokens, c.text_hash, c.context, c.text,
         c.headings, c.place, c.parent
       from mine join millrace.chunks c using (document_id, revision) where c.generation_id = $2
       returning document_id, tokens
     )
     select mine.document_id as id, count(cut.document_id)::int as chunks, coalesce(sum(cut.tokens), 0)::int8 as tokens
     from mine left join cut using (document_id) group by 1 order by 1`,
    [to.generationId, to.chunksFrom, ids],
  )

async function markStored(
  tx: Tx,
  { generationId, ownedSeconds }: BesideTarget,
  held: readonly number[],
  counts: readonly Counted[],
): Promise<void> {
  await tx.query(
    `update millrace.generation_documents f set state = 'embedding', chunks = m.chunks, tokens = m.tokens,
       leased_until = now() + make_interval(secs => $5)
     from unnest($2::bigint[], $3::integer[], $4::bigint[]) as m (id, chunks, tokens)
     where f.generation_id = $1 and f.document_id = m.id`,
    [
      generationId,
      counts.map(({ id }) => id),
      counts.map(({ chunks }) => chunks),
      counts.map(({ tokens }) => tokens),
      ownedSeconds,
    ],
  )
  if (counts.length === held.length) return
  await tx.query(
    `update millrace.generation_documents set state = 'waiting', leased_until = '-infinity'
     where generation_id = $1 and document_id = any($2) and state = 'preparing'`,
    [generationId, held],
  )
}

/** Last: whoever else stores for this generation waits for its row. */
async function countCopied(tx: Tx, generationId: number, textsCopied: number): Promise<void> {
  if (textsCopied === 0) return
  await tx.query('update millrace.generations set texts_copied = texts_copied + $2 where id = $1', [
    generationId,
    textsCopied,
  ])
}
