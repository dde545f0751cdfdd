/** Tries of one file that bring no new byte, before it is given up: after 16 to 32 seconds. */
export const ATTEMPTS_MAX = 7
const BASE_MS = 500
const CAP_MS = 30_000
/** A server that asks for a longer pause is not waited for. */
export const RETRY_AFTER_MAX_MS = 600_000

/** A failure that may pass. */
export class Passing extends Error {
  /** How long the server asked to be left alone, in milliseconds. */
  readonly afterMs: number | undefined

  constructor(message: string, afterMs?: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.afterMs = afterMs
  }
}

/**
 * The pause before the next try, in milliseconds: twice as long each time, up to 30 s, the later half of it by
 * chance, so that many pullers do not come back at once. What the server asked for is the least.
 * @param failures tries that have failed, 1 or more
 * @param random 0 to 1
 */
export function pauseMs(failures: number, random: number, afterMs = 0): number {
  const full = Math.min(CAP_MS, BASE_MS * 2 ** (failures - 1))
  return Math.max(afterMs, Math.round((full / 2) * (1 + random)))
}

/**
 * `Retry-After` in milliseconds, from either of its forms: seconds, or a date. Undefined when there is none, or none
 * that can be read.
 * @param now milliseconds since 1970
 */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  if (header === null) return undefined
  const text = header.trim()
  if (/^\d+$/.test(text)) return Number(text) * 1_000
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** Whether a status may be another one soon: too busy, a gateway's trouble, a fault of the server's. */
export const isPassing = (status: number): boolean =>
  status === 408 || status === 425 || status === 429 || status >= 500
