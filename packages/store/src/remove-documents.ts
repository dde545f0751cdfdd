import type { Db, Tx } from './connect.js'
import { type HeldGeneration, keepGenerations } from './generations/hold.js'
import { markOrphans } from './vectors.js'

/**
 * Deletes documents that the caller holds, and marks the vectors that nobody uses any more. The caller has kept the
 * generations of their domain first: none of their tables goes meanwhile.
 */
export async function removeDocuments(
  tx: Tx,
  kept: readonly HeldGeneration[],
  ids: readonly number[],
): Promise<void> {
  const used = await tx.query<{ generation_id: number; hashes: Buffer[] }>(
    `select generation_id, array_agg(distinct text_hash) as hashes
     from millrace.chunks where document_id = any($1) and generation_id = any($2) group by 1`,
    [ids, kept.map(({ id }) => id)],
  )
  await tx.query('delete from millrace.documents where id = any($1)', [ids])
  for (const { generation_id, hashes } of used) await markOrphans(tx, generation_id, hashes)
}

/** Removes a document from every answer at once; its vectors are marked when nobody else uses them. */
export function deleteDocument(db: Db, domainId: number, externalId: string): Promise<boolean> {
  return db.transact(async (tx) => {
    const kept = await keepGenerations(tx, domainId)
    const found = await tx.query<{ id: number }>(
      'select id from millrace.documents where domain_id = $1 and external_id = $2 for update',
      [domainId, externalId],
    )
    const document = found[0]
    if (document === undefined) return false
    await removeDocuments(tx, kept, [document.id])
    return true
  })
}
