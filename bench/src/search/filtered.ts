import { buildIndex, type Db, type DomainRow, insertDomain, migrate, openDb } from '@millrace/store'
import { quantile } from '../engine/race.js'
import { type Figure, figure } from '../figure.js'
import { openServers } from '../place.js'
import { fill, inBatches, inTurn, type ReadyDocument, timed } from './filled.js'
import { mulberry } from './variations.js'

const VECTORS = 100_000
const BATCH = 5_000
const DIMS = 1_024
const K = 10
/** Queries that are timed, and those whose hits are compared with exact search, which takes a second. */
const QUERIES = 100
const COMPARED = 25
/** As many as make one of them 0.5 % of the vectors. */
const CLUSTERS = 200
/** Vectors of models lie near a surface of few dimensions; noise in all of them would make all neighbours equally far. */
const LATENT = 32
const SPREAD = 0.5

/** `n` has nothing to do with where a vector lies; a cluster is one place, and that of few queries. */
const FILTERS = {
  none: {},
  '50 %': { n: { lt: VECTORS * 0.5 } },
  '5 %': { n: { lt: VECTORS * 0.05 } },
  '0.5 %': { n: { lt: VECTORS * 0.005 } },
  '0.01 %': { n: { lt: VECTORS * 0.0001 } },
  '0.5 %, one cluster': { cluster: 7 },
} as const

/** Searches with filters that let through ever less, at 100,000 vectors on a real server. */
export async function benchFiltered(): Promise<Figure[]> {
  const place = await openServers()
  const url = new URL(String(place.env.DATABASE_URL))
  url.searchParams.set('options', '-c maintenance_work_mem=1GB') // the graph fits: it is built in memory
  const db = openDb({ url: url.href, kind: 'server' })
  try {
    await migrate(db)
    const world = clusters()
    const domain = await createFilled(db, world)
    const building = performance.now()
    await buildIndex(db, { rowsMin: 1 })
    const built = performance.now() - building
    await db.query('vacuum analyze')
    const queries = Array.from({ length: QUERIES }, () => literal(world().vector))
    const figures = [figure('index built in', built / 1000, 's')]
    for (const [name, filter] of Object.entries(FILTERS)) {
      figures.push(...(await measure(db, domain.name, name, filter, queries)))
    }
    return figures
  } finally {
    await db.close()
    await place.remove()
  }
}

async function measure(
  db: Db,
  domain: string,
  name: string,
  filter: object,
  queries: readonly string[],
): Promise<Figure[]> {
  const search = async (query: string) => {
    const hits = await db.query<{ similarity: number }>(
      'select similarity from millrace.search($1, $2::vector, $3, -1, $4::jsonb)',
      [domain, query, K, JSON.stringify(filter)],
    )
    return hits.map(({ similarity }) => similarity)
  }
  const options = { exact: true, filter, thresholds: { dense: null } }
  await inTurn(queries, search)
  const times: number[] = []
  const compared = queries.slice(0, COMPARED)
  const lists: number[][] = []
  for (const query of queries) {
    times.push(
      await timed(async () => {
        lists.push(await search(query))
      }),
    )
  }
  let found = 0
  let wanted = 0
  for (const [i, query] of compared.entries()) {
    const exact = await db.query<{ similarity: number }>(
      'select dense_score as similarity from millrace.find_hits($1, $2::vector, null, $3, $4::jsonb)',
      [domain, query, K, JSON.stringify(options)],
    )
    const least = (exact.at(-1)?.similarity ?? 2) - 1e-6
    found += lists[i]?.filter((similarity) => similarity >= least).length ?? 0
    wanted += exact.length
  }
  const fewest = Math.min(...lists.map((list) => list.length))
  const say = (what: string, value: number, unit: string, aim?: string) =>
    figure(`${name}: ${what}`, value, unit, aim)
  return [
    say('hits, the fewest of a query', fewest, 'hits', `${wanted / compared.length}`),
    say(`recall@${K} against exact search`, found / wanted, '', '≥ 0.99'),
    say('p50', quantile(times, 0.5), 'ms'),
    say('p95', quantile(times, 0.95), 'ms'),
  ]
}

const literal = (vector: Float32Array): string => `[${vector.join(',')}]`

type Point = { readonly vector: Float32Array; readonly cluster: number }

/** A point around one of the clusters, each time another one; the same in every run. */
function clusters(): () => Point {
  const random = mulberry(11)
  // Box and Muller.
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  const normals = (length: number) => Float32Array.from({ length }, normal)
  const axes = Array.from({ length: LATENT }, () => normals(DIMS))
  const centres = Array.from({ length: CLUSTERS }, () => normals(LATENT))
  return () => {
    const cluster = Math.floor(random() * CLUSTERS)
    const vector = new Float32Array(DIMS)
    axes.forEach((axis, i) => {
      const along = (centres[cluster]?.[i] ?? 0) + SPREAD * normal()
      for (let at = 0; at < DIMS; at++) vector[at] = (vector[at] ?? 0) + along * (axis[at] ?? 0)
    })
    const length = Math.hypot(...vector)
    return { cluster, vector: vector.map((value) => value / length) }
  }
}

async function createFilled(db: Db, next: () => Point): Promise<DomainRow> {
  const domain = await insertDomain(db, {
    name: 'points',
    threshold: null,
    levels: [{ key: 'any', above: null, name: { zh: '任意', en: 'any' } }],
    model: 'external',
    dims: DIMS,
    recipe: {},
    recipeHash: 'bench',
  })
  if (domain === undefined) throw new Error('the domain is there already')
  await fill(db, domain, inBatches(points(next), BATCH))
  return domain
}

function* points(next: () => Point): Generator<ReadyDocument> {
  for (let n = 0; n < VECTORS; n++) {
    const { vector, cluster } = next()
    yield { id: `point ${n}`, text: `point ${n}`, vector, metadata: { n, cluster } }
  }
}
