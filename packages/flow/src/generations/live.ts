import { codeOf } from '@millrace/errors'
import type { Db } from '@millrace/store'
import { type Domain, findDomain } from '../verbs/domains.js'

/** Postgres's for what a search looks for and is not there: the generation itself (P0002), or one of its tables. */
const GONE = new Set(['UNKNOWN_DOMAIN', 'P0002', '42P01'])

export const isGone = (error: unknown): boolean => GONE.has(codeOf(error))

/**
 * The domain with the generation that is live by now; undefined where it still is the one that `domain` has, or where
 * `domain` was meant to be another one than the live one.
 * @throws CodedError UNKNOWN_DOMAIN when it was deleted
 */
export async function successorOf(deps: { readonly db: Db }, domain: Domain): Promise<Domain | undefined> {
  if (domain.generationState !== 'live') return undefined
  const now = await findDomain(deps, domain.name)
  return now.id === domain.id && now.generationId !== domain.generationId ? now : undefined
}

/**
 * Asks something of a domain as it was looked up, and finishes on that generation also when another becomes live meanwhile.
 * Where it has ended by then, it is asked once more of the one that is live.
 */
export async function askLive<T>(
  deps: { readonly db: Db },
  domain: Domain,
  ask: (domain: Domain) => Promise<T>,
): Promise<T> {
  try {
    return await ask(domain)
  } catch (error) {
    const now = isGone(error) ? await successorOf(deps, domain) : undefined
    if (now === undefined) throw error
    return ask(now)
  }
}
