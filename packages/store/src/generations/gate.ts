import type { Db, Session } from '../connect.js'
import { addRun, type Instead, type NewRun, type RunRow } from '../golden-runs.js'
import { vectorsTable } from '../vectors.js'

/** What a gate's verdict rests on: as long as none of it changes, it stays. */
export interface GateFacts {
  /** Of the golden set. */
  readonly questions: number
  /** Of its questions and what they expect. */
  readonly goldenHash: string
  /** What readers of each generation have, in the order that was asked for. */
  readonly published: readonly Published[]
}
export interface Published {
  readonly documents: number
  /** Of all of them: it moves when one is replaced. */
  readonly revisions: number
}

export async function gateFacts(
  on: Session,
  domainId: number,
  generations: readonly number[],
): Promise<GateFacts> {
  const sets = await on.query<{ questions: number; hash: string }>(
    `select count(*)::int as questions,
       md5(coalesce(string_agg(encode(question_hash, 'hex') || documents::text, ',' order by question_hash), '')) as hash
     from millrace.golden where domain_id = $1`,
    [domainId],
  )
  const published = await on.query<Published>(
    `select count(p.document_id)::int as documents, coalesce(sum(p.revision), 0)::int8 as revisions
     from unnest($1::bigint[]) with ordinality as g (id, n)
     left join millrace.published p on p.generation_id = g.id
     group by g.n order by g.n`,
    [generations],
  )
  return { questions: sets[0]?.questions ?? 0, goldenHash: sets[0]?.hash ?? '', published }
}

/** A gate's report as it is kept. */
export type Gated = Readonly<Record<string, unknown>>

interface Of {
  readonly domainId: number
  readonly generationId: number
}

/**
 * Begins the runs of a gate and says in the generation's row that they are under way. `busy`: others are; undefined: the
 * domain is gone, or the generation is none to switch to any more.
 */
export function beginGate(
  db: Db,
  { domainId, generationId }: Of,
  runs: readonly NewRun[],
  gatedOf: (begun: readonly RunRow[]) => Gated,
): Promise<readonly RunRow[] | 'busy' | undefined> {
  return db.transact(async (tx) => {
    const held = await tx.query<{ gated: { state?: string; runs?: Record<string, string> } | null }>(
      `select gated from millrace.generations
       where domain_id = $1 and id = $2 and state in ('building', 'retired') for no key update`,
      [domainId, generationId],
    )
    const [row] = held
    if (row === undefined) return undefined
    if (row.gated?.state === 'running') {
      const open = await tx.query(
        `select 1 from millrace.golden_runs where domain_id = $1 and id::text = any($2) and state = 'running'`,
        [domainId, Object.values(row.gated.runs ?? {})],
      )
      if (open.length > 0) return 'busy'
    }
    const begun: RunRow[] = []
    for (const run of runs) {
      const made = await addRun(tx, run)
      if (made === undefined) return undefined
      begun.push(made)
    }
    await tx.query('update millrace.generations set gated = $2 where id = $1', [
      generationId,
      JSON.stringify(gatedOf(begun)),
    ])
    return begun
  })
}

/** Keeps a report, unless runs that began after it are under way. */
export async function keepGated(on: Session, { domainId, generationId }: Of, gated: Gated): Promise<void> {
  await on.query(
    `update millrace.generations set gated = $3::jsonb
     where domain_id = $1 and id = $2
       and (gated is null or gated ->> 'state' <> 'running' or gated ->> 'startedAt' <= $3::jsonb ->> 'startedAt')`,
    [domainId, generationId, JSON.stringify(gated)],
  )
}

/** The first hits of some questions of a run, where they did not begin with what was expected; by their id. */
export async function topsOf(
  on: Session,
  runId: number,
  ids: readonly string[],
): Promise<Map<string, readonly Instead[]>> {
  const rows = await on.query<{ id: string; top: readonly Instead[] }>(
    `select external_id as id, top from millrace.golden_results
     where run_id = $1 and external_id = any($2) and top is not null`,
    [runId, ids],
  )
  return new Map(rows.map(({ id, top }) => [id, top]))
}

/** Vectors that are looked at for each text that is wanted: some are of texts that no reader sees. */
const LOOKED_AT = 4

/**
 * The beginnings of texts that readers of a generation see, as a sample that stays the same: the first by their hashes,
 * which say nothing of what is in them.
 */
export async function sampleTexts(
  on: Session,
  generationId: number,
  { limit, chars }: { readonly limit: number; readonly chars: number },
): Promise<string[]> {
  const rows = await on.query<{ text: string }>(
    `select text from (
       select distinct on (c.text_hash) c.text_hash, left(c.text, $3) as text
       from (select text_hash from ${vectorsTable(generationId)} order by text_hash limit $2 * ${LOOKED_AT}) v
       join millrace.chunks c on c.generation_id = $1 and c.text_hash = v.text_hash
       join millrace.published p
         on p.generation_id = $1 and p.document_id = c.document_id and p.revision = c.revision
       order by c.text_hash, c.document_id, c.ordinal
     ) s order by text_hash limit $2`,
    [generationId, limit, chars],
  )
  return rows.map(({ text }) => text)
}

/** How far a document is in a generation that is not live. */
export interface DocumentStanding {
  readonly state: string
  readonly errorCode: string | null
  readonly errorMessage: string | null
}

/** Undefined: it is not in it, and nothing says that it will be. */
export async function standingIn(
  on: Session,
  generationId: number,
  documentId: number,
): Promise<DocumentStanding | undefined> {
  const rows = await on.query<DocumentStanding>(
    `select state, error_code as "errorCode", error_message as "errorMessage"
     from millrace.generation_documents where generation_id = $1 and document_id = $2`,
    [generationId, documentId],
  )
  return rows[0]
}
