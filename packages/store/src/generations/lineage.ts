import type { Session } from '../connect.js'
import type { StorageForm } from '../schema.js'

/**
 * The forms that vectors of these generations came through, by generation: of each one that they were copied from, and
 * that those were copied from, as far back as texts were. Rows stay when a generation ends, so the whole way is known.
 */
export async function formsBehind(
  on: Session,
  ids: readonly number[],
): Promise<ReadonlyMap<number, readonly StorageForm[]>> {
  if (ids.length === 0) return new Map()
  const rows = await on.query<{ id: number; forms: StorageForm[] }>(
    `with recursive way as (
       select g.id as of, g.storage, g.copies_from as next, true as is_own, g.state = 'building' or g.texts_copied > 0 as is_copy
       from millrace.generations g where g.id = any($1)
       union all
       select w.of, g.storage, g.copies_from, false, g.texts_copied > 0
       from way w join millrace.generations g on g.id = w.next
       where w.is_copy
     )
     select of as id, jsonb_agg(distinct storage) as forms from way where not is_own group by of`,
    [ids],
  )
  return new Map(rows.map(({ id, forms }) => [id, forms]))
}
