import { type Engine, embedAll } from '@millrace/embed'
import { createDomain, type Domain } from '@millrace/flow'
import { type Db, findHits } from '@millrace/store'
import type pg from 'pg'
import { fill, inBatches, type ReadyDocument } from './filled.js'
import { mulberry } from './variations.js'

const MODEL = 'all-minilm-l6-v2'
const DIMS = 1_024
const BATCH = 1_000
/** How far a vector is from the question that it was made of, before it is set to length 1. */
const NOISE = 0.7
const NAME = 'wide'
/** Hits that are asked for. */
export const K = 10

/** A domain of so many documents around real questions, with vectors of 1,024 dims; it has no index yet. */
export async function createWide(
  db: Db,
  engine: Engine,
  questions: readonly string[],
  count: number,
): Promise<Domain> {
  const domain = await createDomain(
    { db, engine, defaultModel: MODEL },
    { name: NAME, model: MODEL, outputs: ['dense'] },
  )
  await fill(db, domain, inBatches(documents(engine, questions, count), BATCH))
  return domain
}

export const searchPath = `/v1/domains/${NAME}/search`

/** The real model with its numbers repeated to 1,024 dims: embedding takes what it takes, vectors are as wide as bge-m3's. */
export function widened(engine: Engine): Engine {
  return {
    ...engine,
    // Of this model alone: a worker, which has the real engine, ingests with another one meanwhile.
    manifest: (id) => (id === MODEL ? { ...engine.manifest(id), dims: DIMS } : engine.manifest(id)),
    embed: async (request) =>
      (await engine.embed(request)).map((result) =>
        'error' in result ? result : { ...result, vector: widen(result.vector) },
      ),
  }
}

const widen = (vector: Float32Array): Float32Array =>
  unit(Float32Array.from({ length: DIMS }, (_, i) => vector[i % vector.length] ?? 0))

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

/** Vectors around those of real questions, each with a document of its own. */
async function* documents(
  engine: Engine,
  questions: readonly string[],
  count: number,
): AsyncGenerator<ReadyDocument> {
  const centres = await embedAll(engine, { model: MODEL, texts: questions, kind: 'document' })
  const random = mulberry(3)
  const spread = (NOISE * Math.sqrt(12)) / Math.sqrt(DIMS)
  for (let n = 0; n < count; n++) {
    const at = n % centres.length
    const centre = centres[at]?.vector ?? new Float32Array(DIMS)
    const vector = unit(centre.map((value) => value + (random() - 0.5) * spread))
    yield { text: `${questions[at]} ${n}`, vector }
  }
}

/** What a search cannot do without: the query's vector, and one statement on a connection that is ready for it. */
export async function bare(on: pg.Client, engine: Engine, domain: Domain, query: string): Promise<void> {
  const g = domain.generationId
  const { rows } = await on.query(
    `select d.external_id, c.ordinal, p.title, c.text, p.metadata, c.start_at, c.end_at, -(v.embedding <#> $1) as similarity
     from millrace.vectors_${g} v
     join millrace.chunks c on c.generation_id = ${g} and c.text_hash = v.text_hash
     join millrace.published p on p.generation_id = ${g} and p.document_id = c.document_id and p.revision = c.revision
     join millrace.documents d on d.id = c.document_id
     order by v.embedding <#> $1 limit ${K}`,
    [JSON.stringify(Array.from(await embedQuery(engine, query)))],
  )
  if (rows.length !== K) throw new Error(`${rows.length} rows`)
}

/** What HTTP calls: the function that people call in SQL. */
export async function hits(db: Db, engine: Engine, query: string): Promise<void> {
  const vector = await embedQuery(engine, query)
  const found = await findHits(db, {
    domain: NAME,
    vector,
    terms: null,
    k: K,
    mode: 'dense',
    filter: {},
    thresholds: {},
  })
  if (found.length !== K) throw new Error(`${found.length} hits`)
}

async function embedQuery(engine: Engine, text: string): Promise<Float32Array> {
  const [embedded] = await embedAll(engine, { model: MODEL, texts: [text], kind: 'query' })
  if (embedded === undefined) throw new Error('no vector came back')
  return embedded.vector
}
