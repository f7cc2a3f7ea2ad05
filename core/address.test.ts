import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { addressSet, clientAddress, isAddressPattern, plainAddress } from './address.ts'

describe('an address set', () => {
  const set = addressSet(['10.0.0.5/8', '203.0.113.7', '2001:db8::/32', '::1'])

  test('holds single addresses and ranges of both families', () => {
    for (const inside of ['10.1.2.3', '203.0.113.7', '2001:db8:1::9', '::1'])
      assert.equal(set.has(inside), true, inside)
    for (const outside of ['11.0.0.1', '203.0.113.8', '2001:db9::1', '::2'])
      assert.equal(set.has(outside), false, outside)
  })

  test('takes an IPv4 address mapped into IPv6 for the IPv4 address', () => {
    assert.equal(set.has('::ffff:10.1.2.3'), true)
    assert.equal(set.has('::ffff:11.1.2.3'), false)
  })

  test('takes ports, brackets and zones for what they are', () => {
    assert.equal(set.has('10.1.2.3:4711'), true)
    assert.equal(set.has('[2001:db8::1]:443'), true)
    assert.equal(plainAddress('fe80::1%eth0'), 'fe80::1')
  })

  test('holds nothing that is no address', () => {
    for (const text of ['', 'localhost', '010.0.0.1', '0x0a000001', '10.1', 'a'.repeat(10_000)]) {
      assert.equal(set.has(text), false)
    }
  })

  test('answers the same however often and about however many it is asked', () => {
    const set = addressSet(['10.0.0.0/8', '2001:db8::/32'])
    for (let round = 0; round < 2; round++) {
      for (let at = 0; at < 10_000; at++) {
        assert.equal(set.has(`10.0.${at >> 8}.${at & 255}`), true)
        assert.equal(set.has(`11.0.${at >> 8}.${at & 255}`), false)
      }
      assert.equal(set.has('2001:db8::1'), true)
      assert.equal(set.has(`10.0.0.1${'%'.padEnd(200, 'z')}`), true)
      assert.equal(set.has('nonsense'), false)
    }
  })

  test('refuses patterns that are none', () => {
    for (const text of ['', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/-1', 'example.com', '10.0.0.0/8/8']) {
      assert.equal(isAddressPattern(text), false, text)
      assert.throws(() => addressSet([text]), TypeError, text)
    }
  })
})

describe("the client's address", () => {
  const trusted = addressSet(['10.0.0.0/8'])

  test("is the peer's where the peer is no trusted proxy, whatever the header says", () => {
    assert.equal(clientAddress('198.51.100.1', '1.2.3.4', trusted), '198.51.100.1')
    assert.equal(clientAddress('198.51.100.1', '1.2.3.4', addressSet([])), '198.51.100.1')
  })

  test('is the last one that is not a trusted proxy', () => {
    assert.equal(clientAddress('10.0.0.1', '6.6.6.6, 198.51.100.9, 10.0.0.2', trusted), '198.51.100.9')
  })

  test('is the nearest proxy where the header is garbage', () => {
    assert.equal(clientAddress('10.0.0.1', 'nonsense', trusted), '10.0.0.1')
    assert.equal(clientAddress('::ffff:10.0.0.1', '', trusted), '10.0.0.1')
  })
})
