/** The first wait is up to this long, each next one up to twice as long, in milliseconds. */
export const BACKOFF_MS = 500
export const BACKOFF_MAX_MS = 30_000
/** What a server may ask for with Retry-After; who asks for more is asked again then all the same. */
export const RETRY_AFTER_MAX_MS = 60_000

/**
 * Whether the same request may be answered later: the server is busy, restarting, or failed on its side. 424 is
 * what text-embeddings-inference says when its own model failed.
 */
export const isTemporary = (status: number): boolean =>
  status >= 500 || status === 408 || status === 424 || status === 425 || status === 429

/** Whether it is about what was sent, so that other texts may do. */
export const isAboutTexts = (status: number): boolean => status === 400 || status === 413 || status === 422

/**
 * Retry-After in milliseconds from now: a number of seconds, or a date; undefined when it is neither.
 * @param now in milliseconds since 1970
 */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  const value = header?.trim() ?? ''
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1_000
  const at = /[a-z]/i.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}

/**
 * How long to wait before the next try, in milliseconds. Full jitter: clients that failed together do not come
 * back together. What the server asked for is the least.
 * @param tries that failed until now, at least 1
 * @param random from 0 to 1
 */
export function waitMs(tries: number, retryAfterMs: number | undefined, random: number): number {
  const jittered = Math.round(random * Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** (tries - 1)))
  return retryAfterMs === undefined ? jittered : Math.min(retryAfterMs, RETRY_AFTER_MAX_MS) + jittered
}
