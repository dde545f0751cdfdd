import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError } from '@millrace/errors'
import { type Client, type Submission, submissionSchema } from './client.js'
import type { FileDocument } from './files.js'

/** What became of some documents that were sent. */
export interface Submitted {
  readonly ingestions: readonly string[]
  readonly accepted: number
  readonly rejected: readonly Refused[]
}

/** A document that the server did not take. */
export interface Refused {
  readonly id: string
  readonly code: string
  readonly message: string
}

const RETRIES_MAX = 10
const RETRY_MS = 500
/** The server's own limits may be lower than what one request carries. */
const TOO_LARGE = new Set(['BODY_TOO_LARGE', 'TOO_MANY_DOCUMENTS'])

/**
 * Submits documents. A server that is busy is asked again; a request that is too large for it goes in halves, and
 * what is too large by itself is refused alone.
 * @throws CodedError what the server says of the call itself, UNREACHABLE
 */
export async function submit(
  client: Client,
  domain: string,
  documents: readonly FileDocument[],
): Promise<Submitted> {
  try {
    const { ingestion, accepted, rejected } = await post(client, domain, documents)
    return { ingestions: [ingestion], accepted, rejected: named(rejected, documents) }
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    if (error.code === 'NO_DOCUMENTS') {
      return { ingestions: [], accepted: 0, rejected: named(rejectedIn(error), documents) }
    }
    if (!TOO_LARGE.has(error.code)) throw error
    const [first, second] = documents
    if (first !== undefined && second === undefined) {
      return {
        ingestions: [],
        accepted: 0,
        rejected: [{ id: first.id, code: error.code, message: error.message }],
      }
    }
    const half = Math.ceil(documents.length / 2)
    return join(
      await submit(client, domain, documents.slice(0, half)),
      await submit(client, domain, documents.slice(half)),
    )
  }
}

async function post(client: Client, domain: string, documents: readonly FileDocument[]): Promise<Submission> {
  const path = `/v1/domains/${encodeURIComponent(domain)}/documents`
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.post(path, { documents }, submissionSchema)
    } catch (error) {
      const isBusy = error instanceof CodedError && error.retryable && error.code !== 'UNREACHABLE'
      if (!isBusy || attempt === RETRIES_MAX) throw error
      await sleep(RETRY_MS * attempt)
    }
  }
}

/** None of them was acceptable: the reasons are in the error. */
function rejectedIn(error: CodedError): Submission['rejected'] {
  const known = submissionSchema.pick({ rejected: true }).safeParse(error.details)
  if (!known.success) throw error
  return known.data.rejected
}

const named = (rejected: Submission['rejected'], documents: readonly FileDocument[]): Refused[] =>
  rejected.map(({ index, code, message }) => ({ id: documents[index]?.id ?? String(index), code, message }))

const join = (a: Submitted, b: Submitted): Submitted => ({
  ingestions: [...a.ingestions, ...b.ingestions],
  accepted: a.accepted + b.accepted,
  rejected: [...a.rejected, ...b.rejected],
})
