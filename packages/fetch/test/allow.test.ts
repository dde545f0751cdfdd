import { type Allow, parseAllow } from '@millrace/fetch'
import { refusal } from '@millrace/fetch/address'
import { describe, expect, test } from 'vitest'

const NOTHING = parseAllow('')

describe('an address is refused', () => {
  test.each([
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['10.0.0.1', 'private'],
    ['100.64.0.1', 'carrierGradeNat'],
    ['100.100.100.200', 'carrierGradeNat'],
    ['127.0.0.1', 'loopback'],
    ['127.8.8.8', 'loopback'],
    ['168.63.129.16', 'metadata'],
    ['169.254.169.254', 'linkLocal'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.0.0.192', 'reserved'],
    ['192.0.2.1', 'reserved'],
    ['192.168.1.1', 'private'],
    ['198.18.0.1', 'reserved'],
    ['224.0.0.1', 'multicast'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.255', 'broadcast'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['::808:808', 'reserved'],
    ['::ffff:127.0.0.1', 'ipv4Mapped'],
    ['::ffff:8.8.8.8', 'ipv4Mapped'],
    ['64:ff9b::a00:1', 'rfc6052'],
    ['64:ff9b:1::a00:1', 'rfc6052'],
    ['100::1', 'discard'],
    ['2001:db8::1', 'reserved'],
    ['2001::1', 'teredo'],
    ['2002:a00:1::', '6to4'],
    ['4000::1', 'reserved'],
    ['fc00::1', 'uniqueLocal'],
    ['fd00:ec2::254', 'uniqueLocal'],
    ['fe80::1', 'linkLocal'],
    ['fe80::1%eth0', 'linkLocal'],
    ['fec0::1', 'deprecatedSiteLocal'],
    ['ff02::1', 'multicast'],
    ['not an address', 'unknown'],
  ])('%s, as %s', (address, range) => {
    expect(refusal(address, 'some.name', NOTHING)).toBe(range)
  })

  test.each(['1.1.1.1', '8.8.8.8', '172.15.0.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111'])(
    'and %s is not',
    (address) => {
      expect(refusal(address, 'some.name', NOTHING)).toBeUndefined()
    },
  )
})

describe('what is allowed', () => {
  const isAllowed = (allow: Allow, address: string, host = 'some.name'): boolean =>
    refusal(address, host, allow) === undefined

  test('is an address, in IPv6 also in brackets', () => {
    const allow = parseAllow('192.168.1.7, [fd00::7]')
    expect(isAllowed(allow, '192.168.1.7')).toBe(true)
    expect(isAllowed(allow, '::ffff:192.168.1.7')).toBe(true)
    expect(isAllowed(allow, 'fd00::7')).toBe(true)
    expect(isAllowed(allow, '192.168.1.8')).toBe(false)
    expect(isAllowed(allow, 'fd00::8')).toBe(false)
  })

  test('is a range', () => {
    const allow = parseAllow('10.0.0.0/8,fd00::/8')
    expect(isAllowed(allow, '10.200.3.4')).toBe(true)
    expect(isAllowed(allow, 'fd12::1')).toBe(true)
    expect(isAllowed(allow, '192.168.0.1')).toBe(false)
  })

  test('is a host by its name, wherever that leads, and no other host', () => {
    const allow = parseAllow('Wiki.Local., bücher.example')
    expect(isAllowed(allow, '10.0.0.1', 'wiki.local')).toBe(true)
    expect(isAllowed(allow, '10.0.0.1', 'xn--bcher-kva.example')).toBe(true)
    expect(isAllowed(allow, '10.0.0.1', 'not.wiki.local')).toBe(false)
  })

  test.each([
    'wiki.local:8080',
    'http://wiki.local',
    '*.local',
    '10.0.0.0/33',
    '10.0.0',
    '0x7f.0.0.1',
    '2130706433',
    '10.0.0.0-10.0.0.9',
    'fd00::/129',
    'two words',
    'a/b',
    '.',
  ])('is never %s', (entry) => {
    expect(() => parseAllow(`127.0.0.1,${entry}`)).toThrow(
      expect.objectContaining({ code: 'SETTING_INVALID', message: expect.stringContaining(`"${entry}"`) }),
    )
  })
})
