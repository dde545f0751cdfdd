import { answer, api, headersOf, refusal } from '../../api/client.ts'
import { type DocumentDetail, formOf, submittedAgain } from './again.ts'

export type Outcome = 'submitted' | 'unchanged'

/** Submits a document as it stands here once more. What is ready, and is the same, is not touched. */
export async function ingestAgain(
  name: string,
  document: DocumentDetail,
  signal: AbortSignal,
): Promise<Outcome> {
  const submitted = submittedAgain(document)
  if (submitted === undefined) return sendFile(name, document, signal)
  const body = { documents: [submitted] }
  const params = { path: { name } }
  if (document.state === 'ready' && document.origin === 'text') {
    const plan = await answer(
      api.POST('/v1/domains/{name}/documents', { signal, params, body: { ...body, dryRun: true } }),
    )
    if ('dryRun' in plan && plan.documents.unchanged === 1) return 'unchanged'
  }
  await answer(api.POST('/v1/domains/{name}/documents', { signal, params, body }))
  return 'submitted'
}

/** The kept file, with the title that it was given: which one may be the file's own, so both are compared first. */
async function sendFile(name: string, document: DocumentDetail, signal: AbortSignal): Promise<Outcome> {
  const path = `/v1/domains/${encodeURIComponent(name)}/documents`
  const bytes = await call(`${path}/${encodeURIComponent(document.id)}/file`, { signal }).then((response) =>
    response.blob(),
  )
  const titles = document.title === null ? [null] : [null, document.title]
  if (document.state === 'ready') {
    for (const title of titles) {
      const body = formOf(document, bytes, title)
      const response = await call(`${path}?dryRun=true`, { method: 'POST', body, signal })
      const plan = (await response.json()) as { documents: { unchanged: number } }
      if (plan.documents.unchanged === 1) return 'unchanged'
    }
  }
  await call(path, { method: 'POST', body: formOf(document, bytes, document.title), signal })
  return 'submitted'
}

async function call(path: string, init: RequestInit): Promise<Response> {
  const response = await fetch(path, { ...init, headers: headersOf() })
  if (response.ok) return response
  throw refusal(response, await response.json().catch(() => undefined))
}
