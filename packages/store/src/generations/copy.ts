import type { Tx } from '../connect.js'
import type { Text } from '../prepare.js'
import type { Lexical } from '../schema.js'
import { columnsOf, embeddingSql, type Form, type FormColumn, store } from '../storage/form.js'
import { fromSparsevec, type Terms, type TermsRow, termsTable, toSparsevec } from '../terms.js'
import { vectorsTable } from '../vectors.js'

/** A generation as far as what it keeps of texts can be taken over. */
export interface Kept extends Form {
  readonly id: number
  readonly lexical: Lexical | null
  readonly colbert: boolean
}

export interface CopyOptions {
  readonly from: Kept
  readonly to: Kept
  /** Only what a chunk of a document has that was published since; null: whatever is there. */
  readonly since: Date | null
  /** What weights of terms are in the new generation, where they are not what they are in the old. */
  readonly reweigh: ((terms: Terms, tokens: number) => Terms) | null
}

/** Texts in one statement. */
const SLICE = 1_000
/** Those whose codes are worked out here: some 100 µs each, in which nothing else is done. */
const ENCODED_SLICE = 200

/**
 * Takes over what is kept of texts, in the new form, as far as the old generation has all of it and the new one neither
 * has them nor waits for them. Returns how many. Two workers that copy the same text write it once: the second waits
 * for the first, and finds it there.
 */
export async function copyTexts(tx: Tx, texts: readonly Text[], options: CopyOptions): Promise<number> {
  const slice = isEncoded(options.to) && options.from.storage !== options.to.storage ? ENCODED_SLICE : SLICE
  let copied = 0
  for (let at = 0; at < texts.length; at += slice) {
    copied += await copySlice(tx, texts.slice(at, at + slice), options)
  }
  return copied
}

async function copySlice(tx: Tx, texts: readonly Text[], options: CopyOptions): Promise<number> {
  const { from, to, reweigh } = options
  const there = await listCopyable(tx, texts, options)
  if (there.length === 0) return 0
  const hashes = await copyVectors(tx, there, from, to)
  if (hashes.length === 0) return 0
  if (to.lexical !== null) {
    if (reweigh === null) await copyRowsOf(tx, 'terms', ['terms', 'weights'], hashes, options)
    else await copyTerms(tx, hashes, texts, { from, to, reweigh })
  }
  if (to.colbert) await copyRowsOf(tx, 'colbert', ['tokens', 'dims', 'bits'], hashes, options)
  return hashes.length
}

/** A text has all that is kept of texts, or nothing. */
async function listCopyable(
  tx: Tx,
  texts: readonly Text[],
  { from, to, since }: CopyOptions,
): Promise<Buffer[]> {
  const besides = [...(to.lexical === null ? [] : ['terms']), ...(to.colbert ? ['colbert'] : [])]
  const whole = besides.map(
    (kind) => `and exists (select 1 from ${besideTable(kind, from.id)} b where b.text_hash = given.hash)`,
  )
  const young =
    since === null
      ? ''
      : `and exists (
           select 1 from millrace.chunks c
           join millrace.published p on p.generation_id = c.generation_id and p.document_id = c.document_id
             and p.revision = c.revision and p.published_at >= $3
           where c.generation_id = ${Number(from.id)} and c.text_hash = given.hash
         )`
  const rows = await tx.query<{ hash: Buffer }>(
    `select given.hash from unnest($1::bytea[]) as given (hash)
     where exists (select 1 from ${vectorsTable(from.id)} v where v.text_hash = given.hash) ${whole.join(' ')} ${young}
       and not exists (select 1 from ${vectorsTable(to.id)} v where v.text_hash = given.hash)
       and not exists (select 1 from millrace.pending p where p.generation_id = $2 and p.text_hash = given.hash)
     order by given.hash`,
    [texts.map(({ hash }) => hash), to.id, ...(since === null ? [] : [since])],
  )
  return rows.map((row) => row.hash)
}

const besideTable = (kind: string, id: number): string => `millrace.${kind}_${Number(id)}`

/** Codes that SQL cannot work out. */
const isEncoded = ({ storage }: Form): boolean => storage === 'sq8' || storage === 'sq4'

/** In the order of the hashes, as everybody does who copies. Returns those that were written. */
async function copyVectors(tx: Tx, hashes: readonly Buffer[], from: Kept, to: Kept): Promise<Buffer[]> {
  if (isEncoded(to) && from.storage !== to.storage) return encodeVectors(tx, hashes, from, to)
  const columns = columnsOf(to).map((column) => ({ name: column.name, sql: convertSql(column, from, to) }))
  const rows = await tx.query<{ hash: Buffer }>(
    `insert into ${vectorsTable(to.id)} (text_hash, ${columns.map(({ name }) => name).join(', ')})
     select v.text_hash, ${columns.map(({ sql }) => sql).join(', ')}
     from ${vectorsTable(from.id)} v where v.text_hash = any($1) order by v.text_hash
     on conflict (text_hash) do nothing
     returning text_hash as hash`,
    [hashes],
  )
  return rows.map((row) => row.hash)
}

/** What stands in a column of the new form, of a row `v` of the old one. */
function convertSql({ name, type }: FormColumn, from: Form, to: Form): string {
  if (from.storage === to.storage || (name === 'bits' && hasBits(from))) return `v.${name}`
  const whole = embeddingSql(from, 'v')
  return name === 'bits' ? `millrace.search_bits(${whole})::${type}` : `(${whole})::${type}`
}

const hasBits = ({ storage }: Form): boolean => storage !== 'full' && storage !== 'half'

async function encodeVectors(tx: Tx, hashes: readonly Buffer[], from: Kept, to: Kept): Promise<Buffer[]> {
  const rows = await tx.query<{ hash: Buffer; bytes: Buffer }>(
    `select v.text_hash as hash, vector_send(${embeddingSql(from, 'v')}) as bytes
     from ${vectorsTable(from.id)} v where v.text_hash = any($1) order by v.text_hash`,
    [hashes],
  )
  const columns = columnsOf(to)
  const names = columns.map(({ name }) => name).join(', ')
  const stored = rows.map(({ bytes }) => store(to.storage, vectorOf(bytes)))
  const written = await tx.query<{ hash: Buffer }>(
    `insert into ${vectorsTable(to.id)} (text_hash, ${names})
     select hash, ${columns.map(({ name, cast }) => [name, ...cast].join('::')).join(', ')}
     from unnest($1::bytea[], ${columns.map((_, i) => `$${i + 2}::text[]`).join(', ')}) as given (hash, ${names})
     on conflict (text_hash) do nothing
     returning text_hash as hash`,
    [rows.map(({ hash }) => hash), ...columns.map(({ text }) => stored.map(text))],
  )
  return written.map((row) => row.hash)
}

/** int16 dims, int16 unused, then big-endian float4 (pgvector, vector_send). */
export function vectorOf(bytes: Buffer): Float32Array {
  const values = new Float32Array(bytes.readUInt16BE(0))
  for (let i = 0; i < values.length; i++) values[i] = bytes.readFloatBE(4 + 4 * i)
  return values
}

async function copyRowsOf(
  tx: Tx,
  kind: 'terms' | 'colbert',
  columns: readonly string[],
  hashes: readonly Buffer[],
  { from, to }: Pick<CopyOptions, 'from' | 'to'>,
): Promise<void> {
  const names = ['text_hash', ...columns].join(', ')
  await tx.query(
    `insert into ${besideTable(kind, to.id)} (${names})
     select ${names} from ${besideTable(kind, from.id)} where text_hash = any($1)
     on conflict (text_hash) do nothing`,
    [hashes],
  )
}

async function copyTerms(
  tx: Tx,
  hashes: readonly Buffer[],
  texts: readonly Text[],
  {
    from,
    to,
    reweigh,
  }: { readonly from: Kept; readonly to: Kept; readonly reweigh: NonNullable<CopyOptions['reweigh']> },
): Promise<void> {
  const tokens = new Map(texts.map((text) => [text.hash.toString('hex'), text.tokens]))
  const rows = await tx.query<{ hash: Buffer; weights: string }>(
    `select text_hash as hash, weights::text as weights from ${termsTable(from.id)} where text_hash = any($1)`,
    [hashes],
  )
  const made: TermsRow[] = rows.map(({ hash, weights }) => ({
    hash,
    terms: reweigh(fromSparsevec(weights), tokens.get(hash.toString('hex')) ?? 0),
  }))
  await tx.query(
    `insert into ${termsTable(to.id)} (text_hash, terms, weights)
     select hash, terms::integer[], weights::sparsevec
     from unnest($1::bytea[], $2::text[], $3::text[]) as given (hash, terms, weights)
     on conflict (text_hash) do nothing`,
    [
      made.map(({ hash }) => hash),
      made.map(({ terms }) => `{${terms.ids.join(',')}}`),
      made.map(({ terms }) => toSparsevec(terms)),
    ],
  )
}
