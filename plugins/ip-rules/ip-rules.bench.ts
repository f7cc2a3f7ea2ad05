import { BlockList } from 'node:net'
import { addressSet } from 'postern/plugin'
import { bench } from '../../test/bench.ts'

const patterns = Array.from({ length: 1000 }, (_, at) => `10.${at >> 8}.${at & 255}.0/24`)
const compiled = addressSet(patterns)

/** The naive way: the list is compiled for each request. */
function parsePerRequest(address: string): boolean {
  const list = new BlockList()
  for (const pattern of patterns) {
    const [network = '', bits] = pattern.split('/')
    list.addSubnet(network, Number(bits), 'ipv4')
  }
  return list.check(address, 'ipv4')
}

/** More than are remembered. */
const many = Array.from({ length: 8192 }, (_, at) => `192.0.${at >> 8}.${at & 255}`)
let at = 0

await bench(
  '1 000 rules, an address that none of them matches',
  {
    'compiled once': () => compiled.has('192.0.2.1'),
    'compiled once, another client each time': () => compiled.has(many[at++ & 8191]!),
    'compiled per request': () => parsePerRequest('192.0.2.1'),
  },
  { 'compiled per request': { atLeast: 100 } },
)
