import { toSql } from 'pgvector'
import type { Db, Session } from '../connect.js'
import { type BandChange, setBands } from '../domains.js'
import type { ScoreKind } from '../schema.js'
import { embeddingSql, type Form } from '../storage/form.js'
import { vectorsTable } from '../vectors.js'

/** A threshold or the beginning of a level, and what it is under another generation. */
export interface CarriedRow {
  readonly score: ScoreKind
  /** `threshold`, or `level:<key>`. */
  readonly item: string
  /** The generation that was live. */
  readonly fromGeneration: number
  /** What the new one belongs to, as that of a band. */
  readonly recipe: string
  readonly old: number
  /** Null: nothing means the same. */
  readonly new: number | null
  readonly low: number | null
  readonly high: number | null
  readonly method: 'golden' | 'unrelated' | 'extrapolated' | 'unchanged' | 'none'
  /** What it rests on. */
  readonly evidence: Readonly<Record<string, unknown>>
  readonly separates: boolean
  readonly sureness: 'high' | 'medium' | 'low'
  readonly why: string
  readonly state: 'proposed' | 'confirmed' | 'replaced'
  /** What a person took; null: none, or nobody did yet. */
  readonly decided: number | null
  readonly decidedAt: Date | null
  readonly madeAt: Date
}

export type NewCarried = Omit<CarriedRow, 'state' | 'decided' | 'decidedAt' | 'madeAt'>

/** A float as a person wrote it: real to double precision would show digits that nobody meant. */
const real = (column: string) => `c.${column}::text::double precision as ${column}`

export const listCarried = (on: Session, generationId: number): Promise<CarriedRow[]> =>
  on.query<CarriedRow>(
    `select c.score, c.item, c.from_generation as "fromGeneration", c.recipe, ${real('old')}, ${real('new')},
       ${real('low')}, ${real('high')}, c.method, c.evidence, c.separates, c.sureness, c.why, c.state,
       ${real('decided')}, c.decided_at as "decidedAt", c.made_at as "madeAt"
     from millrace.carried c where c.generation_id = $1 order by c.score, c.old desc, c.item`,
    [generationId],
  )

interface Of {
  readonly domainId: number
  readonly generationId: number
}

/**
 * Keeps what was measured, over what was before; what a person decided stays decided. False: the generation is not being
 * built any more.
 */
export function keepCarried(
  db: Db,
  { domainId, generationId }: Of,
  rows: readonly NewCarried[],
): Promise<boolean> {
  return db.transact(async (tx) => {
    if (!(await holdBuilding(tx, { domainId, generationId }))) return false
    await tx.query(
      `delete from millrace.carried where generation_id = $1 and state = 'proposed'
         and not exists (select 1 from jsonb_to_recordset($2) as n (score text, item text)
           where n.score = carried.score and n.item = carried.item)`,
      [generationId, JSON.stringify(rows)],
    )
    await tx.query(
      `insert into millrace.carried as c (domain_id, generation_id, score, item, from_generation, recipe, old, new, low,
         high, method, evidence, separates, sureness, why)
       select $1, $2, n.score, n.item, n."fromGeneration", n.recipe, n.old, n.new, n.low, n.high, n.method, n.evidence,
         n.separates, n.sureness, n.why
       from jsonb_to_recordset($3) as n (score text, item text, "fromGeneration" bigint, recipe text, old real, new real,
         low real, high real, method text, evidence jsonb, separates boolean, sureness text, why text)
       on conflict (generation_id, score, item) do update set
         from_generation = excluded.from_generation, recipe = excluded.recipe, old = excluded.old, new = excluded.new,
         low = excluded.low, high = excluded.high, method = excluded.method, evidence = excluded.evidence,
         separates = excluded.separates, sureness = excluded.sureness, why = excluded.why, made_at = now()`,
      [domainId, generationId, JSON.stringify(rows)],
    )
    return true
  })
}

/** What a person decided of one item. */
export interface CarriedDecision {
  readonly score: ScoreKind
  readonly item: string
  readonly state: 'confirmed' | 'replaced'
  readonly decided: number | null
}

/** Writes the thresholds and levels that hold from the switch on. False: the generation is not being built any more. */
export function decideCarried(
  db: Db,
  { domainId, generationId }: Of,
  bands: readonly BandChange[],
  decisions: readonly CarriedDecision[],
): Promise<boolean> {
  return db.transact(async (tx) => {
    if (!(await holdBuilding(tx, { domainId, generationId }))) return false
    await setBands(tx, domainId, bands)
    await tx.query(
      `update millrace.carried c set state = n.state, decided = n.decided, decided_at = now()
       from jsonb_to_recordset($2) as n (score text, item text, state text, decided real)
       where c.generation_id = $1 and c.score = n.score and c.item = n.item`,
      [generationId, JSON.stringify(decisions)],
    )
    return true
  })
}

/** A switch waits, or has been. */
async function holdBuilding(on: Session, { domainId, generationId }: Of): Promise<boolean> {
  const held = await on.query(
    `select 1 from millrace.generations where domain_id = $1 and id = $2 and state = 'building' for key share`,
    [domainId, generationId],
  )
  return held.length > 0
}

export interface SharedDocument {
  readonly id: number
  readonly externalId: string
}

/** Documents that are passed over at a place, for each that is wanted, where the other generation does not have them. */
const PASSED_OVER = 10

/**
 * Documents that readers of both generations see: `each` from the first one on at each place, 0 to 1 of the way through
 * those of the first generation. As much is read as is asked for, whatever there is.
 * @param one the one that may lack most of what the other has
 */
export const sharedDocuments = (
  on: Session,
  [one, other]: readonly [number, number],
  places: readonly number[],
  each: number,
): Promise<SharedDocument[]> =>
  on.query<SharedDocument>(
    `with ends as (
       select (select document_id from millrace.published where generation_id = $1 order by document_id limit 1) as least,
         (select document_id from millrace.published where generation_id = $1 order by document_id desc limit 1) as most
     )
     select distinct d.id, d.external_id as "externalId"
     from ends
     cross join unnest($3::float8[]) as u (place)
     cross join lateral (
       select near.document_id
       from (
         select p.document_id from millrace.published p
         where p.generation_id = $1 and p.document_id >= least + floor(u.place * (most - least + 1))::bigint
         order by p.document_id limit $4 * ${PASSED_OVER}
       ) near
       where exists (
         select 1 from millrace.published q where q.generation_id = $2 and q.document_id = near.document_id
       )
       order by near.document_id limit $4
     ) found
     join millrace.documents d on d.id = found.document_id
     order by d.id`,
    [one, other, places, each],
  )

/** Two documents, and which passage of each: 0 to 1 of the way through it. */
export interface DocumentPair {
  readonly a: number
  readonly b: number
  readonly atA: number
  readonly atB: number
}

const passageOf = (document: string, at: string, generationId: number, form: Form) => `(
  select ${embeddingSql(form, 'v')} as embedding, v.text_hash
  from millrace.published p
  cross join lateral (
    select c.text_hash from millrace.chunks c
    where c.document_id = p.document_id and c.generation_id = p.generation_id and c.revision = p.revision
    order by c.ordinal
    offset (select floor(${at} * count(*))::int from millrace.chunks n
      where n.document_id = p.document_id and n.generation_id = p.generation_id and n.revision = p.revision)
    limit 1
  ) c
  join ${vectorsTable(generationId)} v on v.text_hash = c.text_hash
  where p.generation_id = ${Number(generationId)} and p.document_id = ${document}
)`

/** The cosine of a passage of each of two documents, in order; null where one has none, or both are one text. */
export async function passagePairs(
  on: Session,
  { generationId, ...form }: Form & { readonly generationId: number },
  pairs: readonly DocumentPair[],
): Promise<(number | null)[]> {
  const rows = await on.query<{ n: number; similarity: number }>(
    `select u.n::int as n, greatest(-1, least(1, 1 - (a.embedding <=> b.embedding)))::float8 as similarity
     from unnest($1::bigint[], $2::bigint[], $3::float8[], $4::float8[]) with ordinality as u (a, b, at_a, at_b, n)
     cross join lateral ${passageOf('u.a', 'u.at_a', generationId, form)} a
     cross join lateral ${passageOf('u.b', 'u.at_b', generationId, form)} b
     where a.text_hash <> b.text_hash`,
    [
      pairs.map(({ a }) => a),
      pairs.map(({ b }) => b),
      pairs.map(({ atA }) => atA),
      pairs.map(({ atB }) => atB),
    ],
  )
  const found = new Map(rows.map(({ n, similarity }) => [n, similarity]))
  return pairs.map((_, n) => found.get(n + 1) ?? null)
}

/** A question by its place, a document, and which passage of it: 0 to 1 of the way through it. */
export interface QuestionPair {
  readonly question: number
  readonly document: number
  readonly at: number
}

/** The cosine of a question and a passage of a document, in order; null where it has none. */
export async function questionPairs(
  on: Session,
  { generationId, ...form }: Form & { readonly generationId: number },
  questions: readonly Float32Array[],
  pairs: readonly QuestionPair[],
): Promise<(number | null)[]> {
  const used = [...new Set(pairs.map(({ question }) => question))]
  const rows = await on.query<{ n: number; similarity: number }>(
    `select u.n::int as n, greatest(-1, least(1, 1 - (p.embedding <=> q.vector)))::float8 as similarity
     from unnest($1::int[], $2::bigint[], $3::float8[]) with ordinality as u (question, document, at, n)
     join unnest($4::int[], $5::text[]::vector[]) as q (place, vector) on q.place = u.question
     cross join lateral ${passageOf('u.document', 'u.at', generationId, form)} p`,
    [
      pairs.map(({ question }) => question),
      pairs.map(({ document }) => document),
      pairs.map(({ at }) => at),
      used,
      used.map((place) => toSql(Array.from(questions[place] ?? []))),
    ],
  )
  const found = new Map(rows.map(({ n, similarity }) => [n, similarity]))
  return pairs.map((_, n) => found.get(n + 1) ?? null)
}

/** A text that was asked, and the document that was found first; null: none was, or it is not kept. */
export interface AskedText {
  readonly text: string
  readonly first: string | null
}

/** Rows of the log that are looked at for each text that is wanted: the same is asked again and again. */
const LOOKED_AT = 20

/** Different texts that were asked of a domain lately, the newest first. As much is read as is asked for, whatever there is. */
export const askedTexts = (on: Session, domainId: number, limit: number): Promise<AskedText[]> =>
  on.query<AskedText>(
    `select query as text, top -> 0 ->> 'documentId' as first from (
       select distinct on (query_hash) id, query, top from (
         select id, query_hash, query, top from millrace.queries
         where domain_id = $1 order by id desc limit $2 * ${LOOKED_AT}
       ) lately
       where query is not null order by query_hash, id desc
     ) q order by id desc limit $2`,
    [domainId, limit],
  )

/** Chunks at the beginning of a document that may stand under a heading. */
const HEADED = 3

/** The beginning of the title of each document, else of its first heading path, in order; null of one without either. */
export async function titlesOf(
  on: Session,
  generationId: number,
  documents: readonly number[],
  chars: number,
): Promise<(string | null)[]> {
  const rows = await on.query<{ n: number; title: string | null }>(
    `select u.n::int as n, left(coalesce(nullif(btrim(p.title), ''), headed.path), $3) as title
     from unnest($2::bigint[]) with ordinality as u (id, n)
     join millrace.published p on p.generation_id = $1 and p.document_id = u.id
     left join lateral (
       select array_to_string(first.headings, ' ') as path from (
         select c.headings, c.ordinal from millrace.chunks c
         where c.document_id = p.document_id and c.generation_id = $1 and c.revision = p.revision
         order by c.ordinal limit ${HEADED}
       ) first
       where cardinality(first.headings) > 0 order by first.ordinal limit 1
     ) headed on true`,
    [generationId, documents, chars],
  )
  const found = new Map(rows.map(({ n, title }) => [n, title]))
  return documents.map((_, n) => found.get(n + 1) ?? null)
}

/** The beginning of the first passage of each document, in order; null of one without any. */
export async function firstTexts(
  on: Session,
  generationId: number,
  documents: readonly number[],
  chars: number,
): Promise<(string | null)[]> {
  const rows = await on.query<{ n: number; text: string }>(
    `select u.n::int as n, first.text
     from unnest($2::bigint[]) with ordinality as u (id, n)
     join millrace.published p on p.generation_id = $1 and p.document_id = u.id
     cross join lateral (
       select left(c.text, $3) as text from millrace.chunks c
       where c.document_id = p.document_id and c.generation_id = $1 and c.revision = p.revision
       order by c.ordinal limit 1
     ) first`,
    [generationId, documents, chars],
  )
  const found = new Map(rows.map(({ n, text }) => [n, text]))
  return documents.map((_, n) => found.get(n + 1) ?? null)
}
