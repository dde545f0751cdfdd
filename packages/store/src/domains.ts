import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf } from '@millrace/errors'
import { and, asc, eq } from 'drizzle-orm'
import { type Db, one, type Session, type Tx } from './connect.js'
import { stopBuilding } from './indexes.js'
import { domains, generations, type LevelRow } from './schema.js'
import { createVectors, dropVectors } from './vectors.js'

/** A domain and the generation that its readers see. */
export interface DomainRow {
  readonly id: number
  readonly name: string
  readonly threshold: number | null
  readonly levels: readonly LevelRow[]
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly generationId: number
  readonly model: string
  readonly dims: number
  readonly recipe: Readonly<Record<string, unknown>>
  readonly recipeHash: string
  readonly storage: string
}

export interface NewDomain {
  readonly name: string
  readonly threshold: number | null
  readonly levels: readonly LevelRow[]
  readonly model: string
  readonly dims: number
  readonly recipe: Readonly<Record<string, unknown>>
  readonly recipeHash: string
}

const live = {
  id: domains.id,
  name: domains.name,
  threshold: domains.threshold,
  levels: domains.levels,
  createdAt: domains.createdAt,
  updatedAt: domains.updatedAt,
  generationId: generations.id,
  model: generations.model,
  dims: generations.dims,
  recipe: generations.recipe,
  recipeHash: generations.recipeHash,
  storage: generations.storage,
}
const isLive = and(eq(generations.domainId, domains.id), eq(generations.state, 'live'))

export const listDomains = (on: Session): Promise<DomainRow[]> =>
  on.orm.select(live).from(domains).innerJoin(generations, isLive).orderBy(asc(domains.name))

export async function getDomain(on: Session, name: string): Promise<DomainRow | undefined> {
  const found = await on.orm
    .select(live)
    .from(domains)
    .innerJoin(generations, isLive)
    .where(eq(domains.name, name))
  return found[0]
}

/** Writes the domain, its first generation, the table of its vectors and its view; undefined when it exists. */
export function insertDomain(db: Db, given: NewDomain): Promise<DomainRow | undefined> {
  return db.transact(async (tx) => {
    const inserted = await tx.orm
      .insert(domains)
      .values({ name: given.name, threshold: given.threshold, levels: given.levels })
      .onConflictDoNothing()
      .returning({ id: domains.id })
    const domain = inserted[0]
    if (domain === undefined) return undefined
    const generation = one(
      await tx.query<{ id: number }>(
        `insert into millrace.generations (domain_id, model, dims, recipe, recipe_hash, state)
         values ($1, $2, $3, $4, $5, 'live') returning id`,
        [domain.id, given.model, given.dims, JSON.stringify(given.recipe), given.recipeHash],
      ),
      'the new generation',
    )
    await createVectors(tx, generation.id, given.dims)
    await createView(tx, given.name, generation.id)
    return getDomain(tx, given.name)
  })
}

/** Undefined when there is no such domain; what is undefined in `change` stays. */
export async function updateDomain(
  db: Db,
  name: string,
  change: {
    readonly threshold?: number | null | undefined
    readonly levels?: readonly LevelRow[] | undefined
  },
): Promise<DomainRow | undefined> {
  await db.orm
    .update(domains)
    .set({
      ...(change.threshold === undefined ? {} : { threshold: change.threshold }),
      ...(change.levels === undefined ? {} : { levels: change.levels }),
      updatedAt: new Date(),
    })
    .where(eq(domains.name, name))
  return getDomain(db, name)
}

/** Somebody else has the row (55P03), or Postgres ended a circle of waiting (40P01). */
const BUSY = new Set(['55P03', '40P01'])
/** How long a domain may be too busy to be deleted, and the longest pause between two tries, in milliseconds. */
const DELETE_MS = 30_000
const PAUSE_MS = 200

/**
 * Removes a domain with everything in it; false when there was none. Its rows are taken when nobody has them rather
 * than waited for: whoever is writing vectors would have to wait behind this, holding counters that this needs.
 */
export async function deleteDomain(db: Db, name: string): Promise<boolean> {
  const end = performance.now() + DELETE_MS
  for (;;) {
    try {
      return await deleteOnce(db, name)
    } catch (error) {
      if (!BUSY.has(codeOf(error)) || performance.now() > end) throw error
      await sleep(PAUSE_MS * Math.random())
    }
  }
}

function deleteOnce(db: Db, name: string): Promise<boolean> {
  return db.transact(async (tx) => {
    const found = await tx.query<{ id: number }>(
      'select id from millrace.domains where name = $1 for update nowait',
      [name],
    )
    const domain = found[0]
    if (domain === undefined) return false
    // Whoever writes vectors holds its generation's row until the end of its transaction.
    const held = await tx.query<{ id: number }>(
      'select id from millrace.generations where domain_id = $1 order by id for update nowait',
      [domain.id],
    )
    await tx.query(`drop view if exists ${viewOf(name)}`)
    for (const { id } of held) {
      await stopBuilding(tx, id)
      await dropVectors(tx, id)
    }
    await tx.query('delete from millrace.generations where domain_id = $1', [domain.id])
    await tx.query('delete from millrace.documents where domain_id = $1', [domain.id])
    await tx.query('delete from millrace.domains where id = $1', [domain.id])
    return true
  })
}

const viewOf = (name: string) => `millrace_domains."${name.replaceAll('"', '""')}"`

/** Cast to `vector` without dims, so that `create or replace` survives a change of model and keeps grants. */
async function createView(tx: Tx, name: string, generationId: number): Promise<void> {
  await tx.query(`create or replace view ${viewOf(name)} as
    select d.external_id as document_id, c.ordinal as chunk, p.title, c.text, p.metadata,
      v.embedding::vector as embedding
    from millrace.vectors_${generationId} v
    join millrace.chunks c on c.generation_id = ${generationId} and c.text_hash = v.text_hash
    join millrace.published p
      on p.generation_id = ${generationId} and p.document_id = c.document_id and p.revision = c.revision
    join millrace.documents d on d.id = c.document_id`)
}

/** What the vectors of a generation are made with. */
export interface GenerationModel {
  readonly model: string
  readonly revision: string
  /** How the windows of a long text become one vector; null: as the model does it. */
  readonly pooling: 'mean' | 'max' | null
  /** What is kept of a text. */
  readonly outputs: readonly ('dense' | 'sparse' | 'colbert')[]
  /** What sparse is; null: not kept. */
  readonly lexical: 'learned' | 'bm25' | null
  /** Tokens of a chunk at most. */
  readonly chunkTokens: number | null
}

/** Undefined when the generation is gone. */
export async function generationModel(
  on: Session,
  generationId: number,
): Promise<GenerationModel | undefined> {
  const found = await on.query<GenerationModel>(
    `select model, recipe ->> 'revision' as revision, recipe -> 'chunking' ->> 'pooling' as pooling,
       outputs, lexical, (recipe -> 'chunking' ->> 'size')::integer as "chunkTokens"
     from millrace.generations where id = $1`,
    [generationId],
  )
  return found[0]
}
