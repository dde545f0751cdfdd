import type { Db } from '../connect.js'

/** Documents in one transaction. */
const SLICE = 1_000

/** Live generations whose documents do not all say yet what they are in them. */
export const listUnsettled = async (db: Db): Promise<number[]> =>
  (
    await db.query<{ id: number }>(
      `select id from millrace.generations where state = 'live' and filled_at is not null order by id`,
    )
  ).map(({ id }) => id)

/**
 * A document says how many chunks and tokens it has in the live generation. After a switch that is brought up to date
 * behind it, a slice at a time; what was kept of its way there goes. How far it came stands in the generation. False once
 * there is nothing left, or it is not live any more.
 */
export function settleSlice(db: Db, generationId: number): Promise<boolean> {
  return db.transact(
    async (tx) => {
      const live = await tx.query<{ domain: number; after: number }>(
        `select domain_id as domain, filled_after as after from millrace.generations
         where id = $1 and state = 'live' and filled_at is not null for key share`,
        [generationId],
      )
      const at = live[0]
      if (at === undefined) return false
      const slice = await tx.query<{ id: number }>(
        `select id from millrace.documents where domain_id = $1 and id > $2 order by id limit $3 for no key update`,
        [at.domain, at.after, SLICE],
      )
      const ids = slice.map(({ id }) => id)
      await tx.query(
        `update millrace.documents d set chunks = c.chunks, tokens = c.tokens
         from (
           select u.id, count(k.document_id)::int as chunks, coalesce(sum(k.tokens), 0)::int8 as tokens
           from unnest($2::bigint[]) as u (id)
           join millrace.published p on p.generation_id = $1 and p.document_id = u.id
           left join millrace.chunks k
             on k.document_id = u.id and k.generation_id = $1 and k.revision = p.revision
           group by 1
         ) c
         where d.id = c.id and d.state = 'ready' and (d.chunks, d.tokens) is distinct from (c.chunks, c.tokens)`,
        [generationId, ids],
      )
      await tx.query(
        'delete from millrace.generation_documents where generation_id = $1 and document_id = any($2)',
        [generationId, ids],
      )
      const last = ids.at(-1)
      await tx.query(
        `update millrace.generations set
           filled_after = greatest(filled_after, coalesce($2, 0)),
           filled_at = case when $3 then null else filled_at end
         where id = $1`,
        [generationId, last ?? null, ids.length < SLICE],
      )
      return ids.length === SLICE
    },
    { durable: false },
  )
}
