import { type Answer, answer, api, type Body, type components, headersOf, refusal } from '../../api/client.ts'

export type Run = Answer<'/v1/domains/{name}/golden/runs', 'get'>['runs'][number]
export type RunDetail = Answer<'/v1/domains/{name}/golden/runs/{id}', 'get'>
export type Missed = RunDetail['missed'][number]
export type Comparison = Answer<'/v1/domains/{name}/golden/runs/{a}/compare/{b}', 'get'>
export type Question = Answer<'/v1/domains/{name}/golden', 'get'>['questions'][number]
export type Added = Answer<'/v1/domains/{name}/golden', 'post'>
export type Similarities = Answer<'/v1/domains/{name}/similarities', 'get'>
export type RunWishes = Body<'/v1/domains/{name}/golden/run', 'post'>
export type { components }

const at = (name: string, signal?: AbortSignal) => ({
  params: { path: { name } },
  ...(signal === undefined ? {} : { signal }),
})

/** Questions shown at once. */
const PAGE = 20
/** Runs to choose from. */
const RUNS = 20

export const getQuestions = (name: string, signal: AbortSignal, cursor?: string) =>
  answer(
    api.GET('/v1/domains/{name}/golden', {
      signal,
      params: { path: { name }, query: { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) } },
    }),
  )
export const getRuns = async (name: string, signal: AbortSignal) =>
  (
    await answer(
      api.GET('/v1/domains/{name}/golden/runs', {
        signal,
        params: { path: { name }, query: { limit: RUNS } },
      }),
    )
  ).runs
export const getRun = (name: string, id: string, signal: AbortSignal) =>
  answer(api.GET('/v1/domains/{name}/golden/runs/{id}', { signal, params: { path: { name, id } } }))
export const getComparison = (name: string, a: string, b: string, signal: AbortSignal) =>
  answer(
    api.GET('/v1/domains/{name}/golden/runs/{a}/compare/{b}', { signal, params: { path: { name, a, b } } }),
  )
export const startRun = (name: string, wishes: RunWishes, signal: AbortSignal) =>
  answer(api.POST('/v1/domains/{name}/golden/run', { ...at(name, signal), body: wishes }))
export const addQuestion = (name: string, question: string, documentId: string, signal: AbortSignal) =>
  answer(
    api.POST('/v1/domains/{name}/golden', {
      ...at(name, signal),
      body: { questions: [{ question, documentId }] },
    }),
  )
export const deleteQuestion = (name: string, id: string) =>
  answer(api.DELETE('/v1/domains/{name}/golden/{id}', { params: { path: { name, id } } }))

/** A file of questions, CSV or JSON, as it is. */
export async function importQuestions(name: string, file: File, signal: AbortSignal): Promise<Added> {
  const isCsv = /\.csv$/i.test(file.name) || file.type === 'text/csv'
  const type = isCsv
    ? 'text/csv'
    : /\.(ndjson|jsonl)$/i.test(file.name)
      ? 'application/x-ndjson'
      : 'application/json'
  const response = await fetch(`/v1/domains/${encodeURIComponent(name)}/golden`, {
    method: 'POST',
    signal,
    headers: { ...headersOf(), 'content-type': type },
    body: file,
  })
  const body: unknown = await response.json().catch(() => undefined)
  if (!response.ok) throw refusal(response, body)
  return body as Added
}

export const getSimilarities = (name: string, signal: AbortSignal) =>
  answer(api.GET('/v1/domains/{name}/similarities', at(name, signal)))
export const getDomain = (name: string, signal: AbortSignal) =>
  answer(api.GET('/v1/domains/{name}', at(name, signal)))
export const saveBands = (name: string, body: Body<'/v1/domains/{name}', 'patch'>, signal: AbortSignal) =>
  answer(api.PATCH('/v1/domains/{name}', { ...at(name, signal), body }))
