import { one, type Session } from '../connect.js'
import type { GenerationState, StorageForm } from '../schema.js'

/** Chunks and tokens of the documents of a domain that are ready: what its live generation has of them. */
export const readyVolume = async (
  on: Session,
  domainId: number,
): Promise<{ readonly chunks: number; readonly tokens: number }> =>
  one(
    await on.query<{ chunks: number; tokens: number }>(
      `select coalesce(sum(chunks), 0)::int8 as chunks, coalesce(sum(tokens), 0)::int8 as tokens
       from millrace.documents where domain_id = $1 and state = 'ready'`,
      [domainId],
    ),
    'what is ready',
  )

/** Documents that readers of generations see, by the generation's id. */
export async function countPublished(
  on: Session,
  generationIds: readonly number[],
): Promise<Map<number, number>> {
  if (generationIds.length === 0) return new Map()
  const rows = await on.query<{ id: number; count: number }>(
    `select generation_id as id, count(*)::int as count from millrace.published
     where generation_id = any($1) group by 1`,
    [generationIds],
  )
  return new Map(rows.map(({ id, count }) => [id, count]))
}

/** A generation that is not live, in few words. */
export interface GenerationFact {
  readonly domainId: number
  readonly id: number
  readonly state: GenerationState
  readonly model: string
  readonly storage: StorageForm
  readonly paused: boolean
  readonly dropAt: Date | null
  readonly documents: { readonly total: number; readonly ready: number; readonly failed: number }
}

/** Those that are built or retired, of these domains; of a retired one the documents that came since. */
export const generationFacts = (on: Session, domainIds: readonly number[]): Promise<GenerationFact[]> =>
  on.query<GenerationFact>(
    `select g.domain_id as "domainId", g.id, g.state, g.model, g.storage, g.paused, g.drop_at as "dropAt",
       jsonb_build_object('total', f.total, 'ready', f.ready, 'failed', f.failed) as documents
     from millrace.generations g
     cross join lateral (
       select count(*) as total, count(*) filter (where s.state = 'ready') as ready,
         count(*) filter (where s.state = 'failed') as failed
       from millrace.generation_documents s where s.generation_id = g.id
     ) f
     where g.domain_id = any($1) and g.state in ('building', 'retired') order by g.id`,
    [domainIds],
  )
