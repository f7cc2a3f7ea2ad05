/** Plays the cases of `websocket-cases.ts` against an endpoint that echoes, over a peer that shares no code with it. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type Case, websocketCases } from './websocket-cases.ts'
import { writeFrame } from './websocket-frames.ts'
import { connectPeer, type Heard, type Peer } from './websocket-peer.ts'

/** Messages of 16 MiB are what the gateway takes where nothing else is said. */
const defaultLimit = 16 * 1024 * 1024

/**
 * Plays every case against the server at `url`, each as a test of `t` on a connection of its own. `limit` is the length in
 * bytes of the longest message that it takes.
 */
export async function runCases(
  url: URL,
  t: TestContext,
  options: { readonly limit?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  for (const one of websocketCases(options.limit ?? defaultLimit)) {
    await t.test(one.name, async () => {
      using peer = await connectPeer(url, options.headers)
      await play(peer, one)
    })
  }
}

/** Plays one case, on whichever side the peer is, and asserts what has to come back. */
export async function play(peer: Peer, { send, pieces, isSlow, expect }: Case): Promise<void> {
  const { echo = [], pongs = [], closes } = expect
  let mayClose = false
  let isClosing = closes !== undefined
  const closeWhenAnswered = (messages: number, answered: number): void => {
    if (isClosing || !mayClose || messages < echo.length || answered < pongs.length) return
    isClosing = true
    peer.close(1000)
  }
  if (isSlow) peer.socket.pause()
  let messages = 0
  let answered = 0
  const hearing = peer.hear((...counts) => {
    ;[messages, answered] = counts
    closeWhenAnswered(messages, answered)
  })
  await write(peer, Buffer.concat(send.map((it) => (Buffer.isBuffer(it) ? it : writeFrame(it, peer.isClient)))), pieces)
  if (isSlow) {
    await stalled(peer)
    peer.socket.resume()
  }
  mayClose = true
  closeWhenAnswered(messages, answered)
  check(await hearing, { echo, pongs, closes })
}

function check(heard: Heard, { echo = [], pongs = [], closes }: Case['expect']): void {
  const expected = echo.map(({ data, isBinary }) => ({ data: Buffer.from(data), isBinary }))
  // What was under way when the connection was closed may be lost; what came must be right.
  const due = closes === undefined ? expected : expected.slice(0, heard.messages.length)
  assert.equal(heard.messages.length, due.length, 'messages')
  for (const [at, { data, isBinary }] of due.entries()) {
    assert.ok(heard.messages[at]!.data.equals(data), `message ${at} is another`)
    assert.equal(heard.messages[at]!.isBinary, isBinary)
  }
  assert.deepEqual(
    heard.pongs.map((payload) => payload.toString('latin1')),
    pongs,
  )
  const codes = closes ?? [1000]
  assert.ok(codes.includes(heard.code ?? 0), `closed with ${heard.code} and not with ${codes.join(' or ')}`)
}

async function write(peer: Peer, bytes: Buffer, pieces = bytes.length): Promise<void> {
  for (let at = 0; at < bytes.length; at += pieces) {
    peer.write(bytes.subarray(at, at + pieces))
    if (pieces < bytes.length) await turn()
  }
}

/** Waits until everything is written, or nothing has been for a while: the other side then waits for its reader. */
async function stalled({ socket }: Peer): Promise<void> {
  let left = -1
  for (let quiet = 0; quiet < 50 && socket.writableLength > 0; quiet++) {
    if (socket.writableLength !== left) quiet = 0
    left = socket.writableLength
    await turn()
  }
}
