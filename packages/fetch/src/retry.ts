/** Tries of a fetch, the first included. */
export const TRIES = 3
/** The first wait is up to this long, each next one up to twice as long, in milliseconds. */
const BACKOFF_MS = 500

/**
 * Retry-After in milliseconds from now: a number of seconds, or a date; undefined when it is neither.
 * @param now in milliseconds since 1970
 */
export function parseRetryAfter(header: string | undefined, now: number): number | undefined {
  const value = header?.trim() ?? ''
  if (/^\d+$/.test(value)) return Number(value) * 1_000
  const at = /[a-z]/i.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}

/**
 * How long to wait before the next try, in milliseconds: what the server asked for, and a random time on top so that
 * those who failed together do not come back together.
 * @param tries that failed until now, at least 1
 * @param random from 0 to 1
 */
export const waitMs = (tries: number, retryAfterMs: number | undefined, random: number): number =>
  (retryAfterMs ?? 0) + Math.round(random * BACKOFF_MS * 2 ** (tries - 1))
