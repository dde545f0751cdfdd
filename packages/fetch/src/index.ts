export type { Allow } from './allow.js'
export { ALLOW_NOTHING, parseAllow } from './allow.js'
export type { Fetched, Fetcher, FetcherDeps, FetcherOptions, FetchOptions, Resolve } from './fetcher.js'
export { FETCH_DEFAULTS, openFetcher } from './fetcher.js'
