import { lookup as lookupName } from 'node:dns/promises'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError } from '@millrace/errors'
import { refusal } from './address.js'
import { ALLOW_NOTHING, type Allow, hostOf } from './allow.js'
import { ENCODINGS, readBody } from './body.js'
import {
  aborted,
  badAnswer,
  codedOf,
  refusedAddress,
  timedOut,
  tooLarge,
  tooManyRedirects,
  wrongStatus,
} from './errors.js'
import { nameOf, utf8Of } from './name.js'
import { parseRetryAfter, TRIES, waitMs } from './retry.js'
import { targetOf } from './target.js'

export interface FetcherOptions {
  /** What may be connected to although it is not on the public internet. Default: nothing. */
  readonly allow?: Allow | undefined
  /** For everything together: names, redirects, tries and the last byte. Default 30. */
  readonly seconds?: number | undefined
  /** Of a body after decoding. Default 64 MiB. */
  readonly bytesMax?: number | undefined
  /** Default 5. */
  readonly redirectsMax?: number | undefined
  /** Default: millrace/0.1. */
  readonly userAgent?: string | undefined
}

export interface FetchOptions {
  /** The call is given up when it says so. */
  readonly signal?: AbortSignal | undefined
  /** Of an earlier answer: when it is still true there, `unchanged` is. */
  readonly etag?: string | undefined
  /** The same, with the header Last-Modified of an earlier answer. */
  readonly lastModified?: string | undefined
}

export interface Fetched {
  /** Decoded; empty when it is unchanged. */
  readonly bytes: Buffer
  /** The header Content-Type as it was sent, charset included. */
  readonly mediaType: string | null
  /** Where the redirects ended. */
  readonly url: string
  /** Of the file, without a folder; '' when neither a header nor the path has one. */
  readonly name: string
  readonly etag: string | null
  readonly lastModified: string | null
  /** The server says it is what `etag` or `lastModified` were of. */
  readonly unchanged: boolean
}

export interface Fetcher {
  /**
   * Gets what is at an http or https URL. Connection errors, 429 and 502 to 504 are tried three times in all.
   * @throws CodedError URL_INVALID, URL_REFUSED, URL_TOO_MANY_REDIRECTS, URL_TIMEOUT, URL_TOO_LARGE, URL_STATUS
   * (details.status), URL_BAD_ANSWER, URL_UNREACHABLE; ABORTED
   */
  fetch(url: string, options?: FetchOptions): Promise<Fetched>
  /** Ends what is under way, which rejects as ABORTED, and lets go of all connections. */
  close(): void
}

/** Every address of a name. */
export type Resolve = (name: string) => Promise<readonly { address: string; family: number }[]>

/** What it is done with; tests hand in their own. */
export interface FetcherDeps {
  readonly resolve: Resolve
  /** Rejects when the signal says so. @param ms milliseconds */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>
  /** From 0 to 1. */
  readonly random: () => number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

const DEPS: FetcherDeps = {
  resolve: (name) => lookupName(name, { all: true }),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
  random: Math.random,
  now: Date.now,
}

export const FETCH_DEFAULTS = {
  seconds: 30,
  bytesMax: 64 * 1024 * 1024,
  redirectsMax: 5,
  userAgent: 'millrace/0.1',
} as const

/** How long a connection nobody uses is kept, in milliseconds. */
const IDLE_MS = 10_000

/**
 * Opens what fetches documents for strangers: whoever submits a URL must not reach through this machine what only
 * this machine can reach. Addresses are checked where a socket is about to connect to them, so that a name cannot
 * lead elsewhere between the check and the connection, and again at each redirect. Proxies that the environment names
 * are not used: they would resolve names themselves.
 */
export function openFetcher(options: FetcherOptions = {}, deps: FetcherDeps = DEPS): Fetcher {
  const allow = options.allow ?? ALLOW_NOTHING
  const seconds = options.seconds ?? FETCH_DEFAULTS.seconds
  const bytesMax = options.bytesMax ?? FETCH_DEFAULTS.bytesMax
  const redirectsMax = options.redirectsMax ?? FETCH_DEFAULTS.redirectsMax
  const userAgent = options.userAgent ?? FETCH_DEFAULTS.userAgent
  const agents = {
    'http:': new http.Agent({ keepAlive: true, timeout: IDLE_MS }),
    'https:': new https.Agent({ keepAlive: true, timeout: IDLE_MS }),
  }
  const underWay = new Set<AbortController>()
  let isClosed = false

  /** What the socket asks for the addresses of a name: those that it gets are those it connects to. */
  function lookupFor(url: URL): LookupFunction {
    const host = hostOf(url)
    return (name, { all }, done) => {
      deps.resolve(name).then(
        (addresses) => {
          const refused = addresses.find(({ address }) => refusal(address, host, allow) !== undefined)
          const [first] = addresses
          if (refused !== undefined) done(refusedAt(url, refused.address), '')
          else if (first === undefined) done(new Error(`${name} has no address`), '')
          else if (all === true) done(null, [...addresses])
          else done(null, first.address, first.family)
        },
        (error: unknown) => done(error instanceof Error ? error : new Error(String(error)), ''),
      )
    }
  }

  const refusedAt = (url: URL, address: string): CodedError =>
    refusedAddress(url, address, refusal(address, hostOf(url), allow) ?? 'unknown')

  /** Sends one request and waits for the head of its answer. */
  function request(url: URL, { etag, lastModified }: FetchOptions, signal: AbortSignal) {
    const host = hostOf(url)
    // An address in the URL is connected to without a lookup.
    if (isIP(host) !== 0 && refusal(host, host, allow) !== undefined) throw refusedAt(url, host)
    const isSecure = url.protocol === 'https:'
    return new Promise<IncomingMessage>((resolve, reject) => {
      const sent = (isSecure ? https : http).request(url, {
        agent: agents[isSecure ? 'https:' : 'http:'],
        lookup: lookupFor(url),
        signal,
        headers: {
          accept: '*/*',
          'accept-encoding': ENCODINGS,
          'user-agent': userAgent,
          ...(etag === undefined ? {} : { 'if-none-match': etag }),
          ...(lastModified === undefined ? {} : { 'if-modified-since': lastModified }),
        },
      })
      sent.on('response', resolve).on('error', reject).end()
    })
  }

  /** One answer: the file, or where to go on. */
  async function step(url: URL, options: FetchOptions, signal: AbortSignal): Promise<Fetched | URL> {
    const answer = await request(url, options, signal)
    try {
      return await judge(answer, url, options)
    } finally {
      answer.destroy() // nothing when it was read to its end
    }
  }

  async function judge(answer: IncomingMessage, url: URL, options: FetchOptions): Promise<Fetched | URL> {
    const { statusCode: status = 0, headers } = answer
    if (REDIRECTS.has(status)) {
      if (headers.location === undefined)
        throw badAnswer(url, `it redirects (${status}) without saying where`)
      return targetOf(utf8Of(headers.location), url)
    }
    const isAsked = options.etag !== undefined || options.lastModified !== undefined
    const unchanged = status === 304 && isAsked
    if (!unchanged && !FILES.has(status)) {
      throw wrongStatus(url, status, parseRetryAfter(headers['retry-after'], deps.now()))
    }
    const encoding = headers['content-encoding']
    const announced = encoding === undefined ? Number(headers['content-length'] ?? 0) : 0
    if (announced > bytesMax) throw tooLarge(url, bytesMax)
    return {
      bytes: unchanged ? Buffer.alloc(0) : await readBody(answer, encoding, { url, bytesMax }),
      mediaType: headers['content-type'] ?? null,
      url: url.href,
      name: nameOf(headers['content-disposition'], url),
      etag: headers.etag ?? null,
      lastModified: headers['last-modified'] ?? null,
      unchanged,
    }
  }

  /** Follows redirects to the file. */
  async function follow(start: URL, options: FetchOptions, signal: AbortSignal): Promise<Fetched> {
    let url = start
    for (let redirects = 0; redirects <= redirectsMax; redirects++) {
      try {
        const found = await step(url, options, signal)
        if (!(found instanceof URL)) return found
        url = found
      } catch (error) {
        throw codedOf(url, error)
      }
    }
    throw tooManyRedirects(start, redirectsMax)
  }

  /** Tries until it is there, as long as the time lasts. */
  async function persist(start: URL, options: FetchOptions, signal: AbortSignal): Promise<Fetched> {
    const deadline = deps.now() + seconds * 1_000
    for (let tries = 1; ; tries++) {
      try {
        return await follow(start, options, signal)
      } catch (error) {
        if (signal.aborted || !(error instanceof CodedError) || !error.retryable || tries >= TRIES)
          throw error
        const ms = waitMs(tries, retryAfterOf(error), deps.random())
        if (deps.now() + ms >= deadline) throw error
        await deps.sleep(ms, signal)
      }
    }
  }

  return {
    fetch: async (text, options = {}) => {
      const url = targetOf(text)
      const { signal: caller } = options
      const stop = new AbortController()
      let isLate = false
      const timer = setTimeout(() => {
        isLate = true
        stop.abort()
      }, seconds * 1_000)
      const giveUp = () => stop.abort()
      caller?.addEventListener('abort', giveUp)
      if (isClosed || caller?.aborted) giveUp()
      underWay.add(stop)
      try {
        stop.signal.throwIfAborted()
        return await persist(url, options, stop.signal)
      } catch (error) {
        if (caller?.aborted) throw aborted('The caller gave up before the URL was fetched', error)
        if (isClosed) throw aborted('The fetcher is closed', error)
        throw isLate ? timedOut(url, seconds) : error
      } finally {
        clearTimeout(timer)
        caller?.removeEventListener('abort', giveUp)
        underWay.delete(stop)
      }
    },
    close: () => {
      isClosed = true
      for (const stop of underWay) stop.abort()
      for (const agent of Object.values(agents)) agent.destroy()
    },
  }
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])
/** 206 is a part that nobody asked for. */
const FILES = new Set([200, 201, 202, 203, 204])

function retryAfterOf({ details }: CodedError): number | undefined {
  if (typeof details !== 'object' || details === null || !('retryAfterMs' in details)) return undefined
  return typeof details.retryAfterMs === 'number' ? details.retryAfterMs : undefined
}
