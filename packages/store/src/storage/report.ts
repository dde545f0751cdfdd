import { one, type Session } from '../connect.js'
import { besidesOf } from '../terms.js'
import { vectorsTable } from '../vectors.js'
import { embeddingSql, type Form } from './form.js'

/** What Postgres says that a table of a generation takes. */
export interface TableSize {
  /** vectors, terms or colbert. */
  readonly name: string
  readonly rows: number
  /** With what is kept out of line. */
  readonly tableBytes: number
  readonly indexes: readonly { readonly name: string; readonly bytes: number }[]
}

/** Above so many rows they are not counted: Postgres's estimate is near enough. */
const COUNTED_MAX = 1_000_000

export async function tableSizes(on: Session, generationId: number): Promise<TableSize[]> {
  const sizes: TableSize[] = []
  // Three at most.
  for (const table of [vectorsTable(generationId), ...(await besidesOf(on, generationId))]) {
    const found = await on.query<TableSize>(
      `select $2 as name,
         (case when t.reltuples > $3 then t.reltuples::int8 else (select count(*) from ${table}) end)::float8 as rows,
         pg_table_size(t.oid)::float8 as "tableBytes",
         coalesce((
           select jsonb_agg(jsonb_build_object('name', c.relname, 'bytes', pg_relation_size(c.oid)) order by c.relname)
           from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = t.oid
         ), '[]') as indexes
       from pg_class t where t.oid = $1::regclass`,
      [table, table.replace(/^millrace\.|_\d+$/g, ''), COUNTED_MAX],
    )
    sizes.push(one(found, 'the table'))
  }
  return sizes
}

/** A stored vector with the text it is of. */
export interface StoredText {
  /** What the model was given. */
  readonly text: string
  /** As searches see it. */
  readonly vector: Float32Array
  /** Where the form has some: '0' and '1'. */
  readonly bits: string | null
}

/**
 * Stored vectors in the order of their hashes, which has nothing to do with what is in them: the same ones each time, so
 * that two reports compare. From behind `after`; one of a text that no chunk has any more is left out.
 */
export async function sampleStored(
  on: Session,
  generationId: number,
  form: Form,
  page: { readonly after: Buffer | null; readonly limit: number },
): Promise<{ readonly texts: StoredText[]; readonly last: Buffer | null }> {
  const hasBits = form.storage !== 'full' && form.storage !== 'half'
  const rows = await on.query<{ hash: Buffer; text: string; vector: string; bits: string | null }>(
    `select v.text_hash as hash, c.context || c.text as text, (${embeddingSql(form, 'v')})::text as vector,
       ${hasBits ? 'v.bits::text' : 'null'} as bits
     from (
       select * from ${vectorsTable(generationId)}
       where text_hash > $2 and orphaned_at is null order by text_hash limit $3
     ) v
     cross join lateral (
       select context, text from millrace.chunks where generation_id = $1 and text_hash = v.text_hash limit 1
     ) c
     order by v.text_hash`,
    [generationId, page.after ?? Buffer.alloc(0), page.limit],
  )
  const texts = rows.map(({ text, vector, bits }) => {
    return { text, vector: Float32Array.from(JSON.parse(vector) as number[]), bits }
  })
  return { texts, last: rows.at(-1)?.hash ?? null }
}
