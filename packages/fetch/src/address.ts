import ipaddr from 'ipaddr.js'
import type { Address, Allow } from './allow.js'

/** Public by its range, and yet what a machine of Azure asks about itself and is given its secrets. */
const AZURE_METADATA = '168.63.129.16'

/** Where the addresses of the internet are; what is outside is reserved, or translated to something else. */
const IPV6_INTERNET = ipaddr.IPv6.parseCIDR('2000::/3')

/**
 * Why nothing may connect to an address, in a word or two; undefined when it may. Only what is known to be on the
 * public internet may, so that a range this does not know is refused.
 * @param host the host of the URL, as `hostOf` has it: a name that leads to the address, or the address
 */
export function refusal(address: string, host: string, allow: Allow): string | undefined {
  if (allow.names.has(host)) return undefined
  if (!ipaddr.isValid(address)) return 'unknown'
  const parsed = ipaddr.parse(address)
  if (formsOf(parsed).some((form) => isAllowed(form, allow))) return undefined
  const range = parsed.range()
  if (range !== 'unicast') return range
  if (parsed.toString() === AZURE_METADATA) return 'metadata'
  return parsed instanceof ipaddr.IPv6 && !parsed.match(IPV6_INTERNET) ? 'reserved' : undefined
}

const isAllowed = (address: Address, { ranges }: Allow): boolean =>
  ranges.some(([start, bits]) => start.kind() === address.kind() && address.match(start, bits))

/** An address, and the IPv4 address that it is another way to write. */
const formsOf = (address: Address): Address[] =>
  address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()
    ? [address, address.toIPv4Address()]
    : [address]
