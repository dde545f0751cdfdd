import { CodedError, messageOf } from '@millrace/errors'
import { z } from 'zod'
import type { WantedFile } from '../digest.js'
import { type DownloadDeps, interrupted } from './download.js'
import type { Hub } from './hub.js'
import { ATTEMPTS_MAX, isPassing, Passing, pauseMs, RETRY_AFTER_MAX_MS, retryAfterMs } from './retry.js'
import { watch } from './stall.js'

const strings = z.union([z.string().transform((one) => [one]), z.array(z.string())])
const infoSchema = z.object({
  /** The commit that a branch or tag stands for now. */
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  cardData: z.object({ license: z.string().nullish(), language: strings.nullish() }).nullish(),
})
const treeSchema = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    oid: z.string(),
    size: z.int(),
    lfs: z.object({ oid: z.string(), size: z.int() }).nullish(),
  }),
)

/** A repository of a hub at a commit. */
export interface Listing {
  readonly commit: string
  readonly files: readonly WantedFile[]
  readonly licence: string | undefined
  readonly languages: readonly string[] | undefined
}

export interface ListingOptions {
  readonly hub: Hub
  readonly repo: string
  readonly revision: string
  readonly stallMs: number
  readonly signal?: AbortSignal | undefined
}

/** A hub gives a thousand files a page; a model has a hundred at most. */
const PAGES_MAX = 20

/**
 * Asks a hub what a repository has.
 * @throws CodedError DOWNLOAD_REFUSED, DOWNLOAD_FAILED, INTERRUPTED
 */
export async function readListing(options: ListingOptions, deps: DownloadDeps): Promise<Listing> {
  const { hub, repo, revision } = options
  const base = `${hub.endpoint}/api/models/${repo.split('/').map(encodeURIComponent).join('/')}`
  const info = await ask(`${base}/revision/${encodeURIComponent(revision)}`, infoSchema, options, deps)
  const files: WantedFile[] = []
  let next: string | undefined = `${base}/tree/${info.value.sha}?recursive=true`
  for (let page = 0; next !== undefined && page < PAGES_MAX; page++) {
    const { value, link }: Answer<z.infer<typeof treeSchema>> = await ask(next, treeSchema, options, deps)
    for (const { type, path, oid, size, lfs } of value) {
      if (type === 'file') files.push({ path, bytes: lfs?.size ?? size, sha256: lfs?.oid, gitOid: oid })
    }
    next = nextOf(link, hub)
  }
  const { cardData } = info.value
  return {
    commit: info.value.sha,
    files,
    licence: cardData?.license ?? undefined,
    languages: cardData?.language?.filter((code) => code.length >= 2),
  }
}

/** The next page, on this hub only: the token goes with it. */
function nextOf(link: string | null, { endpoint }: Hub): string | undefined {
  const [, url] = /<([^>]+)>;\s*rel="next"/.exec(link ?? '') ?? []
  if (url === undefined) return undefined
  const absolute = new URL(url, endpoint)
  return absolute.origin === new URL(endpoint).origin ? absolute.href : undefined
}

interface Answer<T> {
  readonly value: T
  readonly link: string | null
}

async function ask<T>(
  url: string,
  schema: z.ZodType<T>,
  options: ListingOptions,
  deps: DownloadDeps,
): Promise<Answer<T>> {
  const { signal } = options
  for (let failures = 1; ; failures++) {
    try {
      return await askOnce(url, schema, options, deps)
    } catch (error) {
      if (signal?.aborted) throw interrupted()
      if (!(error instanceof Passing)) throw error
      if (failures >= ATTEMPTS_MAX || (error.afterMs ?? 0) > RETRY_AFTER_MAX_MS) {
        throw new CodedError('DOWNLOAD_FAILED', `${url} does not answer: ${error.message}`, {
          hint: 'Check HF_ENDPOINT and the network, and run it again',
          retryable: true,
          cause: error,
        })
      }
      await deps.sleep(pauseMs(failures, deps.random(), error.afterMs), signal).catch(() => undefined)
    }
  }
}

async function askOnce<T>(
  url: string,
  schema: z.ZodType<T>,
  { hub, stallMs, signal }: ListingOptions,
  deps: DownloadDeps,
): Promise<Answer<T>> {
  const guard = watch(stallMs, signal)
  const headers = hub.token === undefined ? {} : { authorization: `Bearer ${hub.token}` }
  let response: Response
  let text: string
  try {
    response = await deps.fetch(url, { headers, signal: guard.signal })
    text = await response.text()
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    throw new Passing(messageOf(cause), undefined, error)
  } finally {
    guard.stop()
  }
  if (isPassing(response.status)) {
    throw new Passing(
      `HTTP ${response.status}`,
      retryAfterMs(response.headers.get('retry-after'), deps.now()),
    )
  }
  const checked = response.ok ? schema.safeParse(parseJson(text)) : undefined
  if (checked?.success) return { value: checked.data, link: response.headers.get('link') }
  const why = response.ok ? 'gives not what a hub of models gives' : `says HTTP ${response.status}`
  throw new CodedError('DOWNLOAD_REFUSED', `${url} ${why}`, {
    hint: 'Check the name of the repository and its revision, HF_ENDPOINT, and HF_TOKEN where it is not public',
  })
}

/** Undefined for what is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
