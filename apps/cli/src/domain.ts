import { CodedError } from '@millrace/errors'
import { z } from 'zod'
import { type Client, type Domain, domainDetailSchema, domainSchema } from './client.js'

export async function allDomains(client: Client) {
  const { domains } = await client.get('/v1/domains', z.object({ domains: z.array(domainDetailSchema) }))
  return domains
}

export interface Wanted {
  readonly create?: true | undefined
  /** Nothing may be created. */
  readonly dryRun?: true | undefined
  readonly model?: string | undefined
}

/**
 * The domain is there, created if that is wanted, and has the model that was named.
 * @throws CodedError UNKNOWN_DOMAIN, OTHER_MODEL
 */
export async function requireDomain(client: Client, name: string, wanted: Wanted): Promise<void> {
  const domain = (await getDomain(client, name)) ?? (await createDomain(client, name, wanted))
  if (wanted.model === undefined || wanted.model === domain.model) return
  throw new CodedError(
    'OTHER_MODEL',
    `Domain "${name}" has the model ${domain.model}, --model is ${wanted.model}`,
    {
      hint: 'Leave --model out, or ingest into another domain',
    },
  )
}

async function getDomain(client: Client, name: string): Promise<Domain | undefined> {
  try {
    return await client.get(domainPath(name), domainSchema)
  } catch (error) {
    if (error instanceof CodedError && error.code === 'UNKNOWN_DOMAIN') return undefined
    throw error
  }
}

async function createDomain(client: Client, name: string, wanted: Wanted): Promise<Domain> {
  const { create, dryRun, model } = wanted
  if (create !== true || dryRun === true) {
    throw new CodedError('UNKNOWN_DOMAIN', `There is no domain "${name}"`, {
      hint:
        create === true
          ? '--dry-run creates none: run millrace domains create NAME before it'
          : 'Add --create, or run: millrace domains create NAME',
    })
  }
  try {
    return await client.post('/v1/domains', { name, ...(model === undefined ? {} : { model }) }, domainSchema)
  } catch (error) {
    // Somebody else was faster.
    if (!(error instanceof CodedError) || error.code !== 'DOMAIN_EXISTS') throw error
    return client.get(domainPath(name), domainSchema)
  }
}

/** Where a domain is over HTTP. */
export const domainPath = (name: string) => `/v1/domains/${encodeURIComponent(name)}`
