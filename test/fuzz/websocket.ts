/**
 * Raw frames to both sides of a gateway: from a client, and from an upstream that means no good. Whatever they are: the other side
 * hears well-formed frames only, of the messages that were sent a beginning, in their order; and both connections end.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { connectPeer, peerServer, type Heard, type Peer } from '../conformance/websocket-peer.ts'
import { gateway, type TestGateway } from '../harness.ts'
import type { Random } from './random.ts'
import { Choices, Fault, latin, type FuzzTarget } from './target.ts'
import { scriptOf, type Message, type Script } from './websocket-script.ts'

/** Sessions, turns, and what is spliced through. */
const paths = ['/v1/realtime', '/v1/responses', '/v1/elsewhere'] as const

const created = '{"type":"response.create","model":"m","input":[]}'

export const websocket: FuzzTarget = {
  name: 'websocket',
  about:
    'frames of a client and of a hostile upstream: well-formed frames behind the gateway, a beginning of what was sent, and an end',
  covers: ['core/websocket', 'core/turn', 'core/session', 'core/tunnel', 'core/upstream/ws-'],
  starts: [
    frames(0, '\x81\x00\x00\x05hello', '\x82\x00\x03\x03\x00\xff\x01', '\x89\x00\x00\x01x', '\x88\x00\x00\x02\x03\xe8'),
    frames(1, '\x01\x00\x00\x02ab', '\x80\x00\x02\x02cd', '\x81\x00\x00\x04{"a"'),
    frames(2, `\x81\x00\x00${String.fromCharCode(created.length)}${created}`),
    frames(3, '\x81\x00\x00\x19{"type":"response.created"}', '\x81\x00\x00\x1b{"type":"response.completed"}'),
    frames(4, '\x81\x00\x00\x02hi', '\x81\x06\x00\x01x'),
    frames(5, '\x81\x07\x00\x01x', '\x8a\x00\x00\x00'),
  ],
  words: latin(
    '\x81\x00\x00\x02hi',
    '\x01\x00\x00\x01a',
    '\x80\x00\x00\x01b',
    '\x88\x00\x00\x02\x03\xe8',
    '\x89\x00\x00\x00',
    '\x81\x00\x00\x04\xed\xa0\x80\xff',
    created,
    '{"type":"response.completed"}',
    '{"type":"error","error":{}}',
    '\xf0\x9f\x98\x80',
  ),
  longest: 1500,
  batch: 20,
  make,
  open,
}

function frames(kind: number, ...texts: readonly string[]): Buffer {
  return Buffer.from(String.fromCharCode(kind) + texts.join(''), 'latin1')
}

function make(random: Random): Buffer {
  const one = (): Buffer => {
    const payload = Buffer.alloc(random.length(200), random.pick(['a', '😀', '\xff']), random.pick(['utf8', 'latin1']))
    return Buffer.concat([
      Buffer.of(random.pick([0x81, 0x82, 0x01, 0x80, 0x89, 0x8a]), 0, random.below(9), payload.length),
      payload,
    ])
  }
  return Buffer.concat([Buffer.of(random.below(6)), ...Array.from({ length: random.below(8) }, one)])
}

interface Scene {
  readonly gw: TestGateway
  /** The upstream's side of the next connection. */
  readonly next: () => Promise<Peer>
}

async function open() {
  const peers: Peer[] = []
  const upstream = await peerServer((peer) => void peers.push(peer))
  const gw = await gateway({
    plugins: ['openai'],
    upstreams: [
      { name: 'o', provider: 'openai', url: upstream.url.href.replace('ws:', 'http:').replace(/\/$/, ''), key: 'k' },
    ],
    timeouts: { headers: '2s', first_event: '2s' },
  })
  const next = async (): Promise<Peer> => {
    await until(() => peers.length > 0, 'an upgrade that is accepted reaches the upstream')
    return peers.shift()!
  }
  return {
    async run(input: Buffer) {
      const word = await run({ gw, next }, input)
      for (const peer of peers.splice(0)) peer[Symbol.dispose]()
      ;(gw.records as unknown[]).length = 0 // nobody reads the log here
      return word
    },
    async [Symbol.asyncDispose]() {
      await upstream[Symbol.asyncDispose]()
      await gw[Symbol.asyncDispose]()
    },
  }
}

async function run({ gw, next }: Scene, input: Buffer): Promise<string> {
  const choices = new Choices(input)
  const kind = choices.below(6)
  const path = paths[kind >> 1]!
  const isClient = kind % 2 === 0
  using client = await connectPeer(new URL(gw.url.replace('http', 'ws') + path), {}, 6000)
  // The upstream of turns is asked with the first of them.
  if (path === '/v1/responses') {
    if (!isClient) client.send({ opcode: 1, payload: created })
    return `turns ${await turns(isClient, client, isClient ? null : await next(), scriptOf(choices, isClient))}`
  }
  using upstream = await next()
  const [from, to] = isClient ? [client, upstream] : [upstream, client]
  const script = scriptOf(choices, isClient)
  const told = hear(to)
  const answered = hear(from)
  await write(from, script)
  const [heard, answer] = [await told, await answered]
  // Bytes that are spliced through are the receiver's to judge: what is wrong with them was wrong before.
  if (path === '/v1/elsewhere') {
    for (const one of [heard, answer]) if (one instanceof Fault && one.rule === 'a connection ends') throw one
    return `spliced ${isClient ? 'client' : 'upstream'} ${script.end}`
  }
  sound(answer)
  const { code = null } = check(sound(heard), script) ?? {}
  return `${path.slice(4)} ${isClient ? 'client' : 'upstream'} ${script.end}, ${code ?? 'no code'}`
}

/** A client that sends its script, or an upstream that answers a turn with its own. */
async function turns(isClient: boolean, client: Peer, upstream: Peer | null, script: Script): Promise<string> {
  using from = upstream ?? client
  const answered = hear(client)
  const told = upstream ? hear(upstream) : null
  await write(from, script)
  // An upstream that has gone leaves a client that may ask again.
  if (!isClient) client.socket.end()
  const [heard, asked] = [sound(await answered), await told]
  sound(asked)
  return `${isClient ? 'client' : 'upstream'} ${script.end}, ${heard?.code ?? 'no code'}`
}

/** Writes the script and ends its side, unless the other has. */
async function write(from: Peer, { pieces }: Script): Promise<void> {
  for (const piece of pieces) {
    from.write(piece)
    if (pieces.length < 8) await turn()
  }
  // What is right so far gets the time to be passed on.
  for (let turns = 0; turns < 20 && !from.socket.destroyed; turns++) await turn()
  if (!from.socket.destroyed) from.socket.end()
}

/** To the end, which may come within a frame. What the peer's strict reader says is kept until somebody asks. */
async function hear(peer: Peer): Promise<Heard | Fault | null> {
  try {
    return await peer.hear()
  } catch (error) {
    const { message } = error as Error // the peer throws no other
    if (message.startsWith('no frame and no end'))
      return new Fault('a connection ends', peer.isClient ? 'client' : 'upstream')
    return message === 'the end came in the middle of a frame'
      ? null
      : new Fault('frames are well-formed behind the gateway', message)
  }
}

function sound(heard: Heard | Fault | null): Heard | null {
  if (heard instanceof Fault) throw heard
  return heard
}

function check(heard: Heard | null, { messages, end }: Script): Heard | null {
  if (heard === null) return null
  if (heard.messages.length > messages.length && end !== 'unclear')
    throw new Fault('no message is made up', `${heard.messages.length} of ${messages.length}`)
  for (const [at, one] of heard.messages.slice(0, messages.length).entries())
    if (!isSame(one, messages[at]!)) throw new Fault('messages are passed on as they are, in their order', `${at}`)
  // 1006 and 1015 are told to a program by its own side, and never sent (RFC 6455 §7.4.1).
  if (heard.code === 1006 || heard.code === 1015)
    throw new Fault('a close frame has a code that may be sent', `${heard.code}`)
  return heard
}

function isSame(one: Message, other: Message): boolean {
  return one.isBinary === other.isBinary && one.data.equals(other.data)
}

async function until(claim: () => boolean, rule: string): Promise<void> {
  const end = performance.now() + 5000
  while (!claim()) {
    if (performance.now() > end) throw new Fault(rule)
    await turn()
  }
}
