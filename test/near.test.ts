import { openEngine } from '@millrace/embed'
import { findDomain, measureRecall } from '@millrace/flow'
import { buildIndex, type Db, findHits, migrate, openDb, updateDomain } from '@millrace/store'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Place, servers } from './support/backends.js'
import { type FilledDocument, filledDomain } from './support/filled.js'

const K = 10
/** Of an index, where nothing is said. */
const RECALL = 0.95

/** Numbers near a normal distribution, the same in every run. */
function normals(seed: number): (count: number) => number[] {
  let state = seed
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32 - 0.5
  }
  return (count) => Array.from({ length: count }, () => 2 * (next() + next() + next()))
}

function unit(values: readonly number[]): Float32Array {
  const length = Math.hypot(...values)
  return Float32Array.from(values, (value) => value / length)
}

const server = servers()

describe.skipIf(server === undefined)('filters and the index', () => {
  let place: Place
  let db: Db
  beforeAll(async () => {
    if (server === undefined) return
    place = await server.open()
    db = openDb({ url: String(place.env.DATABASE_URL), kind: 'server' })
    await migrate(db)
  })
  afterAll(async () => {
    await db?.close()
    await place?.remove()
  })

  async function fill(name: string, dims: number, documents: readonly FilledDocument[]): Promise<void> {
    await filledDomain(db, { name, dims }, documents)
    expect(await buildIndex(db, { rowsMin: 1 })).toBeDefined()
    await db.query('vacuum analyze')
  }

  /** Of the true nearest that pass, those that a search finds; every search must have K hits. */
  async function recall(
    domain: string,
    asked: readonly { readonly vector: Float32Array; readonly filter: Readonly<Record<string, unknown>> }[],
  ): Promise<number> {
    let found = 0
    for (const { vector, filter } of asked) {
      const search = async (exact: boolean) => {
        const options = { terms: null, k: K, mode: 'dense', thresholds: { dense: null } } as const
        const hits = await findHits(db, { domain, vector, filter, exact, ...options })
        return hits.map(({ scores }) => scores.dense ?? -1)
      }
      const [truth, hits] = [await search(true), await search(false)]
      expect(hits).toHaveLength(K)
      const least = (truth.at(-1) ?? 1) - 1e-6
      found += hits.filter((score) => score >= least).length
    }
    return found / (asked.length * K)
  }

  test('a filter that excludes what is nearest finds what is nearest of the rest', async () => {
    const [dims, clusters, count] = [32, 30, 12_000]
    const next = normals(7)
    const centres = Array.from({ length: clusters }, () => next(dims))
    const near = (c: number, spread: number) => {
      const noise = next(dims)
      return unit((centres[c] ?? []).map((value, i) => value + spread * (noise[i] ?? 0)))
    }
    await fill(
      'clusters',
      dims,
      Array.from({ length: count }, (_, i) => ({
        vector: near(i % clusters, 0.7),
        metadata: { c: i % clusters, half: i % 2 },
      })),
    )
    const places = Array.from({ length: 12 }, (_, c) => ({ c, vector: near(c, 0) }))
    expect(
      await recall(
        'clusters',
        places.map(({ c, vector }) => ({ vector, filter: { not: { c } } })),
      ),
    ).toBeGreaterThanOrEqual(RECALL)
    expect(
      await recall(
        'clusters',
        places.map(({ c, vector }) => ({ vector, filter: { half: 1 - (c % 2) } })),
      ),
    ).toBeGreaterThanOrEqual(RECALL)
    expect(
      await recall(
        'clusters',
        places.map(({ vector }) => ({ vector, filter: { half: 1 } })),
      ),
    ).toBeGreaterThanOrEqual(RECALL)
  }, 60_000)

  test('a question in one language finds texts of the other, when only those are asked for', async () => {
    const [dims, topics, count] = [48, 60, 9_000]
    const next = normals(5)
    const centres = Array.from({ length: topics }, () => next(dims))
    const languages = { en: next(dims), zh: next(dims) }
    const about = (topic: number, language: 'en' | 'zh') => {
      const noise = next(dims)
      return unit(
        (centres[topic] ?? []).map(
          (value, i) => value + 0.9 * (languages[language][i] ?? 0) + 0.5 * (noise[i] ?? 0),
        ),
      )
    }
    const of = (i: number) => (i % 10 < 7 ? 'zh' : 'en')
    await fill(
      'languages',
      dims,
      Array.from({ length: count }, (_, i) => ({
        vector: about(Math.floor(i / 10) % topics, of(i)),
        metadata: { language: of(i) },
      })),
    )
    const asked = Array.from({ length: 12 }, (_, topic) => {
      const language = topic % 2 === 0 ? 'en' : 'zh'
      return { vector: about(topic, language), filter: { language: language === 'en' ? 'zh' : 'en' } }
    })
    expect(await recall('languages', asked)).toBeGreaterThanOrEqual(RECALL)
  }, 60_000)

  test('a domain says how many candidates its bits give, and recall at each k is that of searches for k', async () => {
    const [dims, count] = [16, 3_000]
    const next = normals(3)
    const random = () => unit(next(dims))
    const documents = Array.from({ length: count }, () => ({ vector: random(), metadata: {} }))
    await filledDomain(db, { name: 'bits', dims, storage: 'sq8' }, documents)
    expect(await buildIndex(db, { rowsMin: 1 })).toBeDefined()
    await db.query('vacuum analyze')
    const asked = Array.from({ length: 8 }, () => ({ vector: random(), filter: {} }))
    const usual = await recall('bits', asked)
    expect(usual).toBeGreaterThanOrEqual(RECALL)
    await updateDomain(db, 'bits', { search: { candidates: 12 } })
    expect(await recall('bits', asked)).toBeLessThan(0.8)
    const [row] = await db.query<{ found: number }>(
      `select count(*)::int as found from millrace.search('bits', $1::vector, 10, -1) s
       join millrace.find_hits('bits', $1::vector, null, 10, '{"exact": true}') e on e.document_id = s.document_id`,
      [`[${asked[0]?.vector.join(',')}]`],
    )
    expect(row?.found).toBeLessThan(10)

    const engine = openEngine({ modelDirs: [] })
    const domain = await findDomain({ db }, 'bits')
    const report = async (k: readonly number[]) =>
      (await measureRecall({ db, engine }, domain, { sample: 60, k, from: 'vectors' })).recall
    const [alone] = await report([1])
    const [first, last] = await report([1, 400])
    await engine.close()
    // A search for one looks at 12. One for 400 looks at as many, and what comes first there is what is nearest.
    expect(alone?.recall).toBeLessThan(0.9)
    expect(first?.recall).toBeLessThan(0.9)
    expect(first?.latencyMs?.p50).toBeLessThan(last?.latencyMs?.p50 ?? 0)

    await updateDomain(db, 'bits', { search: { candidates: null } })
    expect(await recall('bits', asked)).toBe(usual)
  }, 60_000)
})
