/** A name server on a real UDP socket that says what the test says, and the resolver that asks it and nobody else. */
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns'
import { once } from 'node:events'
import { bytesOf } from '../core/upstream/addresses.ts'
import type { Resolve } from '../core/upstream/lookup.ts'

/** The addresses of a name, IPv4 and IPv6 as they come; `silence` says nothing, and an empty list that there is no such name. */
export type Zone = (name: string) => readonly string[] | 'silence'

export interface NameServer extends AsyncDisposable {
  /** Another zone from now on. */
  zone: Zone
  /** Every name that was asked for, once per family of addresses. */
  readonly asked: readonly string[]
  readonly resolve: Resolve
}

/** Opens one on the loopback. */
export async function nameServer(zone: Zone): Promise<NameServer> {
  const socket = createSocket('udp4')
  const asked: string[] = []
  const server = { zone }
  socket.on('message', (query, from) => {
    const { name, type, end } = questionOf(query)
    asked.push(name)
    const found = server.zone(name)
    if (found !== 'silence') socket.send(answerTo(query.subarray(0, end), type, found), from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  const resolver = new Resolver({ timeout: 300, tries: 1 })
  resolver.setServers([`127.0.0.1:${port}`])
  return Object.assign(server, {
    asked,
    resolve: resolveBy(resolver),
    async [Symbol.asyncDispose]() {
      resolver.cancel()
      await new Promise<void>((resolve) => socket.close(() => resolve()))
    },
  })
}

/** Both families, IPv4 first; an error only where neither has an address. */
function resolveBy(resolver: Resolver): Resolve {
  return (name, done) => {
    const found: string[][] = [[], []]
    let open = 2
    let failure: Error | null = null
    const one = (at: number) => (error: Error | null, addresses: string[]) => {
      if (error) failure = error
      else found[at] = addresses
      if (--open > 0) return
      const all = found.flat()
      done(all.length > 0 ? null : failure, all)
    }
    resolver.resolve4(name, one(0))
    resolver.resolve6(name, one(1))
  }
}

/** RFC 1035 §4.1.2: behind a header of 12 bytes the name, label by label, then its type and class. */
function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

/** RFC 1035 §4.1.3: each answer names the question by a pointer to it, and is good for no time at all. */
function answerTo(question: Buffer, type: number, addresses: readonly string[]): Buffer {
  const wanted = addresses.filter((address) => address.includes(':') === (type === 28))
  const answers = wanted.map((address) => {
    const bytes = bytesOf(address)
    const head = Buffer.from([0xc0, 0x0c, 0, type, 0, 1, 0, 0, 0, 0, 0, bytes.length])
    return Buffer.concat([head, bytes])
  })
  const header = Buffer.from(question.subarray(0, 12))
  header.writeUInt16BE(addresses.length === 0 ? 0x8183 : 0x8180, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(answers.length, 6)
  header.writeUInt32BE(0, 8)
  return Buffer.concat([header, question.subarray(12), ...answers])
}
