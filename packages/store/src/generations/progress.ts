import { type Db, one, type Session } from '../connect.js'
import { indexOf } from '../storage/form.js'
import { termsTable } from '../terms.js'
import { vectorsTable } from '../vectors.js'
import type { GenerationRow } from './rows.js'

/** How far the documents of a generation are that is not live. Of a live one all of it is 0. */
export interface GenerationProgress {
  /** Documents that it is to have, as far as is known yet. */
  readonly total: number
  /** Those that nobody has begun, `unfilled` ones too. */
  readonly waiting: number
  readonly preparing: number
  readonly embedding: number
  readonly ready: number
  readonly failed: number
  /** Of those that failed, the ones that readers of the live generation find something of. */
  readonly lost: number
  /** Documents that have no row in generation_documents yet. */
  readonly unfilled: number
  /** Of the documents that were prepared. */
  readonly chunks: number
  readonly tokens: number
  /** Texts without a vector, and how many of them a worker has. */
  readonly textsPending: number
  readonly tokensPending: number
  readonly textsLeased: number
}

export const NO_PROGRESS: GenerationProgress = {
  total: 0,
  waiting: 0,
  preparing: 0,
  embedding: 0,
  ready: 0,
  failed: 0,
  lost: 0,
  unfilled: 0,
  chunks: 0,
  tokens: 0,
  textsPending: 0,
  tokensPending: 0,
  textsLeased: 0,
}

/** By the generation's id; one statement for all of them. */
export async function progressOf(
  on: Session,
  generationIds: readonly number[],
): Promise<Map<number, GenerationProgress>> {
  if (generationIds.length === 0) return new Map()
  const rows = await on.query<GenerationProgress & { id: number }>(
    `select g.id, u.unfilled, f.rows + u.unfilled as total, f.waiting + u.unfilled as waiting, f.preparing, f.embedding,
       f.ready, f.failed, f.lost, f.chunks, f.tokens, p.texts as "textsPending", p.tokens as "tokensPending",
       p.leased as "textsLeased"
     from millrace.generations g
     cross join lateral (
       select count(*)::int as rows, (count(*) filter (where s.state = 'waiting'))::int as waiting,
         (count(*) filter (where s.state = 'preparing'))::int as preparing,
         (count(*) filter (where s.state = 'embedding'))::int as embedding,
         (count(*) filter (where s.state = 'ready'))::int as ready,
         (count(*) filter (where s.state = 'failed'))::int as failed,
         (count(*) filter (where s.state = 'failed' and exists (
           select 1 from millrace.published r join millrace.generations l on l.id = r.generation_id and l.state = 'live'
           where r.document_id = s.document_id
         )))::int as lost,
         coalesce(sum(s.chunks), 0)::int as chunks, coalesce(sum(s.tokens), 0)::int8 as tokens
       from millrace.generation_documents s where s.generation_id = g.id
     ) f
     cross join lateral (
       select count(*)::int as unfilled from millrace.documents d
       where g.filled_at is null and (g.state = 'building' or g.follows and g.state = 'retired')
         and d.domain_id = g.domain_id and d.id > g.filled_after and d.state in ('ready', 'failed')
         and not exists (
           select 1 from millrace.generation_documents s where s.generation_id = g.id and s.document_id = d.id
         )
         and not exists (
           select 1 from millrace.published r
           where r.generation_id = g.id and r.document_id = d.id and r.revision = d.revision
         )
     ) u
     cross join lateral (
       select count(*)::int as texts, coalesce(sum(w.tokens), 0)::int8 as tokens, count(w.lease_id)::int as leased
       from millrace.pending w where w.generation_id = g.id and g.state <> 'live'
     ) p
     where g.id = any($1)`,
    [generationIds],
  )
  return new Map(rows.map(({ id, ...progress }) => [id, progress]))
}

/** What a generation lacks of being as good as the live one. */
export interface Completeness {
  /** Nothing of what follows is left to be done. */
  readonly complete: boolean
  /** Every document of the domain that it is to have is known. */
  readonly filled: boolean
  /** Documents that are still to come: waiting, preparing or embedding. */
  readonly open: number
  readonly failed: number
  /** Of those that failed, the ones that readers of the live generation find something of: they would lose it. */
  readonly lost: number
  /** It has as many vectors as an index is for, and none yet. */
  readonly indexDue: boolean
  /** It has terms, and in how many texts each of them is was not counted yet. */
  readonly termCountsDue: boolean
}

type Judged = Pick<
  GenerationRow,
  'id' | 'state' | 'storage' | 'dims' | 'filledAt' | 'indexedAt' | 'lexical' | 'termsCountedAt'
>

/**
 * What is left before a generation can take the place of the live one. What failed in it keeps it from being complete
 * where the live one has it; what failed in both, or never was anywhere, does not. Undefined when it is gone.
 */
export async function completeness(
  on: Session,
  generationId: number,
  { indexRowsMin }: { readonly indexRowsMin: number },
): Promise<Completeness | undefined> {
  const found = await on.query<Judged>(
    `select id, state, storage, dims, filled_at as "filledAt", indexed_at as "indexedAt", lexical,
       terms_counted_at as "termsCountedAt"
     from millrace.generations where id = $1 and state in ('live', 'building', 'retired')`,
    [generationId],
  )
  const generation = found[0]
  if (generation === undefined) return undefined
  const open = await countOpen(on, generationId)
  const indexDue = await isIndexDue(on, generation, indexRowsMin)
  const termCountsDue = await areTermsUncounted(on, generation)
  const filled = generation.state !== 'building' || generation.filledAt !== null
  return {
    complete: filled && open.open === 0 && open.lost === 0 && !indexDue && !termCountsDue,
    filled,
    ...open,
    indexDue,
    termCountsDue,
  }
}

const countOpen = async (
  on: Session,
  generationId: number,
): Promise<Pick<Completeness, 'open' | 'failed' | 'lost'>> =>
  one(
    await on.query<Pick<Completeness, 'open' | 'failed' | 'lost'>>(
      `select (count(*) filter (where s.state <> 'failed'))::int as open,
         (count(*) filter (where s.state = 'failed'))::int as failed,
         (count(*) filter (where s.state = 'failed' and exists (
           select 1 from millrace.published r join millrace.generations l on l.id = r.generation_id and l.state = 'live'
           where r.document_id = s.document_id
         )))::int as lost
       from millrace.generation_documents s where s.generation_id = $1 and s.state <> 'ready'`,
      [generationId],
    ),
    'documents to come',
  )

async function isIndexDue(on: Session, generation: Judged, rowsMin: number): Promise<boolean> {
  if (on.kind === 'embedded' || generation.indexedAt !== null || indexOf(generation) === undefined)
    return false
  return hasRows(on, vectorsTable(generation.id), rowsMin)
}

async function areTermsUncounted(on: Session, { id, lexical, termsCountedAt }: Judged): Promise<boolean> {
  if (lexical === null || termsCountedAt !== null) return false
  return hasRows(on, termsTable(id), 1)
}

async function hasRows(on: Session, table: string, least: number): Promise<boolean> {
  const rows = await on.query<{ count: number }>(
    `select count(*)::int as count from (select 1 from ${table} limit $1) first_rows`,
    [least],
  )
  return one(rows, 'rows').count >= least
}

/** Documents of a generation that failed, by why, the most frequent first. */
export interface GenerationError {
  readonly code: string
  readonly count: number
  readonly example: { readonly document: string; readonly message: string }
}

export const generationErrors = (on: Session, generationId: number, limit = 20): Promise<GenerationError[]> =>
  on.query<GenerationError>(
    `select s.error_code as code, count(*)::int as count,
       (array_agg(jsonb_build_object('document', d.external_id, 'message', coalesce(s.error_message, ''))
         order by s.document_id))[1] as example
     from millrace.generation_documents s join millrace.documents d on d.id = s.document_id
     where s.generation_id = $1 and s.state = 'failed'
     group by 1 order by 2 desc, 1 limit $2`,
    [generationId, limit],
  )

/** Lets documents that failed in a generation be tried again; returns how many. */
export async function retryDocuments(db: Db, generationId: number): Promise<number> {
  const rows = await db.query(
    `update millrace.generation_documents set
       state = 'waiting', attempts = 0, leased_until = '-infinity', error_code = null, error_message = null
     where (generation_id, document_id) in (
       select generation_id, document_id from millrace.generation_documents
       where generation_id = $1 and state = 'failed' and error_code <> 'REVISION_CANCELLED'
       order by document_id for update
     )
     returning 1`,
    [generationId],
  )
  return rows.length
}
