import type { Db, Session } from './connect.js'

/** Work whose statements end by themselves after so long, with the code 57014; on PGlite, which nobody can interrupt, not. */
export async function timed<T>(db: Db, ms: number, work: (on: Session) => Promise<T>): Promise<T> {
  if (db.kind === 'embedded') return work(db)
  return db.transact(async (tx) => {
    await tx.query(`set local statement_timeout = ${Math.max(1, Math.ceil(ms))}`)
    return work(tx)
  })
}
