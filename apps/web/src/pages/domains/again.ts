import type { Answer, Body } from '../../api/client.ts'

export type DocumentDetail = Answer<'/v1/domains/{name}/documents/{id}', 'get'>
type Submitted = NonNullable<Body<'/v1/domains/{name}/documents', 'post'>>['documents'][number]

/**
 * The document as it would be submitted once more, without its title where that may be the file's or the page's own;
 * undefined for a file, whose bytes have to be sent, and for vectors, which no answer contains.
 */
export function submittedAgain(
  document: Pick<DocumentDetail, 'id' | 'title' | 'origin' | 'text' | 'url' | 'metadata'>,
): Submitted | undefined {
  const { id, title, origin, text, url, metadata } = document
  if (origin === 'text') return { id, title, text, metadata }
  if (origin === 'url' && url !== null) return { id, title, url, metadata }
  return undefined
}

/** Whether the page can submit it once more. */
export const canIngestAgain = ({ origin, file }: Pick<DocumentDetail, 'origin' | 'file'>): boolean =>
  origin === 'text' || origin === 'url' || (origin === 'file' && file !== null)

/** Parts of a form in their order: what describes a file comes before it. The type is the one it was kept with. */
export function formOf(
  document: Pick<DocumentDetail, 'id' | 'metadata' | 'file'>,
  bytes: Blob,
  title: string | null,
): FormData {
  const form = new FormData()
  form.append('id', document.id)
  if (title !== null) form.append('title', title)
  if (Object.keys(document.metadata).length > 0) form.append('metadata', JSON.stringify(document.metadata))
  // text/plain is what the server takes for no type at all.
  const blob = new Blob([bytes], { type: document.file?.type ?? 'text/plain' })
  form.append('file', blob, document.file?.name ?? document.id)
  return form
}
