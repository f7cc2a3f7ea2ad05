/** Sets of addresses: written as addresses and CIDR ranges, compiled once, asked per exchange. */
import { BlockList, isIP, isIPv4 } from 'node:net'

export interface AddressSet {
  /** How many patterns it was made of. */
  readonly size: number
  /** False for what is no address. An IPv4 address mapped into IPv6 equals the IPv4 address. */
  has(address: string): boolean
}

/** Compiles patterns such as `10.0.0.0/8`, `203.0.113.7` or `2001:db8::/32`; host bits in a range are allowed. */
export function addressSet(patterns: readonly string[]): AddressSet {
  const ranges = new BlockList()
  for (const pattern of patterns) {
    if (!isAddressPattern(pattern))
      throw new TypeError(`"${pattern}" is neither an address nor a range such as 10.0.0.0/8`)
    const { address, bits } = split(pattern)
    const family = isIP(address)
    if (bits === null) ranges.addAddress(address, family === 4 ? 'ipv4' : 'ipv6')
    else ranges.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6')
  }
  const known = new Map<string, boolean>()
  return {
    size: patterns.length,
    has(text) {
      const answer = known.get(text)
      if (answer !== undefined) return answer
      const address = plainAddress(text)
      const family = isIP(address)
      const isIn = family !== 0 && ranges.check(address, family === 4 ? 'ipv4' : 'ipv6')
      if (known.size === mostKnown) known.clear()
      if (text.length <= longestAddress) known.set(text, isIn)
      return isIn
    },
  }
}

/**
 * Addresses whose answer is remembered: a connection asks again with each request, and Node makes an object of its own for each look,
 * which costs its collector more than the look (13 to 19 % of an exchange for one rule).
 */
const mostKnown = 4096
/** An IPv6 address with its longest spelling, brackets, zone and port. */
const longestAddress = 80

/** Whether `addressSet` takes the text. */
export function isAddressPattern(text: string): boolean {
  const { address, bits } = split(text)
  const family = isIP(address)
  return family !== 0 && (bits === null || (bits >= 0 && bits <= (family === 4 ? 32 : 128)))
}

/** The bare address: brackets, port and zone removed, IPv4 taken out of `::ffff:a.b.c.d`. Other text comes back as it is. */
export function plainAddress(text: string): string {
  let address = text
  if (address.charCodeAt(0) === 0x5b) address = address.slice(1, address.indexOf(']'))
  else if (address.indexOf(':') !== -1 && address.indexOf(':') === address.lastIndexOf(':')) {
    address = address.slice(0, address.indexOf(':'))
  }
  const zone = address.indexOf('%')
  if (zone !== -1) address = address.slice(0, zone)
  if (address.startsWith('::ffff:') && isIPv4(address.slice(7))) return address.slice(7)
  return address
}

/**
 * The client's address: the peer's own, or, where the peer is a trusted proxy, the last address in X-Forwarded-For that is
 * not one. What a client writes into that header itself stands further left and is never believed.
 */
export function clientAddress(peer: string | undefined, forwarded: string | undefined, trusted: AddressSet): string {
  let address = plainAddress(peer ?? '')
  if (trusted.size === 0 || forwarded === undefined) return address
  const hops = forwarded.split(',')
  while (hops.length > 0 && trusted.has(address)) {
    const hop = plainAddress((hops.pop() ?? '').trim())
    if (isIP(hop) === 0) break
    address = hop
  }
  return address
}

function split(pattern: string): { address: string; bits: number | null } {
  const slash = pattern.indexOf('/')
  if (slash === -1) return { address: pattern, bits: null }
  const digits = pattern.slice(slash + 1)
  return { address: pattern.slice(0, slash), bits: /^\d{1,3}$/.test(digits) ? Number(digits) : -1 }
}
