import { CodedError } from '@millrace/errors'
import type { Db, Lexical } from '@millrace/store'
import { isGone, successorOf } from '../generations/live.js'
import { fusionOf } from '../search/fusion.js'
import { COLBERT } from '../search/rerank.js'
import { type Domain, listDomains, unknownDomain } from './domains.js'
import { type SearchHit, type SearchRequest, type SearchResult, search } from './search.js'

export interface SeveralHit extends SearchHit {
  readonly domain: string
}

export interface SeveralResult
  extends Pick<SearchResult, 'model' | 'mode' | 'rankedBy' | 'query' | 'tookMs'> {
  /** The best of all domains. */
  readonly hits: readonly SeveralHit[]
  /** Of each, in the order in which they were asked for. */
  readonly domains: readonly (Pick<SearchResult, 'threshold' | 'stale' | 'warnings'> & {
    readonly name: string
  })[]
}

/** Domains that are searched at a time: more would take every connection from the others. */
const AT_A_TIME = 4

/**
 * One query in several domains whose models agree: embedded once, searched in each, merged by score. Thresholds and
 * levels are each domain's own. Their own modes, fusions and rerankers have no part in it: what is not said is dense, the
 * usual fusion, no reranker, so that scores compare.
 * @throws CodedError MODELS_DIFFER, BAD_FUSION, and those of `search`
 */
export async function searchSeveral(
  deps: Parameters<typeof search>[0],
  domains: readonly Domain[],
  request: SearchRequest,
): Promise<SeveralResult> {
  try {
    return await searchAll(deps, domains, request)
  } catch (error) {
    if (!isGone(error)) throw error
    const now = await Promise.all(domains.map((domain) => successorOf(deps, domain)))
    if (now.every((domain) => domain === undefined)) throw error
    const names = domains.map(({ name }) => name)
    return searchAll(deps, await findDomains(deps, names), request)
  }
}

async function searchAll(
  deps: Parameters<typeof search>[0],
  domains: readonly Domain[],
  request: SearchRequest,
): Promise<SeveralResult> {
  requireOneModel(domains)
  const { mode = 'dense', fusion } = request
  const asked = {
    ...request,
    mode,
    fusion: mode === 'hybrid' ? fusionOf(fusion, lexicalOf(domains)) : fusion,
    rerank: request.rerank ?? null,
  } as const
  const alike = withOneColbert(domains)
  const results: SearchResult[] = []
  const started = performance.now()
  for (let from = 0; from < alike.length; from += AT_A_TIME) {
    const some = alike.slice(from, from + AT_A_TIME)
    // Equal texts at the same time share one computation, later ones find it in the cache.
    results.push(...(await Promise.all(some.map((domain) => search(deps, domain, asked)))))
  }
  const [first] = results
  if (first === undefined) throw new CodedError('INTERNAL', 'No domain was searched')
  const embed = Math.max(...results.map(({ tookMs }) => tookMs.embed))
  const hits = results
    .flatMap((result, i) =>
      result.hits.map((hit): SeveralHit => ({ ...hit, domain: domains[i]?.name ?? '' })),
    )
    .sort((a, b) => b.score - a.score)
    .slice(0, request.k)
  return {
    hits,
    domains: results.map(({ threshold, stale, warnings }, i) => ({
      name: domains[i]?.name ?? '',
      threshold,
      stale,
      warnings,
    })),
    model: first.model,
    mode: first.mode,
    rankedBy: first.rankedBy,
    query: first.query,
    tookMs: {
      embed,
      search: Math.max(0, Math.round((performance.now() - started - embed) * 10) / 10),
      rerank:
        first.tookMs.rerank === null ? null : Math.max(...results.map(({ tookMs }) => tookMs.rerank ?? 0)),
    },
  }
}

/** With one model it is the same in all that keep terms. */
const lexicalOf = (domains: readonly Domain[]): Lexical =>
  domains.find(({ lexical }) => lexical !== null)?.lexical ?? 'bm25'

/**
 * Scores by colbert come from what is stored of the texts, which is their signs, or from vectors computed now: where not all
 * domains store them, none is read.
 */
function withOneColbert(domains: readonly Domain[]): Domain[] {
  const areStored = domains.every(({ outputs }) => outputs.includes(COLBERT))
  if (areStored) return [...domains]
  return domains.map((domain) => ({
    ...domain,
    outputs: domain.outputs.filter((output) => output !== COLBERT),
  }))
}

/** Domains by name, in that order. @throws CodedError UNKNOWN_DOMAIN */
export async function findDomains(deps: { readonly db: Db }, names: readonly string[]): Promise<Domain[]> {
  const all = new Map((await listDomains(deps)).map((domain) => [domain.name, domain]))
  return names.map((name) => {
    const domain = all.get(name)
    if (domain === undefined) throw unknownDomain(name)
    return domain
  })
}

/** @throws CodedError MODELS_DIFFER where scores of two domains would not compare */
function requireOneModel(domains: readonly Domain[]): void {
  const made = domains.map(({ name, model, dims, recipe }) => ({
    name,
    model,
    revision: recipe.revision,
    instruction: recipe.instructions.query,
    dims,
  }))
  const [first] = made
  const other = made.find(
    ({ model, revision, instruction, dims }) =>
      model !== first?.model ||
      revision !== first.revision ||
      instruction !== first.instruction ||
      dims !== first.dims,
  )
  if (other === undefined || first === undefined) return
  const named = ({ name, model, revision }: typeof other) =>
    `"${name}" has ${model}${revision === '' ? '' : `, revision ${revision.slice(0, 12)}`}`
  throw new CodedError(
    'MODELS_DIFFER',
    `The models of the domains differ: ${named(first)}; ${named(other)}`,
    {
      hint: 'Search domains with one model together, and the others apart',
      details: made.map(({ name, model, revision }) => ({ domain: name, model, revision })),
    },
  )
}
