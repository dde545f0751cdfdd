import { join } from 'node:path'
import { embedAll, openEngine, type SparseVector } from '@millrace/embed'
import { FUSIONS } from '@millrace/flow'
import { weighTerms } from '@millrace/flow/search/terms'
import {
  buildIndex,
  type Db,
  type DomainRow,
  findHits,
  insertDomain,
  migrate,
  openDb,
  refreshTermCounts,
  type SearchMode,
  toSparsevec,
} from '@millrace/store'
import { quantile } from '../engine/race.js'
import { type Figure, figure } from '../figure.js'
import { openServers, ROOT } from '../place.js'
import { fill, inBatches, inTurn, type ReadyDocument } from './filled.js'
import { type Language, mulberry, questionsOf, variations } from './variations.js'

const CHUNKS = 100_000
const BATCH = 2_000
const DIMS = 256
/** Questions that are timed, and those whose hits are compared with all texts. */
const QUESTIONS = 300
const COMPARED = 100
const K = 10

const MODELS = { zh: 'bge-small-zh-v1.5', en: 'all-minilm-l6-v2' } as const
/** Words that most texts have. */
const FREQUENT = { zh: '的是', en: 'the of and' } as const

/** Searches by words, and by words and meaning, at 100,000 chunks on a real server. */
export async function benchSparse(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const language of ['zh', 'en'] as const) {
    const place = await openServers()
    const db = openDb({ url: String(place.env.DATABASE_URL), kind: 'server' })
    try {
      await migrate(db)
      figures.push(...(await measure(db, language)))
    } finally {
      await db.close()
      await place.remove()
    }
  }
  return figures
}

async function measure(db: Db, language: Language): Promise<Figure[]> {
  const engine = openEngine({ modelDirs: [join(ROOT, 'models')] })
  const model = MODELS[language]
  const termsOf = async (texts: readonly string[]) => {
    const embedded = await embedAll(engine, { model, texts, kind: 'document', outputs: ['terms'] })
    return embedded.map(({ terms = NOTHING, tokens }) => ({ terms, tokens }))
  }
  try {
    const domain = await createFilled(db, model, variations(language, CHUNKS), termsOf)
    const counting = performance.now()
    await refreshTermCounts(db)
    const counted = performance.now() - counting
    await buildIndex(db, { rowsMin: 1 })
    await db.query('vacuum analyze')
    const questions = await termsOf((await questionsOf(language)).slice(0, QUESTIONS))
    const [frequent] = await termsOf([FREQUENT[language]])
    const search = (mode: SearchMode, { terms }: { readonly terms: SparseVector }) =>
      findHits(db, {
        domain: domain.name,
        vector: meaning(terms),
        terms,
        k: K,
        mode,
        filter: {},
        thresholds: {},
        fusion: FUSIONS.bm25,
      })
    const figures: Figure[] = []
    const say = (name: string, value: number, unit: string, aim?: string) =>
      figures.push(figure(`${language}, ${model}: ${name}`, value, unit, aim))
    for (const mode of ['dense', 'sparse', 'hybrid'] as const) {
      for (const question of questions) await search(mode, question)
      const times = await inTurn(questions, (question) => search(mode, question))
      say(`${mode}, p50`, quantile(times, 0.5), 'ms')
      say(`${mode}, p95`, quantile(times, 0.95), 'ms')
    }
    if (frequent !== undefined) {
      const times = await inTurn(Array(10).fill(frequent), () => search('sparse', frequent))
      say(`sparse, "${FREQUENT[language]}"`, quantile(times, 0.5), 'ms')
    }
    say(
      'sparse, recall@10 against all texts',
      await recall(db, domain, questions.slice(0, COMPARED)),
      '',
      '≥ 0.95',
    )
    const [bytes] = await db.query<{
      table: number
      indexes: number
      rows: number
      terms: number
      elements: number
    }>(
      `select pg_table_size(t.id)::float8 as table, pg_indexes_size(t.id)::float8 as indexes,
         (select count(*)::int from millrace.terms_${domain.generationId}) as rows,
         (select count(*)::int from millrace.term_counts) as terms,
         (select avg(cardinality(terms))::float8 from millrace.terms_${domain.generationId}) as elements
       from (select 'millrace.terms_${domain.generationId}'::regclass as id) t`,
    )
    if (bytes !== undefined) {
      say('terms of a chunk', bytes.elements, 'terms')
      say('table of terms', bytes.table / bytes.rows, 'bytes a chunk')
      say('its indexes', bytes.indexes / bytes.rows, 'bytes a chunk')
      say('statistics', bytes.terms, 'rows')
    }
    say('statistics counted in', counted, 'ms')
    return figures
  } finally {
    await engine.close()
  }
}

const NOTHING: SparseVector = { ids: new Int32Array(), weights: new Float32Array() }

async function createFilled(
  db: Db,
  model: string,
  texts: AsyncIterable<string>,
  termsOf: (texts: readonly string[]) => Promise<{ terms: SparseVector; tokens: number }[]>,
): Promise<DomainRow> {
  const domain = await insertDomain(db, {
    name: 'chunks',
    threshold: null,
    levels: [{ key: 'any', above: null, name: { zh: '任意', en: 'any' } }],
    model,
    dims: DIMS,
    recipe: {},
    recipeHash: 'bench',
    outputs: ['dense', 'sparse'],
    lexical: 'bm25',
  })
  if (domain === undefined) throw new Error('the domain is there already')
  await fill(db, domain, documents(texts, termsOf))
  return domain
}

async function* documents(
  texts: AsyncIterable<string>,
  termsOf: (texts: readonly string[]) => Promise<{ terms: SparseVector; tokens: number }[]>,
): AsyncGenerator<ReadyDocument[]> {
  for await (const batch of inBatches(different(texts), BATCH)) {
    yield (await termsOf(batch)).map(({ terms, tokens }, i) => ({
      text: batch[i] ?? '',
      vector: meaning(terms),
      terms: weighTerms({ terms, tokens }, { lexical: 'bm25', usualTokens: 256 }) ?? NOTHING,
    }))
  }
}

async function* different(texts: AsyncIterable<string>): AsyncGenerator<string> {
  const seen = new Set<string>()
  for await (const text of texts) {
    if (text.trim() === '' || seen.has(text)) continue
    seen.add(text)
    yield text
  }
}

/** Numbers that a term adds to. */
const SPREAD = 16

/** A stand-in for the model's vector, which would take ten minutes: terms with random signs, so that like texts are near. */
function meaning({ ids }: SparseVector): Float32Array {
  const sum = new Float32Array(DIMS)
  for (const id of ids) {
    const random = mulberry(id)
    for (let i = 0; i < SPREAD; i++) {
      const at = Math.floor(random() * DIMS)
      sum[at] = (sum[at] ?? 0) + (random() < 0.5 ? -1 : 1)
    }
  }
  const length = Math.hypot(...sum)
  return length === 0 ? sum.fill(1 / Math.sqrt(DIMS)) : sum.map((value) => value / length)
}

/** Of the best ten of all texts, those that are found; texts that score alike stand for each other. */
async function recall(
  db: Db,
  domain: DomainRow,
  questions: readonly { readonly terms: SparseVector }[],
): Promise<number> {
  let share = 0
  for (const { terms } of questions) {
    const [exact] = await db.query<{ bound: number; scores: number[] }>(
      `select w.bound, array(
         select -(t.weights <#> w.weights) from millrace.terms_${domain.generationId} t
         order by t.weights <#> w.weights limit ${K}
       ) as scores
       from millrace.weigh_terms($1, $2::sparsevec) w`,
      [domain.generationId, toSparsevec(terms)],
    )
    const hits = await findHits(db, {
      domain: domain.name,
      vector: null,
      terms,
      k: K,
      mode: 'sparse',
      filter: {},
      thresholds: {},
    })
    const least = (exact?.scores.at(-1) ?? 0) / (exact?.bound ?? 1)
    share += hits.filter(({ scores: { sparse = 0 } }) => sparse >= least - 1e-6).length / K
  }
  return share / questions.length
}
