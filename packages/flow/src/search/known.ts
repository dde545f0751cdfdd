import type { Db } from '@millrace/store'
import { LRUCache } from 'lru-cache'
import { type Domain, findDomain } from '../verbs/domains.js'

/** Domains of this process's last searches. */
export interface KnownDomains {
  /** As it was when it was last looked up: good for a guess, never for an answer. */
  last(name: string): Domain | undefined
  /** As it is. @throws CodedError UNKNOWN_DOMAIN */
  find(name: string): Promise<Domain>
}

const DOMAINS_MAX = 1_000

export function openKnownDomains(deps: { readonly db: Db }): KnownDomains {
  const kept = new LRUCache<string, Domain>({ max: DOMAINS_MAX })
  return {
    last: (name) => kept.get(name),
    find: async (name) => {
      try {
        const domain = await findDomain(deps, name)
        kept.set(name, domain)
        return domain
      } catch (error) {
        kept.delete(name)
        throw error
      }
    },
  }
}
