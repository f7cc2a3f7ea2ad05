import assert from 'node:assert/strict'
import { isIP, isIPv6 } from 'node:net'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { bytesOf, isPermitted, kindOf, type Reach } from './addresses.ts'

const metadata = "a cloud's metadata service"

/** Address, reach, and what it is called. The first and last address of each range, and their neighbours outside. */
const rows: readonly (readonly [address: string, reach: Reach, name: string])[] = [
  ['1.1.1.1', 'public', 'public'],
  ['8.8.8.8', 'public', 'public'],
  ['0.0.0.0', 'never', 'unspecified'],
  ['0.1.2.3', 'never', 'unspecified'],
  ['0.255.255.255', 'never', 'unspecified'],
  ['1.0.0.0', 'public', 'public'],
  ['9.255.255.255', 'public', 'public'],
  ['10.0.0.0', 'private', 'private'],
  ['10.255.255.255', 'private', 'private'],
  ['11.0.0.0', 'public', 'public'],
  ['100.63.255.255', 'public', 'public'],
  ['100.64.0.0', 'private', 'shared by a carrier (RFC 6598)'],
  ['100.100.100.199', 'private', 'shared by a carrier (RFC 6598)'],
  ['100.100.100.200', 'never', metadata],
  ['100.100.100.201', 'private', 'shared by a carrier (RFC 6598)'],
  ['100.127.255.255', 'private', 'shared by a carrier (RFC 6598)'],
  ['100.128.0.0', 'public', 'public'],
  ['126.255.255.255', 'public', 'public'],
  ['127.0.0.0', 'private', 'loopback'],
  ['127.0.0.1', 'private', 'loopback'],
  ['127.255.255.255', 'private', 'loopback'],
  ['128.0.0.0', 'public', 'public'],
  ['168.63.129.15', 'public', 'public'],
  ['168.63.129.16', 'never', metadata],
  ['169.253.255.255', 'public', 'public'],
  ['169.254.0.0', 'never', 'link-local'],
  ['169.254.169.254', 'never', 'link-local'],
  ['169.254.170.2', 'never', 'link-local'],
  ['169.254.255.255', 'never', 'link-local'],
  ['169.255.0.0', 'public', 'public'],
  ['172.15.255.255', 'public', 'public'],
  ['172.16.0.0', 'private', 'private'],
  ['172.31.255.255', 'private', 'private'],
  ['172.32.0.0', 'public', 'public'],
  ['192.0.0.0', 'private', 'reserved'],
  ['192.0.0.192', 'never', metadata],
  ['192.0.0.255', 'private', 'reserved'],
  ['192.0.1.0', 'public', 'public'],
  ['192.0.2.1', 'private', 'for documentation'],
  ['192.88.99.1', 'private', 'reserved'],
  ['192.167.255.255', 'public', 'public'],
  ['192.168.0.0', 'private', 'private'],
  ['192.168.255.255', 'private', 'private'],
  ['192.169.0.0', 'public', 'public'],
  ['198.17.255.255', 'public', 'public'],
  ['198.18.0.0', 'private', 'reserved'],
  ['198.19.255.255', 'private', 'reserved'],
  ['198.20.0.0', 'public', 'public'],
  ['198.51.100.1', 'private', 'for documentation'],
  ['203.0.113.1', 'private', 'for documentation'],
  ['223.255.255.255', 'public', 'public'],
  ['224.0.0.0', 'never', 'multicast'],
  ['224.0.0.251', 'never', 'multicast'],
  ['239.255.255.255', 'never', 'multicast'],
  ['240.0.0.0', 'private', 'reserved'],
  ['255.255.255.254', 'private', 'reserved'],
  ['255.255.255.255', 'never', 'broadcast'],
  ['2606:4700:4700::1111', 'public', 'public'],
  ['2001:4860:4860::8888', 'public', 'public'],
  ['::', 'never', 'unspecified'],
  ['0:0:0:0:0:0:0:0', 'never', 'unspecified'],
  ['::1', 'private', 'loopback'],
  ['0000:0000:0000:0000:0000:0000:0000:0001', 'private', 'loopback'],
  ['::2', 'never', 'unspecified (compatible)'],
  ['::127.0.0.1', 'private', 'compatible'],
  ['::8.8.8.8', 'private', 'compatible'],
  ['::169.254.169.254', 'never', 'link-local (compatible)'],
  ['::ffff:8.8.8.8', 'public', 'public'],
  ['::ffff:127.0.0.1', 'private', 'loopback (mapped)'],
  ['::ffff:7f00:1', 'private', 'loopback (mapped)'],
  ['::FFFF:10.0.0.1', 'private', 'private (mapped)'],
  ['::ffff:169.254.169.254', 'never', 'link-local (mapped)'],
  ['::ffff:a9fe:a9fe', 'never', 'link-local (mapped)'],
  ['0:0:0:0:0:ffff:a9fe:a9fe', 'never', 'link-local (mapped)'],
  ['::ffff:0:0', 'never', 'unspecified (mapped)'],
  ['::ffff:0:127.0.0.1', 'private', 'translated'],
  ['::ffff:0:169.254.169.254', 'never', 'link-local (translated)'],
  ['64:ff9b::8.8.8.8', 'public', 'public'],
  ['64:ff9b::127.0.0.1', 'private', 'loopback (NAT64)'],
  ['64:ff9b::a00:1', 'private', 'private (NAT64)'],
  ['64:ff9b::a9fe:a9fe', 'never', 'link-local (NAT64)'],
  ['64:ff9b::100.100.100.200', 'never', `${metadata} (NAT64)`],
  ['64:ff9b:1::8.8.8.8', 'private', 'local NAT64'],
  ['64:ff9b:1::169.254.169.254', 'never', 'link-local (local NAT64)'],
  ['64:ff9b:1:a9fe:a9:fe00::', 'never', 'link-local (local NAT64)'],
  ['64:ff9b:2::1', 'private', 'reserved'],
  ['2002:808:808::1', 'private', '6to4'],
  ['2002:a9fe:a9fe::1', 'never', 'link-local (6to4)'],
  ['2002:7f00:1::', 'private', '6to4'],
  ['2001::', 'never', 'broadcast (Teredo)'],
  ['2001::1', 'private', 'Teredo'],
  ['2001:0:4136:e378:8000:63bf:5601:5601', 'never', 'link-local (Teredo)'],
  ['2001:0:4136:e378:8000:63bf:3fff:fdd2', 'private', 'Teredo'],
  ['2001:1::1', 'private', 'reserved'],
  ['2001:1ff:ffff::', 'private', 'reserved'],
  ['2001:200::', 'public', 'public'],
  ['2001:db8::1', 'private', 'for documentation'],
  ['3fff::1', 'private', 'for documentation'],
  ['3fff:1000::', 'public', 'public'],
  ['100::1', 'private', 'reserved'],
  ['5f00::1', 'private', 'reserved'],
  ['1fff:ffff::', 'private', 'reserved'],
  ['4000::', 'private', 'reserved'],
  ['fbff::1', 'private', 'reserved'],
  ['fc00::', 'private', 'unique-local'],
  ['fd12:3456::1', 'private', 'unique-local'],
  ['fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'private', 'unique-local'],
  ['fd00:ec2::253', 'private', 'unique-local'],
  ['fd00:ec2::254', 'never', metadata],
  ['fd00:0ec2:0:0:0:0:0:0254', 'never', metadata],
  ['fd20:ce::254', 'never', metadata],
  ['fd00:c1::a9fe:a9fe', 'never', metadata],
  ['fd00:42::42', 'never', metadata],
  ['fe00::1', 'private', 'reserved'],
  ['fe7f::1', 'private', 'reserved'],
  ['fe80::', 'never', 'link-local'],
  ['fe80::a9fe:a9fe', 'never', 'link-local'],
  ['fe80::1%eth0', 'never', 'link-local'],
  ['febf:ffff::', 'never', 'link-local'],
  ['fec0::1', 'private', 'site-local'],
  ['feff::1', 'private', 'site-local'],
  ['ff00::', 'never', 'multicast'],
  ['ff02::1%2', 'never', 'multicast'],
  ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'never', 'multicast'],
  ['::1%lo', 'private', 'loopback'],
  // What libraries of other languages take for addresses is none here: it never comes from a resolver, nor is it dialled.
  ['', 'never', 'no address'],
  ['127.1', 'never', 'no address'],
  ['0x7f.0.0.1', 'never', 'no address'],
  ['0177.0.0.1', 'never', 'no address'],
  ['2130706433', 'never', 'no address'],
  ['127.0.0.1.', 'never', 'no address'],
  ['[::1]', 'never', 'no address'],
  ['localhost', 'never', 'no address'],
  ['%eth0', 'never', 'no address'],
  ['１２７.0.0.1', 'never', 'no address'],
]

describe('the kind of an address', () => {
  for (const [address, reach, name] of rows) {
    test(`${JSON.stringify(address)} is ${name}: ${reach}`, () => {
      const { name: told, reach: found } = kindOf(address)
      assert.deepEqual([told, found], [name, reach])
    })
  }

  test('is told for more than eighty addresses above', () => assert.ok(rows.length >= 80))

  test('is never better for IPv4 written into IPv6, however it is written', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.constantFrom('::ffff:', '64:ff9b::', '::', '::ffff:0:'), (inner, prefix) => {
        const [own, within] = [kindOf(inner), kindOf(prefix + inner)]
        const order: readonly Reach[] = ['public', 'private', 'never']
        assert.ok(order.indexOf(within.reach) >= order.indexOf(own.reach), `${prefix}${inner}`)
      }),
    )
  })

  test('does not depend on the spelling', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        // WHATWG URLs have the one canonical spelling (RFC 5952).
        const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1)
        assert.deepEqual(kindOf(canonical), kindOf(address))
        assert.deepEqual(kindOf(address.toUpperCase()), kindOf(address))
        assert.deepEqual(kindOf(`${address}%eth0`), kindOf(address))
      }),
    )
  })

  test('of anything else that is text is "no address", and nothing throws', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        if (isIP(text.split('%')[0]!) === 0) assert.equal(kindOf(text).reach, 'never')
      }),
    )
  })
})

describe('the bytes of an address', () => {
  test('come out as they went in', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const groups = Array.from({ length: 8 }, (_, at) => ((bytes[at * 2]! << 8) | bytes[at * 2 + 1]!).toString(16))
        assert.deepEqual([...bytesOf(groups.join(':'))], [...bytes])
        const canonical = new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
        assert.deepEqual([...bytesOf(canonical)], [...bytes])
        const dotted = `${groups.slice(0, 6).join(':')}:${bytes.subarray(12).join('.')}`
        assert.ok(isIPv6(dotted))
        assert.deepEqual([...bytesOf(dotted)], [...bytes])
        assert.deepEqual([...bytesOf(bytes.subarray(0, 4).join('.'))], [...bytes.subarray(0, 4)])
      }),
    )
  })
})

test('permission opens what is private, and nothing else', () => {
  const kind = (reach: Reach) => ({ name: 'x', reach })
  assert.deepEqual(
    (['public', 'private', 'never'] as const).map((reach) => [
      isPermitted(kind(reach), false),
      isPermitted(kind(reach), true),
    ]),
    [
      [true, true],
      [false, true],
      [false, false],
    ],
  )
})
