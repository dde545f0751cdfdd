import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError, messageOf } from '@millrace/errors'
import { z } from 'zod'
import { type Attempt, inPieces, newAttempt } from './body.js'
import { type Client, submissionSchema } from './client.js'

export interface Request {
  readonly contentType: string
  /** The body, read from its beginning; what cannot be sent is noted in `attempt`. */
  open(attempt: Attempt): AsyncIterable<Uint8Array | string>
  /** False once standard input has been read too far to be sent again. */
  canRepeat(): boolean
}

export interface Sent<T> {
  /** undefined: there was nothing to send, or nothing that was acceptable. */
  readonly answer: T | undefined
  /** Of a request of which nothing was acceptable. */
  readonly rejected: Rejected
  readonly attempt: Attempt
}
type Rejected = z.infer<typeof submissionSchema>['rejected']

const RETRIES_MAX = 10
const RETRY_MS = 500

/**
 * Sends a request whose body is read as it is sent. A server that is busy is asked again, with a body that is read
 * anew; one that goes away half-way is not, since what arrived is kept and sending it all again is for the user to say.
 * @throws CodedError what the server says of the call itself, UNREACHABLE, CONNECTION_LOST, and those of the body
 */
export async function send<T>(
  client: Client,
  path: string,
  request: Request,
  schema: z.ZodType<T>,
  onSent: (documents: number) => void,
): Promise<Sent<T>> {
  for (let tries = 1; ; tries++) {
    const attempt = newAttempt()
    const pieces = inPieces(request.open(attempt))
    const first = await pieces.next()
    if (first.done === true) return { answer: undefined, rejected: [], attempt }
    const state: Reading = { began: false, failure: undefined }
    const bytes = watched(first.value, pieces, state, () => onSent(attempt.places.count))
    try {
      const answer = await client.send(path, { contentType: request.contentType, bytes }, schema)
      return { answer, rejected: [], attempt }
    } catch (error) {
      if (state.failure !== undefined) throw state.failure
      const rejected = rejectedIn(error)
      if (rejected !== undefined) return { answer: undefined, rejected, attempt }
      const isCoded = error instanceof CodedError
      if (isCoded && error.code === 'UNREACHABLE' && state.began) throw lost(client, attempt, error)
      const isBusy = isCoded && error.retryable && error.code !== 'UNREACHABLE'
      if (!isBusy || tries === RETRIES_MAX || !request.canRepeat()) throw error
    } finally {
      await pieces.return(undefined)
    }
    await sleep(RETRY_MS * tries)
  }
}

interface Reading {
  /** The server has begun to take the body. */
  began: boolean
  /** What is wrong with the body, which the failure of the call only wraps. */
  failure: unknown
}

async function* watched(
  first: Uint8Array,
  rest: AsyncIterable<Uint8Array>,
  state: Reading,
  onPiece: () => void,
): AsyncGenerator<Uint8Array> {
  state.began = true
  try {
    yield first
    onPiece()
    for await (const piece of rest) {
      yield piece
      onPiece()
    }
  } catch (error) {
    state.failure = error
    throw error
  }
}

const lost = (client: Client, { places }: Attempt, cause: CodedError) =>
  new CodedError(
    'CONNECTION_LOST',
    `The connection to ${client.url} broke while documents were sent (about ${places.count}): ${reasonOf(cause)}`,
    {
      hint: 'What arrived whole is kept. Run it again: what is there already costs nothing',
      cause,
    },
  )

/** What is at the bottom of a failed call. */
const reasonOf = ({ cause }: CodedError): string =>
  messageOf(cause instanceof Error && cause.cause !== undefined ? cause.cause : cause)

/** None of them was acceptable: the reasons are in the error. */
function rejectedIn(error: unknown): Rejected | undefined {
  if (!(error instanceof CodedError) || error.code !== 'NO_DOCUMENTS') return undefined
  const known = z.object({ rejected: submissionSchema.shape.rejected }).safeParse(error.details)
  return known.success ? known.data.rejected : undefined
}
