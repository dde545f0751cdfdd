import { isIP } from 'node:net'
import { CodedError } from '@millrace/errors'
import ipaddr from 'ipaddr.js'

export type Address = ReturnType<typeof ipaddr.parse>
type Range = ReturnType<typeof ipaddr.parseCIDR>

/** What may be connected to although it is not on the public internet. */
export interface Allow {
  /** Names in lower case; whatever they resolve to is allowed. */
  readonly names: ReadonlySet<string>
  readonly ranges: readonly Range[]
}

export const ALLOW_NOTHING: Allow = { names: new Set(), ranges: [] }

/**
 * Reads a list of host names, addresses and CIDRs, separated by commas. Blank entries are skipped.
 * @param setting the variable that it is the value of, for the error
 * @throws CodedError SETTING_INVALID, with the entry
 */
export function parseAllow(list: string, setting = 'URL_ALLOW'): Allow {
  const names = new Set<string>()
  const ranges: Range[] = []
  for (const entry of list.split(',').map((one) => one.trim())) {
    if (entry === '') continue
    const range = rangeOf(entry)
    const name = range === undefined ? nameOf(entry) : undefined
    if (range !== undefined) ranges.push(range)
    else if (name !== undefined) names.add(name)
    else throw invalid(setting, entry)
  }
  return { names, ranges }
}

const invalid = (setting: string, entry: string): CodedError =>
  new CodedError('SETTING_INVALID', `${setting} has an entry that is no host, address or CIDR: "${entry}"`, {
    hint: 'Write host names without port and wildcard, addresses in full, as in wiki.local,192.168.1.7,10.0.0.0/8',
    details: { setting },
  })

function rangeOf(entry: string): Range | undefined {
  const { IPv4, IPv6 } = ipaddr
  if (IPv4.isValidCIDRFourPartDecimal(entry) || IPv6.isValidCIDR(entry)) return ipaddr.parseCIDR(entry)
  const address = entry.replace(/^\[(.*)\]$/, '$1')
  if (IPv4.isValidFourPartDecimal(address)) return [IPv4.parse(address), 32]
  return IPv6.isValid(address) ? [IPv6.parse(address), 128] : undefined
}

/** As a URL has it: lower case, punycode; undefined for what is no name, addresses in odd forms included. */
function nameOf(entry: string): string | undefined {
  const url = /^[^\s/\\:@?#%*[\]]+$/.test(entry) ? `http://${entry}/` : ''
  if (!URL.canParse(url)) return undefined
  const name = hostOf(new URL(url))
  return isIP(name) === 0 && name !== '' ? name : undefined
}

/** The host of a URL without brackets around an IPv6 address and a dot at the end of a name. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
