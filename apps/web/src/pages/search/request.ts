import type { Body } from '../../api/client.ts'
import { Problem } from '../../api/problem.ts'
import { NO_RERANK, type SearchConfig, type SearchLink, type SearchMode } from './link.ts'

export type Filter = Readonly<Record<string, unknown>>
export type SearchBody = Body<'/v1/domains/{name}/search', 'post'>

/** The filter of an address; undefined: there is none. @throws Problem for what is no JSON object */
export function parseFilter(text: string): Filter | undefined {
  if (text.trim() === '') return undefined
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Problem(400, { code: 'INVALID_FILTER', message: 'A filter is a JSON object: {"field": value}' })
  }
  return value as Filter
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Problem(400, {
      code: 'INVALID_FILTER',
      message: `The filter is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    })
  }
}

/**
 * What the API is asked. `threshold` as it is to be applied: undefined is the domain's own, null none.
 * @throws Problem for a filter that is none
 */
export function bodyOf(
  { q, k, filter }: Pick<SearchLink, 'q' | 'k' | 'filter'>,
  { mode, fusion, rerank, top }: SearchConfig,
  threshold: number | null | undefined,
) {
  const parsed = parseFilter(filter)
  return {
    query: q,
    k,
    ...(threshold === undefined ? {} : { threshold }),
    ...(mode === '' ? {} : { mode }),
    ...(fusion === '' ? {} : { fusion }),
    ...rerankIn(rerank, top),
    ...(parsed === undefined ? {} : { filter: { ...parsed } }),
  } satisfies SearchBody
}

function rerankIn(rerank: string, top: number | undefined): Pick<SearchBody, 'rerank'> {
  if (rerank === '') return {}
  if (rerank === NO_RERANK) return { rerank: null }
  return { rerank: { by: rerank, ...(top === undefined ? {} : { top }) } }
}

/** A word of a POSIX shell, whatever is in it. */
export const shellWord = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** A text literal of SQL (standard_conforming_strings, the default since 9.1). Postgres holds no NUL in texts. */
export const sqlText = (text: string): string => `'${text.replaceAll('\0', '').replaceAll("'", "''")}'`

/** The same search for a shell. A key is named, never written out. */
export function curlOf(
  url: string,
  body: object,
  { language, hasKey }: { language: string; hasKey: boolean },
): string {
  return [
    `curl -s ${shellWord(url)}`,
    `-H 'content-type: application/json'`,
    `-H 'accept-language: ${language}'`,
    ...(hasKey ? [`-H "authorization: Bearer $MILLRACE_API_KEY"`] : []),
    `-d ${shellWord(JSON.stringify(body))}`,
  ].join(' \\\n  ')
}

export interface SqlSearch {
  readonly domain: string
  readonly mode: SearchMode
  /** '': the domain's. */
  readonly fusion: string
  readonly query: string
  readonly k: number
  readonly threshold: number | null | undefined
  readonly filter: Filter | undefined
  readonly language: string
  /** Literals of POST /v1/embed. */
  readonly vector: string
  readonly terms: string
}

const COLUMNS: Readonly<Record<SearchMode, string>> = {
  dense: 'document_id, chunk, title, similarity, level, text, metadata',
  sparse: 'document_id, chunk, title, score, text, metadata',
  hybrid: 'document_id, chunk, title, score, similarity, sparse, level, text, metadata',
}

/** The same search in SQL, by the functions of docs/sql.md: it runs as it is. */
export function sqlOf(search: SqlSearch): string {
  const { domain, mode, fusion, query, k, threshold, filter, language, vector, terms } = search
  const meaning = `${sqlText(vector)}::vector`
  const words = `${sqlText(terms)}::sparsevec`
  const name = sqlText(domain)
  const call = {
    dense: ['millrace.search', name, meaning, k],
    sparse: ['millrace.sparse_search', name, words, k],
    hybrid: ['millrace.hybrid_search', name, meaning, words, k],
  }[mode]
  const named = [
    ...(mode === 'hybrid' && fusion !== '' ? [`fusion => ${sqlText(fusion)}`] : []),
    ...(threshold === undefined ? [] : [`threshold => ${threshold ?? NO_CUT}`]),
    ...(filter === undefined ? [] : [`filter => ${sqlText(JSON.stringify(filter))}`]),
  ]
  const [fn, ...args] = call
  return [
    // A comment ends with its line.
    `-- ${query.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim()}`,
    ...(mode === 'sparse' ? [] : [`set millrace.language = ${sqlText(language)};`]),
    `select ${COLUMNS[mode]}`,
    `from ${fn}(\n  ${[...args, ...named].join(',\n  ')}\n);`,
  ].join('\n')
}

/** In SQL null takes the domain's threshold. */
const NO_CUT = -1

/** What the SQL functions lack: colbert in a fusion, and reranking. */
export const SQL_FUSIONS = ['', 'rrf', 'bm25', 'm3-miracl', 'm3-mldr']

/** Numbers of a vector nobody reads: a long literal of a statement, shortened to be looked at. */
export const shortened = (sql: string): string =>
  sql.replaceAll(/'([[{])([^']{100,})([\]}][^']*)'::/g, (_, open: string, inner: string, close: string) => {
    const cut = inner.lastIndexOf(',', 48)
    return `'${open}${inner.slice(0, cut)},…${close}'::`
  })
