import type { Standing } from '@millrace/store'

/** What a document waits for, as a caller sees it. */
export interface Waiting {
  readonly code:
    | 'CANCELLING'
    | 'NO_WORKER'
    | 'SENDING'
    | 'QUEUED'
    | 'PREPARING'
    | 'RETRYING'
    | 'WAITS_FOR_TEXTS'
  readonly message: string
  /** NO_WORKER: since the last sign of life of any worker; null: there never was one. */
  readonly lastSeenSeconds?: number | null
  /** QUEUED, SENDING: documents that may be prepared before it, at most. */
  readonly ahead?: number
  /** RETRYING: how often it, or one of its texts, was begun. */
  readonly attempts?: number
  /** RETRYING: why the last attempt broke off, where that is known. */
  readonly error?: { readonly code: string; readonly message: string }
  /** WAITS_FOR_TEXTS, RETRYING: its texts without a vector, and how many of them a worker has. */
  readonly missing?: number
  readonly leased?: number
}

/** Null for a document that has come to its end. */
export function waitingOf(standing: Standing): Waiting | null {
  const { state } = standing
  if (state !== 'received' && state !== 'preparing' && state !== 'embedding') return null
  if (standing.cancelling) {
    return { code: 'CANCELLING', message: 'Its ingestion was cancelled; the document is about to follow' }
  }
  if (standing.workers === 0) return noWorker(standing)
  return state === 'embedding' ? forTexts(standing) : forPreparation(standing)
}

function noWorker({ workerSeenSeconds }: Standing): Waiting {
  const seen = workerSeenSeconds === null ? null : Math.round(workerSeenSeconds)
  const since = seen === null ? 'none was seen lately' : `the last was seen ${seen} seconds ago`
  return { code: 'NO_WORKER', message: `No worker is running: ${since}`, lastSeenSeconds: seen }
}

function forPreparation({ state, attempts, receiving, ahead }: Standing): Waiting {
  const broke = state === 'preparing' ? attempts - 1 : attempts
  if (broke > 0) {
    return {
      code: 'RETRYING',
      message: `Preparing it broke off ${times(broke)}; it is ${state === 'preparing' ? 'being tried again' : 'tried again'}`,
      attempts,
    }
  }
  if (state === 'preparing')
    return { code: 'PREPARING', message: 'It is being read, cleaned and cut into chunks' }
  const before = `at most ${ahead} ${ahead === 1 ? 'document is' : 'documents are'} prepared before it`
  return receiving
    ? { code: 'SENDING', message: `Its ingestion is still being received; ${before}`, ahead }
    : { code: 'QUEUED', message: `It waits to be prepared; ${before}`, ahead }
}

function forTexts({ missing, leased, textAttempts, errorCode, errorMessage }: Standing): Waiting {
  const texts = `${missing} of its texts ${missing === 1 ? 'has' : 'have'} no vector yet, a worker has ${leased} of them`
  if (errorCode === null && textAttempts < 2) {
    const message = missing === 0 ? 'All its texts have vectors; it is ready in a moment' : texts
    return { code: 'WAITS_FOR_TEXTS', message, missing, leased }
  }
  const why = errorCode === null ? '' : `: ${errorMessage ?? errorCode}`
  return {
    code: 'RETRYING',
    message: `${texts}; the last attempt broke off${why}`,
    attempts: textAttempts,
    ...(errorCode === null ? {} : { error: { code: errorCode, message: errorMessage ?? '' } }),
    missing,
    leased,
  }
}

const times = (count: number) => (count === 1 ? 'once' : `${count} times`)
