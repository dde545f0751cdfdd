import { CodedError } from '@millrace/errors'
import { type Db, one, type Session, type Tx } from '../connect.js'
import { type BandRow, deleteWhere, makeDomain, type NewDomain, setBands, showDomain } from '../domains.js'
import type { Form } from '../storage/form.js'
import { sealIngestion } from '../streams.js'

/** How long an import may be silent before the sweep takes its sender for gone, in seconds. */
export const IMPORT_SECONDS = 120

/** A domain that nobody sees yet, and what arrives for it. */
export interface StartedImport {
  readonly name: string
  readonly domainId: number
  readonly generationId: number
  readonly ingestionId: number
  readonly form: Form
}

export interface ImportedDomain extends Omit<NewDomain, 'threshold' | 'levels' | 'chosen' | 'bands'> {
  readonly bands: readonly BandRow[]
}

/** Begins an import; undefined when there is a domain of that name, or one that is being imported. */
export function beginImport(db: Db, given: ImportedDomain): Promise<StartedImport | undefined> {
  return db.transact(async (tx) => {
    const { bands, ...domain } = given
    const made = await makeDomain(tx, domain, 'importing')
    if (made === undefined) return undefined
    if (bands.length > 0) await setBands(tx, made.id, bands)
    const ingestion = one(
      await tx.query<{ id: number }>('insert into millrace.ingestions (domain_id) values ($1) returning id', [
        made.id,
      ]),
      'the ingestion of an import',
    )
    const to: StartedImport = {
      name: given.name,
      domainId: made.id,
      generationId: made.generationId,
      ingestionId: ingestion.id,
      form: { storage: given.storage ?? 'full', dims: given.dims },
    }
    await tx.query(
      'update millrace.domains set importing_until = now() + make_interval(secs => $2) where id = $1',
      [made.id, IMPORT_SECONDS],
    )
    return to
  })
}

/** Holds the domain until the end of the transaction, and says that somebody is still at it. @throws IMPORT_ENDED */
export async function rememberImport(tx: Tx, { domainId, name }: StartedImport): Promise<void> {
  const held = await tx.query(
    `update millrace.domains set importing_until = now() + make_interval(secs => $2)
     where id = $1 and importing_until is not null returning 1`,
    [domainId, IMPORT_SECONDS],
  )
  if (held.length > 0) return
  throw new CodedError('IMPORT_ENDED', `The import of "${name}" was ended before it was whole`, {
    hint: `It was deleted, or nothing arrived for ${IMPORT_SECONDS} seconds: import it again`,
    details: { domain: name },
  })
}

export interface Arrived {
  readonly chunks: number
  readonly tokens: number
}

/**
 * The domain is whole, and everybody sees it from now on. Documents that are to be prepared are free to be taken.
 * @throws CodedError IMPORT_ENDED
 */
export function finishImport(
  db: Db,
  to: StartedImport,
  domain: ImportedDomain,
  arrived: Arrived,
): Promise<void> {
  return db.transact(async (tx) => {
    await rememberImport(tx, to)
    await tx.query(`update millrace.generations set state = 'live', live_since = now() where id = $1`, [
      to.generationId,
    ])
    await showDomain(tx, to.name, to.generationId, domain)
    await tx.query(
      `update millrace.documents set leased_until = '-infinity'
       where ingestion_id = $1 and state in ('received', 'preparing', 'embedding')`,
      [to.ingestionId],
    )
    await tx.query(
      'update millrace.ingestions set chunks = $2, chunks_reused = $2, tokens = $3 where id = $1',
      [to.ingestionId, arrived.chunks, arrived.tokens],
    )
    await sealIngestion(tx, to.ingestionId)
    await tx.query('update millrace.domains set importing_until = null where id = $1', [to.domainId])
  })
}

/** Removes what arrived of an import that will not be whole; nothing when it is, or is gone. */
export const dropImport = (db: Db, { domainId }: Pick<StartedImport, 'domainId'>): Promise<boolean> =>
  deleteWhere(db, 'id = $1 and importing_until is not null', [domainId])

/** Imports whose sender is gone; returns how many went. One of this name alone, if there is one. */
export async function dropLostImports(db: Db, name: string | null = null): Promise<number> {
  const lost = await db.query<{ id: number }>(
    'select id from millrace.domains where importing_until < now() and ($1::text is null or name = $1) order by id',
    [name],
  )
  let gone = 0
  // A few at most: each is one that somebody began and left.
  for (const { id } of lost) {
    const dropped = await deleteWhere(db, 'id = $1 and importing_until < now()', [id])
    if (dropped) gone++
  }
  return gone
}

/** Whether a domain of this name is being imported. */
export async function isImporting(on: Session, name: string): Promise<boolean> {
  const found = await on.query(
    'select 1 from millrace.domains where name = $1 and importing_until is not null',
    [name],
  )
  return found.length > 0
}
