import { CodedError, messageOf } from '@millrace/errors'
import { digestFor, digestName, type WantedFile } from '../digest.js'
import { fileUrl, type Hub, type HubPlace, headersFor } from './hub.js'
import { openPart, type Part } from './part.js'
import { ATTEMPTS_MAX, isPassing, Passing, pauseMs, RETRY_AFTER_MAX_MS, retryAfterMs } from './retry.js'
import { watch } from './stall.js'

/** What downloading takes from outside. */
export interface DownloadDeps {
  readonly fetch: typeof fetch
  /** Ends early, by an error, when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>
  /** 0 to 1. */
  readonly random: () => number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export interface Download {
  readonly hub: Hub
  readonly place: HubPlace
  readonly file: WantedFile
  /** Where the complete file goes; until then it is beside that, named `.partial`. */
  readonly path: string
  /** How long no byte may come, in milliseconds, before the connection is made anew. */
  readonly stallMs: number
  readonly signal?: AbortSignal | undefined
  /** Bytes that are there, counted from 0; may fall when the file is begun anew. */
  readonly onBytes: (bytes: number) => void
  readonly onRetry: (why: string, pauseMs: number) => void
}

/**
 * Downloads a file, going on where an earlier try stopped. No validator goes with a range (If-Range): the commit
 * is fixed, and the hash of the whole, what was there before included, decides. When it is wrong and the file came
 * in pieces, it is begun anew, once: what an earlier run left may have been damaged.
 *
 * Not with @huggingface/hub: its downloads do not go on after a break and compare no hash.
 * @throws CodedError DOWNLOAD_REFUSED (the hub does not have or give the file), DOWNLOAD_ALTERED (it gives another
 * one), DOWNLOAD_FAILED (retryable), DISK_TOO_SMALL, MODELS_DIR_UNUSABLE, INTERRUPTED
 */
export async function download(wanted: Download, deps: DownloadDeps): Promise<void> {
  const { file, path } = wanted
  const part = await openPart(path, file)
  try {
    const isInPieces = await complete(wanted, part, deps)
    let digest = part.digest()
    const needed = digestFor(file)
    if (digest !== needed && isInPieces) {
      await part.restart()
      await complete(wanted, part, deps)
      digest = part.digest()
    }
    if (digest !== needed) throw altered(wanted, `${digestName(file)} ${digest}`, needed)
    await part.settle()
  } catch (error) {
    // Of another file nothing is kept.
    if (error instanceof CodedError && error.code === 'DOWNLOAD_ALTERED') await part.discard()
    else await part.close()
    throw error
  }
}

/**
 * Until all bytes are there: tries that bring new ones are not counted.
 * @returns whether they came in more than one piece
 */
async function complete(wanted: Download, part: Part, deps: DownloadDeps): Promise<boolean> {
  const { file, signal, onBytes, onRetry } = wanted
  onBytes(part.bytes())
  let most = part.bytes()
  let isInPieces = most > 0
  for (let failures = 0; part.bytes() < file.bytes; ) {
    try {
      await attempt(wanted, part, deps)
    } catch (error) {
      if (signal?.aborted) throw interrupted()
      if (!(error instanceof Passing)) throw error
      if (part.bytes() > most) failures = 0
      most = Math.max(most, part.bytes())
      isInPieces = true
      failures += 1
      const tooLong = (error.afterMs ?? 0) > RETRY_AFTER_MAX_MS
      if (failures >= ATTEMPTS_MAX || tooLong) throw failed(wanted, part, error)
      const pause = pauseMs(failures, deps.random(), error.afterMs)
      onRetry(error.message, pause)
      await deps.sleep(pause, signal).catch(() => undefined)
      if (signal?.aborted) throw interrupted()
    }
  }
  return isInPieces
}

async function attempt(wanted: Download, part: Part, deps: DownloadDeps): Promise<void> {
  const { hub, place, file, signal, stallMs, onBytes } = wanted
  const guard = watch(stallMs, signal)
  try {
    const headers = headersFor(hub, part.bytes())
    const response = await deps.fetch(fileUrl(hub, place, file.path), { headers, signal: guard.signal })
    await prepare(wanted, part, response, deps).catch(async (error: unknown) => {
      await response.body?.cancel()
      throw error
    })
    for await (const chunk of response.body ?? []) {
      guard.beat()
      if (part.bytes() + chunk.length > file.bytes) {
        throw altered(wanted, `more than ${file.bytes} bytes`, `${file.bytes}`)
      }
      await part.append(chunk)
      onBytes(part.bytes())
    }
  } catch (error) {
    if (error instanceof CodedError || error instanceof Passing) throw error
    if (guard.isStalled()) throw new Passing(`no byte for ${stallMs / 1_000} s`)
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    throw new Passing(messageOf(cause), undefined, error)
  } finally {
    guard.stop()
  }
  if (part.bytes() < file.bytes) throw new Passing(`it ended at ${part.bytes()} of ${file.bytes} bytes`)
}

/** Reads what the answer is, so that its body can be added to the part as it comes. */
async function prepare(wanted: Download, part: Part, response: Response, deps: DownloadDeps): Promise<void> {
  const { status, headers } = response
  const { file } = wanted
  if (status === 206) {
    const { start, total } = rangeOf(headers)
    if (total !== undefined && total !== file.bytes) throw altered(wanted, `${total} bytes`, `${file.bytes}`)
    if (start === part.bytes()) return
    await part.restart()
    throw new Passing(`it gave bytes from ${start ?? '?'} on, which nobody asked for`)
  }
  if (status === 200) {
    const total = lengthOf(headers)
    if (total !== undefined && total !== file.bytes) throw altered(wanted, `${total} bytes`, `${file.bytes}`)
    // The server knows no ranges: this is the whole file.
    if (part.bytes() > 0) await part.restart()
    return
  }
  if (status === 416) {
    const { total } = rangeOf(headers)
    if (total !== undefined && total !== file.bytes) throw altered(wanted, `${total} bytes`, `${file.bytes}`)
    await part.restart()
    throw new Passing('it has no bytes there (HTTP 416)')
  }
  if (isPassing(status)) {
    throw new Passing(`HTTP ${status}`, retryAfterMs(headers.get('retry-after'), deps.now()))
  }
  throw refused(wanted, status)
}

/** `bytes 5-9/10`; of a 416 `bytes *` and the total. */
function rangeOf(headers: Headers): { start: number | undefined; total: number | undefined } {
  const [, start, total] = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? []
  return { start: numberOf(start), total: numberOf(total) }
}

const numberOf = (digits: string | undefined): number | undefined =>
  digits === undefined || digits === '*' ? undefined : Number(digits)

/** The bytes of the body, where they are those of the file. */
const lengthOf = (headers: Headers): number | undefined =>
  headers.has('content-encoding') ? undefined : numberOf(headers.get('content-length') ?? undefined)

const urlOf = ({ hub, place, file }: Download): string => fileUrl(hub, place, file.path)

const altered = (wanted: Download, has: string, needed: string): CodedError =>
  new CodedError(
    'DOWNLOAD_ALTERED',
    `${wanted.file.path} from ${urlOf(wanted)} has ${has}, and should have ${needed}`,
    { hint: 'The hub, or something on the way, gives another file; check HF_ENDPOINT' },
  )

function refused(wanted: Download, status: number): CodedError {
  const isDoor = status === 401 || status === 403
  const door =
    wanted.hub.token === undefined
      ? 'Set HF_TOKEN to a token of an account that may read the repository'
      : 'The account of HF_TOKEN may not read it: accept its terms on its page, or take another token'
  return new CodedError(
    'DOWNLOAD_REFUSED',
    `The hub does not give ${wanted.file.path}: HTTP ${status} at ${urlOf(wanted)}`,
    { hint: isDoor ? door : 'Check HF_ENDPOINT, and that the repository has the file at that revision' },
  )
}

const failed = (wanted: Download, part: Part, error: Passing): CodedError =>
  new CodedError(
    'DOWNLOAD_FAILED',
    `${wanted.file.path} stopped at ${part.bytes()} of ${wanted.file.bytes} bytes: ${error.message} (${urlOf(wanted)})` +
      (error.afterMs === undefined ? '' : `; the hub asks to wait ${Math.ceil(error.afterMs / 1_000)} s`),
    { hint: 'Run it again: it goes on where it stopped', retryable: true, cause: error },
  )

/** What the caller's signal ends with. */
export const interrupted = (): CodedError =>
  new CodedError('INTERRUPTED', 'Stopped before it was done', {
    hint: 'Run it again: it goes on where it stopped',
  })
