import { type Answer, answer, api, headersOf, refusal } from '../../api/client.ts'
import type { GivenDocument } from './batches.ts'
import type { Item } from './picked.ts'
import { firstDocuments } from './typed.ts'

export type Preview = Answer<'/v1/domains/{name}/chunks/preview', 'post'>
/** With the text in which the spans are. */
export type Previewed = Preview & { readonly text: string }

/** Of a file of lines, as much is looked at. */
const HEAD_BYTES = 1024 * 1024
const DOCUMENTS_MAX = 50

export async function previewText(
  domain: string,
  { title, text = '' }: GivenDocument,
  signal: AbortSignal,
): Promise<Previewed> {
  const preview = await answer(
    api.POST('/v1/domains/{name}/chunks/preview', {
      params: { path: { name: domain } },
      body: { text, ...(title === undefined ? {} : { title }) },
      signal,
    }),
  )
  return { ...preview, text }
}

export async function previewFile(domain: string, file: File, signal: AbortSignal): Promise<Previewed> {
  const body = new FormData()
  body.append('file', file, file.name)
  const response = await fetch(`/v1/domains/${encodeURIComponent(domain)}/chunks/preview`, {
    method: 'POST',
    headers: headersOf(),
    body,
    signal,
  })
  const answered: unknown = await response.json().catch(() => undefined)
  if (!response.ok) throw refusal(response, answered)
  const preview = answered as Preview
  return { ...preview, text: preview.text ?? '' }
}

/** The first documents of a file of lines. */
export const headOf = async ({ file }: Item<File>): Promise<GivenDocument[]> =>
  firstDocuments(await file.slice(0, HEAD_BYTES).text(), DOCUMENTS_MAX)
