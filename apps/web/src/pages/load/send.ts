import { type Answer, headersOf } from '../../api/client.ts'
import { Problem, problemOf, UNREACHABLE } from '../../api/problem.ts'
import { session } from '../../lib/session.ts'
import type { Batch } from './batches.ts'

export type Submission = Answer<'/v1/domains/{name}/documents', 'post', 202>
export type Plan = Answer<'/v1/domains/{name}/documents', 'post', 200>

interface SendOptions {
  readonly dryRun?: boolean
  readonly signal: AbortSignal
  /** Bytes of this body that are sent. */
  readonly onSent: (bytes: number) => void
}

/**
 * Sends a batch. XMLHttpRequest, since fetch does not say how much of a body is sent.
 * @throws Problem what the API said instead; an AbortError when it was told to stop
 */
export function sendBatch<T extends Submission | Plan>(
  domain: string,
  batch: Batch,
  { dryRun = false, signal, onSent }: SendOptions,
): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const request = new XMLHttpRequest()
    const query = dryRun ? '?dryRun=true' : ''
    request.open('POST', `/v1/domains/${encodeURIComponent(domain)}/documents${query}`)
    for (const [name, value] of Object.entries(headersOf())) request.setRequestHeader(name, value)
    if (batch.type !== undefined) request.setRequestHeader('content-type', batch.type)
    // What surrounds the files in a form counts as well.
    request.upload.onprogress = ({ loaded }) => onSent(Math.min(loaded, batch.bytes))
    request.onload = () => {
      const body = parsed(request.responseText)
      if (request.status >= 200 && request.status < 300) return resolve(body as T)
      if (request.status === 401) session.ask()
      reject(problemOf(request.status, body, request.getResponseHeader('retry-after')))
    }
    request.onerror = () =>
      reject(new Problem(0, { code: UNREACHABLE, message: 'The connection broke while it was used' }))
    request.onabort = () => reject(new DOMException('Stopped', 'AbortError'))
    signal.addEventListener('abort', () => request.abort(), { once: true })
    request.send(batch.body)
  })
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Files that the browser cannot read any more: moved, removed or changed since they were chosen. */
export async function unreadable(batch: Batch): Promise<ReadonlySet<string>> {
  const lost = await Promise.all(
    batch.files.map(async ({ id, file }) => {
      try {
        await file.slice(0, 1).arrayBuffer()
        return undefined
      } catch {
        return id
      }
    }),
  )
  return new Set(lost.filter((id) => id !== undefined))
}
