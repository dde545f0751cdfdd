import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf } from '@millrace/errors'
import { createColbert, dropColbert } from './colbert.js'
import { type Db, one, type Session, type Tx } from './connect.js'
import { stopBuilding } from './indexes.js'
import type {
  CountedWords,
  GenerationState,
  LevelRow,
  Lexical,
  ScoreKind,
  SearchSettings,
  StorageForm,
  TextOutput,
} from './schema.js'
import { embeddingSql, type Form } from './storage/form.js'
import { createTerms, dropTerms, termsTable } from './terms.js'
import { createVectors, dropVectors, vectorsTable } from './vectors.js'

/** A threshold and levels, and what they were set for. */
export interface BandRow {
  readonly score: ScoreKind
  /** The hash of a generation's recipe; of `rerank`: the reranker, as model@revision. */
  readonly recipe: string
  readonly threshold: number | null
  readonly levels: readonly LevelRow[] | null
  /** By a person; false: the model's defaults. */
  readonly chosen: boolean
}

export interface IndexSettings {
  /** Neighbours of a vector in the graph. */
  readonly m: number
  /** Candidates looked at for each vector while it is built. */
  readonly efConstruction: number
}

/** A domain and one of its generations: the one that its readers see unless another was asked for. */
export interface DomainRow {
  readonly id: number
  readonly name: string
  /** Of dense scores, under the generation's recipe. */
  readonly threshold: number | null
  readonly levels: readonly LevelRow[]
  /** Of every kind of score, those of other recipes too. */
  readonly bands: readonly BandRow[]
  readonly search: SearchSettings
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly generationId: number
  readonly generationState: GenerationState
  readonly model: string
  readonly dims: number
  readonly recipe: Readonly<Record<string, unknown>>
  readonly recipeHash: string
  readonly storage: StorageForm
  readonly outputs: readonly TextOutput[]
  readonly lexical: Lexical | null
  readonly counted: CountedWords
  readonly index: IndexSettings
}

export interface NewDomain {
  readonly name: string
  readonly threshold: number | null
  readonly levels: readonly LevelRow[]
  /** Whether a person chose the threshold or the levels. Default true. */
  readonly chosen?: boolean
  /** Of other kinds of scores than dense. Default none. */
  readonly bands?: readonly Omit<BandRow, 'chosen'>[]
  readonly search?: SearchSettings
  readonly model: string
  readonly dims: number
  readonly recipe: Readonly<Record<string, unknown>>
  readonly recipeHash: string
  /** Default full. */
  readonly storage?: StorageForm
  /** Default dense alone. */
  readonly outputs?: readonly TextOutput[]
  readonly lexical?: Lexical | null
  /** Default terms. */
  readonly counted?: CountedWords
  /** Default pgvector's: 16 and 64. */
  readonly index?: IndexSettings
}

const WITH_GENERATION = `
  select d.id, d.name, d.search, d.created_at as "createdAt", d.updated_at as "updatedAt", g.id as "generationId",
    g.state as "generationState", g.model, g.dims, g.recipe, g.recipe_hash as "recipeHash", g.storage, g.outputs, g.lexical, g.counted,
    jsonb_build_object('m', g.index_m, 'efConstruction', g.index_ef_construction) as index,
    coalesce((
      select jsonb_agg(jsonb_build_object('score', b.score, 'recipe', b.recipe, 'threshold', b.threshold,
        'levels', b.levels, 'chosen', b.chosen) order by b.score, b.set_at)
      from millrace.bands b where b.domain_id = d.id
    ), '[]') as bands
  from millrace.domains d join millrace.generations g on g.domain_id = d.id`
const LIVE = `${WITH_GENERATION} and g.state = 'live'`

type LiveRow = Omit<DomainRow, 'threshold' | 'levels'>

const withDense = (row: LiveRow): DomainRow => {
  const band = row.bands.find(({ score, recipe }) => score === 'dense' && recipe === row.recipeHash)
  return { ...row, threshold: band?.threshold ?? null, levels: band?.levels ?? [] }
}

export const listDomains = async (on: Session): Promise<DomainRow[]> =>
  (await on.query<LiveRow>(`${LIVE} order by d.name`)).map(withDense)

export async function getDomain(on: Session, name: string): Promise<DomainRow | undefined> {
  const found = await on.query<LiveRow>(`${LIVE} where d.name = $1`, [name])
  return found.map(withDense)[0]
}

/** With another generation than the live one; undefined when the domain has no such one with rows to read. */
export async function getDomainAt(
  on: Session,
  name: string,
  generationId: number,
): Promise<DomainRow | undefined> {
  const found = await on.query<LiveRow>(
    `${WITH_GENERATION} where d.name = $1 and g.id = $2 and g.state in ('live', 'building', 'retired')`,
    [name, generationId],
  )
  return found.map(withDense)[0]
}

/** Writes the domain, its first generation, the table of its vectors and its view; undefined when it exists. */
export function insertDomain(db: Db, given: NewDomain): Promise<DomainRow | undefined> {
  return db.transact(async (tx) => {
    const made = await makeDomain(tx, given, 'live')
    if (made === undefined) return undefined
    const { threshold, levels, chosen = true } = given
    await setBands(tx, made.id, [
      { score: 'dense', recipe: given.recipeHash, threshold, levels, chosen },
      ...(given.bands ?? []).map((band) => ({ ...band, chosen: true })),
    ])
    await showDomain(tx, given.name, made.generationId, given)
    return getDomain(tx, given.name)
  })
}

/** A domain and its first generation, with the tables of that; undefined when it exists. It has no view and no bands. */
export async function makeDomain(
  tx: Tx,
  given: Omit<NewDomain, 'threshold' | 'levels' | 'bands'>,
  state: GenerationState,
): Promise<{ readonly id: number; readonly generationId: number } | undefined> {
  const { index = { m: 16, efConstruction: 64 }, storage = 'full', outputs = ['dense'] } = given
  const inserted = await tx.query<{ id: number }>(
    `insert into millrace.domains (name, search) values ($1, $2) on conflict do nothing returning id`,
    [given.name, JSON.stringify(given.search ?? {})],
  )
  const domain = inserted[0]
  if (domain === undefined) return undefined
  const generation = one(
    await tx.query<{ id: number }>(
      `insert into millrace.generations
           (domain_id, model, dims, recipe, recipe_hash, state, storage, outputs, lexical, index_m, index_ef_construction,
            counted, live_since)
         values ($1, $2, $3, $4, $5, $12, $6, $7, $8, $9, $10, $11, case $12 when 'live' then now() end) returning id`,
      [
        domain.id,
        given.model,
        given.dims,
        JSON.stringify(given.recipe),
        given.recipeHash,
        storage,
        outputs,
        given.lexical ?? null,
        index.m,
        index.efConstruction,
        given.counted ?? 'terms',
        state,
      ],
    ),
    'the new generation',
  )
  const form = { storage, dims: given.dims }
  await createVectors(tx, generation.id, form)
  if (outputs.includes('sparse')) await createTerms(tx, generation.id)
  if (outputs.includes('colbert')) await createColbert(tx, generation.id)
  return { id: domain.id, generationId: generation.id }
}

/** The view of a domain, and whoever reads in SQL may read it and what it is of. */
export async function showDomain(
  tx: Tx,
  name: string,
  generationId: number,
  { dims, storage = 'full', outputs = ['dense'] }: Pick<NewDomain, 'dims' | 'storage' | 'outputs'>,
): Promise<void> {
  await createView(tx, name, generationId, { storage, dims })
  const made = [vectorsTable(generationId), viewOf(name)]
  if (outputs.includes('sparse')) made.push(termsTable(generationId))
  await tx.query('select millrace.show_to_readers(name::regclass) from unnest($1::text[]) as u (name)', [
    made,
  ])
}

/** What is undefined stays. */
export interface BandChange {
  readonly score: ScoreKind
  readonly recipe: string
  readonly threshold?: number | null | undefined
  readonly levels?: readonly LevelRow[] | null | undefined
  readonly chosen: boolean
}

export async function setBands(on: Session, domainId: number, bands: readonly BandChange[]): Promise<void> {
  if (bands.length === 0) return
  await on.query(
    `insert into millrace.bands as b (domain_id, score, recipe, threshold, levels, chosen)
     select $1, n.score, n.recipe, n.threshold, n.levels, n.chosen
     from jsonb_to_recordset($2) as n (score text, recipe text, threshold real, levels jsonb, chosen boolean)
     on conflict (domain_id, score, recipe) do update set
       threshold = case when (select e ? 'threshold' from jsonb_array_elements($2) e
         where e ->> 'score' = excluded.score and e ->> 'recipe' = excluded.recipe) then excluded.threshold else b.threshold end,
       levels = case when (select e ? 'levels' from jsonb_array_elements($2) e
         where e ->> 'score' = excluded.score and e ->> 'recipe' = excluded.recipe) then excluded.levels else b.levels end,
       chosen = excluded.chosen, set_at = now()`,
    [domainId, JSON.stringify(bands)],
  )
}

/** Undefined when there is no such domain; what is undefined in `change` stays. */
export function updateDomain(
  db: Db,
  name: string,
  change: {
    readonly bands?: readonly BandChange[] | undefined
    readonly search?: SearchSettings | undefined
    /** Another one than the index has been built with: the next builder makes it anew. */
    readonly index?: IndexSettings | undefined
  },
): Promise<DomainRow | undefined> {
  return db.transact(async (tx) => {
    const found = await tx.query<{ id: number }>(
      `update millrace.domains set search = coalesce($2, search), updated_at = now() where name = $1 returning id`,
      [name, change.search === undefined ? null : JSON.stringify(change.search)],
    )
    const domain = found[0]
    if (domain === undefined) return undefined
    await setBands(tx, domain.id, change.bands ?? [])
    if (change.index !== undefined) {
      await tx.query(
        `update millrace.generations set index_m = $2, index_ef_construction = $3 where domain_id = $1 and state = 'live'`,
        [domain.id, change.index.m, change.index.efConstruction],
      )
    }
    return getDomain(tx, name)
  })
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
export const deleteDomain = (db: Db, name: string): Promise<boolean> => deleteWhere(db, 'name = $1', [name])

/** The same for a domain that is one only if `condition` holds of its row. */
export async function deleteWhere(db: Db, condition: string, values: readonly unknown[]): Promise<boolean> {
  const end = performance.now() + DELETE_MS
  for (;;) {
    try {
      return await deleteOnce(db, condition, values)
    } catch (error) {
      if (!BUSY.has(codeOf(error)) || performance.now() > end) throw error
      await sleep(PAUSE_MS * Math.random())
    }
  }
}

function deleteOnce(db: Db, condition: string, values: readonly unknown[]): Promise<boolean> {
  return db.transact(async (tx) => {
    const found = await tx.query<{ id: number; name: string }>(
      `select id, name from millrace.domains where ${condition} for update nowait`,
      values,
    )
    const domain = found[0]
    if (domain === undefined) return false
    // Whoever writes vectors holds its generation's row until the end of its transaction.
    const held = await tx.query<{ id: number }>(
      'select id from millrace.generations where domain_id = $1 order by id for update nowait',
      [domain.id],
    )
    await tx.query(`drop view if exists ${viewOf(domain.name)}`)
    for (const { id } of held) {
      await stopBuilding(tx, id)
      await dropVectors(tx, id)
      await dropTerms(tx, id)
      await dropColbert(tx, id)
    }
    await tx.query('delete from millrace.generations where domain_id = $1', [domain.id])
    await tx.query('delete from millrace.documents where domain_id = $1', [domain.id])
    await tx.query('delete from millrace.domains where id = $1', [domain.id])
    return true
  })
}

export const viewOf = (name: string) => `millrace_domains."${name.replaceAll('"', '""')}"`

/** Cast to `vector` without dims, so that `create or replace` survives a change of model and keeps grants. */
export async function createView(tx: Tx, name: string, generationId: number, form: Form): Promise<void> {
  await tx.query(`create or replace view ${viewOf(name)} as
    select d.external_id as document_id, c.ordinal as chunk, p.title, c.text, p.metadata,
      ${embeddingSql(form, 'v')} as embedding
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
  readonly outputs: readonly TextOutput[]
  /** What sparse is; null: not kept. */
  readonly lexical: Lexical | null
  readonly counted: CountedWords
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
       outputs, lexical, counted, (recipe -> 'chunking' ->> 'size')::integer as "chunkTokens"
     from millrace.generations where id = $1`,
    [generationId],
  )
  return found[0]
}
