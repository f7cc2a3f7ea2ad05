/** What kind of address a name has led to, and which kinds may be dialled. */
import { isIP } from 'node:net'

/**
 * `public`: anybody's. `private`: this machine's, or a network's of its own; dialled by permission. `never`: links, metadata
 * services of clouds and what is no destination at all; no permission helps.
 */
export type Reach = 'public' | 'private' | 'never'

export interface AddressKind {
  /** Ends the sentence "10.0.0.1 is …". */
  readonly name: string
  readonly reach: Reach
}

/**
 * The kind of an address in text; a zone (`%eth0`) says nothing of it and is passed over. An IPv4 address that is written into
 * an IPv6 address counts as itself: NAT64 and mapped addresses are those very hosts, and 6to4, Teredo and the like are never
 * better than private, because a tunnel's far end is nobody's API.
 */
export function kindOf(address: string): AddressKind {
  const zone = address.indexOf('%')
  const bare = zone === -1 ? address : address.slice(0, zone)
  const family = isIP(bare)
  if (family === 0) return noAddress
  return family === 4 ? kindOfV4(bytesOfV4(bare)) : kindOfV6(bytesOfV6(bare))
}

/** Whether an address of this kind is dialled; `allowsPrivate` is the permission for those that are not everybody's. */
export function isPermitted({ reach }: AddressKind, allowsPrivate: boolean): boolean {
  return reach === 'public' || (reach === 'private' && allowsPrivate)
}

/** The 4 bytes of an IPv4 address or the 16 of an IPv6 address without a zone. */
export function bytesOf(address: string): Uint8Array {
  return address.includes(':') ? bytesOfV6(address) : bytesOfV4(address)
}

interface Range extends AddressKind {
  readonly bytes: Uint8Array
  readonly bits: number
}

const noAddress: AddressKind = { name: 'no address', reach: 'never' }
const anybodys: AddressKind = { name: 'public', reach: 'public' }

/** https://www.iana.org/assignments/iana-ipv4-special-registry, and the addresses at which clouds tell credentials. First match. */
const v4: readonly Range[] = ranges({
  never: {
    'link-local': ['169.254.0.0/16'],
    // Alibaba; Azure's WireServer; Oracle's old one. The others are link-local.
    "a cloud's metadata service": ['100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32'],
    unspecified: ['0.0.0.0/8'],
    multicast: ['224.0.0.0/4'],
    broadcast: ['255.255.255.255/32'],
  },
  private: {
    loopback: ['127.0.0.0/8'],
    private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
    'shared by a carrier (RFC 6598)': ['100.64.0.0/10'],
    reserved: ['192.0.0.0/24', '192.88.99.0/24', '198.18.0.0/15', '240.0.0.0/4'],
    'for documentation': ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24'],
  },
})

/** https://www.iana.org/assignments/iana-ipv6-special-registry; whatever lies outside 2000::/3 is nobody's yet. */
const v6: readonly Range[] = ranges({
  never: {
    unspecified: ['::/128'],
    'link-local': ['fe80::/10'],
    // Amazon; Google; Oracle; Scaleway.
    "a cloud's metadata service": [
      'fd00:ec2::254/128',
      'fd20:ce::254/128',
      'fd00:c1::a9fe:a9fe/128',
      'fd00:42::42/128',
    ],
    multicast: ['ff00::/8'],
  },
  private: {
    loopback: ['::1/128'],
    'unique-local': ['fc00::/7'],
    'site-local': ['fec0::/10'],
    'for documentation': ['2001:db8::/32', '3fff::/20'],
    reserved: ['2001::/23'],
  },
})

/** Where IPv6 addresses hold IPv4 ones: at which bytes, and what such an address is called. */
interface Embedding {
  readonly prefix: { readonly bytes: Uint8Array; readonly bits: number }
  readonly name: string
  /** Whether the address is that IPv4 host itself, and not the end of a tunnel to it. */
  readonly isSame: boolean
  readonly places: readonly (readonly [number, number, number, number])[]
  /** Teredo writes it with every bit turned. */
  readonly isTurned?: boolean
}

const last = [12, 13, 14, 15] as const
const embeddings: readonly Embedding[] = [
  { prefix: prefixOf('::ffff:0:0/96'), name: 'mapped', isSame: true, places: [last] },
  { prefix: prefixOf('64:ff9b::/96'), name: 'NAT64', isSame: true, places: [last] },
  // RFC 8215 leaves its length to the network; RFC 6052 §2.2 has the places for /48, /56, /64 and /96.
  {
    prefix: prefixOf('64:ff9b:1::/48'),
    name: 'local NAT64',
    isSame: false,
    places: [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], last],
  },
  { prefix: prefixOf('2002::/16'), name: '6to4', isSame: false, places: [[2, 3, 4, 5]] },
  { prefix: prefixOf('2001::/32'), name: 'Teredo', isSame: false, places: [last], isTurned: true },
  { prefix: prefixOf('::ffff:0:0:0/96'), name: 'translated', isSame: false, places: [last] },
  { prefix: prefixOf('::/96'), name: 'compatible', isSame: false, places: [last] },
]

function kindOfV4(bytes: Uint8Array): AddressKind {
  return v4.find((range) => isIn(range, bytes)) ?? anybodys
}

function kindOfV6(bytes: Uint8Array): AddressKind {
  const own = v6.find((range) => isIn(range, bytes))
  // Teredo lies inside a reserved range; ::1 and :: inside the one of compatible addresses.
  if (own && own.name !== 'reserved') return own
  const embedding = embeddings.find(({ prefix }) => isIn(prefix, bytes))
  if (embedding) return kindOfEmbedded(embedding, bytes)
  return own ?? ((bytes[0]! & 0xe0) === 0x20 ? anybodys : { name: 'reserved', reach: 'private' })
}

function kindOfEmbedded({ name, isSame, places, isTurned = false }: Embedding, bytes: Uint8Array): AddressKind {
  const kinds = places.map((place) => kindOfV4(Uint8Array.from(place, (at) => bytes[at]! ^ (isTurned ? 0xff : 0))))
  if (isSame) return { ...kinds[0]!, name: kinds[0]!.reach === 'public' ? 'public' : `${kinds[0]!.name} (${name})` }
  // A place that holds no address reads as 0.x.x.x.
  const worst = kinds.find((kind) => kind.reach === 'never' && (places.length === 1 || kind.name !== 'unspecified'))
  return worst ? { ...worst, name: `${worst.name} (${name})` } : { name, reach: 'private' }
}

function ranges(rows: Readonly<Record<'never' | 'private', Readonly<Record<string, readonly string[]>>>>): Range[] {
  return (['never', 'private'] as const).flatMap((reach) =>
    Object.entries(rows[reach]).flatMap(([name, list]) => list.map((cidr) => ({ name, reach, ...prefixOf(cidr) }))),
  )
}

function prefixOf(cidr: string): { bytes: Uint8Array; bits: number } {
  const [address = '', bits] = cidr.split('/')
  return { bytes: bytesOf(address), bits: Number(bits) }
}

function isIn(
  { bytes: prefix, bits }: { readonly bytes: Uint8Array; readonly bits: number },
  bytes: Uint8Array,
): boolean {
  const whole = bits >> 3
  for (let at = 0; at < whole; at++) if (bytes[at] !== prefix[at]) return false
  const rest = bits & 7
  return rest === 0 || (bytes[whole]! ^ prefix[whole]!) >> (8 - rest) === 0
}

function bytesOfV4(address: string): Uint8Array {
  return Uint8Array.from(address.split('.'), Number)
}

/** Both forms of RFC 4291 §2.2; the text has been found to be an address. */
function bytesOfV6(address: string): Uint8Array {
  const bytes = new Uint8Array(16)
  const [head = '', tail] = address.split('::')
  const before = groupsOf(head)
  const after = tail === undefined ? [] : groupsOf(tail)
  bytes.set(before)
  bytes.set(after, 16 - after.length)
  return bytes
}

function groupsOf(part: string): number[] {
  if (part === '') return []
  return part.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
