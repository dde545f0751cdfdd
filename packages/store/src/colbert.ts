import type { Session, Tx } from './connect.js'
import { bytea, column, copyRows, int4 } from './copy.js'

/** What is kept of a text's token vectors: the sign of each number, a row of ceil(dims / 8) bytes a token. */
export interface ColbertRow {
  readonly hash: Buffer
  readonly tokens: number
  readonly dims: number
  readonly bits: Uint8Array
}

/** Of a generation whose outputs have colbert. */
export const colbertTable = (generationId: number) => `millrace.colbert_${Number(generationId)}`

export async function createColbert(tx: Tx, generationId: number): Promise<void> {
  const table = colbertTable(generationId)
  await tx.query(`create table ${table} (
    text_hash bytea primary key,
    tokens    integer not null,
    dims      integer not null,
    bits      bytea not null
  )`)
  // Signs do not compress: trying to would cost time and win nothing.
  await tx.query(`alter table ${table} alter column bits set storage external`)
}

export async function dropColbert(tx: Tx, generationId: number): Promise<void> {
  await tx.query(`drop table if exists ${colbertTable(generationId)}`)
}

/** Binary COPY on servers, unnest on PGlite, which cannot COPY; the hashes have no rows yet. */
export async function insertColbert(
  tx: Tx,
  generationId: number,
  rows: readonly ColbertRow[],
): Promise<void> {
  if (rows.length === 0) return
  const table = colbertTable(generationId)
  if (tx.kind === 'embedded') {
    await tx.query(
      `insert into ${table} (text_hash, tokens, dims, bits)
       select * from unnest($1::bytea[], $2::integer[], $3::integer[], $4::bytea[])`,
      [
        rows.map(({ hash }) => hash),
        rows.map(({ tokens }) => tokens),
        rows.map(({ dims }) => dims),
        rows.map(({ bits }) => bufferOf(bits)),
      ],
    )
    return
  }
  await copyRows(
    tx,
    table,
    [
      column('text_hash', bytea, (row: ColbertRow) => row.hash),
      column('tokens', int4, (row: ColbertRow) => row.tokens),
      column('dims', int4, (row: ColbertRow) => row.dims),
      column('bits', bytea, (row: ColbertRow) => bufferOf(row.bits)),
    ],
    rows,
  )
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength)

/** In no order; those of hashes that are not there are left out. */
export const readColbert = (
  on: Pick<Session, 'query'>,
  generationId: number,
  hashes: readonly Buffer[],
): Promise<ColbertRow[]> =>
  on.query<ColbertRow>(
    `select text_hash as hash, tokens, dims, bits from ${colbertTable(generationId)} where text_hash = any($1)`,
    [hashes],
  )
