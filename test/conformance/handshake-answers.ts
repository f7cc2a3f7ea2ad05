/** Answers of upstreams to a handshake (RFC 6455 §4.1), and what the client has to hear of each. */
import type { Lines, UpgradeCase, UpgradeHeard } from './handshake-case.ts'
import { answered } from './handshake-upstream.ts'
import { answer, end, reset, type Said } from './upstream-case.ts'
import { closePayload, writeFrame } from './websocket-frames.ts'

const upgrade = 'upgrade: websocket'
const connection = 'connection: Upgrade'
const accept = 'sec-websocket-accept: $ACCEPT'

/** A 101 with these lines. */
const switching = (...lines: readonly string[]): string => answer('101 Switching Protocols', ...lines)
const good = (...lines: readonly string[]): string => switching(upgrade, connection, accept, ...lines)
const frame = (...spec: Parameters<typeof writeFrame>): string => writeFrame(...spec).toString('latin1')

const broken: UpgradeHeard = { told: [502] }
const late: UpgradeHeard = { told: [504] }
const offering = { 'sec-websocket-protocol': 'realtime' }

export const handshakeAnswers: Readonly<Record<string, readonly UpgradeCase[]>> = {
  'The 101': [
    said('as it should be', '6455 §4.2.2', good(), { opens: true }),
    said('in other spelling', '6455 §4.1', switching('UPGRADE: WebSocket', 'CONNECTION: upgrade', accept), {
      opens: true,
    }),
    said('behind a 100', '9110 §15.2', answer('100 Continue') + good(), { opens: true }),
    said('behind a 103', '8297 §2', answer('103 Early Hints', 'link: </a>') + good(), { opens: true }),
    said(
      'line by line',
      '9112 §2.2',
      good()
        .split(/(?<=\n)/)
        .flatMap((line) => [line, 5]),
      { opens: true },
    ),
    said('without Upgrade', '6455 §4.1', switching(connection, accept), broken),
    said('without Connection', '6455 §4.1', switching(upgrade, accept), broken),
    said('with Connection: close', '6455 §4.1', switching(upgrade, 'connection: close', accept), broken),
    said('to another protocol', '6455 §4.1', switching('upgrade: h2c', connection, accept), broken),
    said('without Sec-WebSocket-Accept', '6455 §4.1', switching(upgrade, connection), broken),
    ...['', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'x', '$ACCEPT=', '$ACCEPT, $ACCEPT'].map((wrong) =>
      said(
        `accepting "${wrong}"`,
        '6455 §4.1',
        switching(upgrade, connection, `sec-websocket-accept: ${wrong}`),
        broken,
      ),
    ),
    said('accepting twice', '6455 §11.3.3', good(accept), broken),
  ],
  'Subprotocols and extensions': [
    said(
      'the subprotocol that was offered',
      '6455 §4.1',
      good('sec-websocket-protocol: realtime'),
      { opens: true },
      offering,
    ),
    said('one that was not offered', '6455 §4.1', good('sec-websocket-protocol: other'), broken, offering),
    said('one, though none was offered', '6455 §4.1', good('sec-websocket-protocol: other'), broken),
    said('two', '6455 §11.3.4', good('sec-websocket-protocol: realtime, other'), broken, offering),
    ...['permessage-deflate', 'permessage-deflate; client_max_window_bits=99', 'x-own', '"'].map((extension) =>
      said(
        `the extension ${extension}, which was not offered`,
        '6455 §4.1',
        good(`sec-websocket-extensions: ${extension}`),
        broken,
      ),
    ),
  ],
  'Another answer': [
    ...[
      '200 OK',
      '401 Unauthorized',
      '403 Forbidden',
      '404 Not Found',
      '429 Too Many Requests',
      '503 Service Unavailable',
    ].map((status) =>
      said(status, '6455 §4.1', answer(status, 'content-length: 2') + '{}', { told: [Number(status.slice(0, 3))] }),
    ),
    ...['301 Moved Permanently', '302 Found', '307 Temporary Redirect'].map((status) =>
      said(
        `${status}, which nobody follows`,
        '6455 §4.1',
        answer(status, 'location: /v1/realtime?model=other', 'content-length: 0'),
        {
          told: [Number(status.slice(0, 3))],
        },
      ),
    ),
    said('a refusal without an end', '9112 §6.3', [answer('500 Internal Server Error'), 'x'.repeat(200_000)], {
      told: [500, 502, 504],
    }),
    said('a refusal that breaks off', '9112 §8', [answer('403 Forbidden', 'content-length: 100'), 'part', end], {
      told: [403, 502],
    }),
  ],
  'No answer': [
    said('the end at once', '9112 §8', [end], broken),
    said('a reset at once', '9112 §8', [reset], broken),
    said('the end in the status line', '9112 §8', ['HTTP/1.1 1', end], broken),
    said('the end in the headers', '9112 §8', [good().slice(0, -20), end], broken),
    said('a reset in the headers', '9112 §8', [good().slice(0, -20), 20, reset], broken),
    said('another protocol', '9112 §2', ['SSH-2.0-OpenSSH_9.9\r\n'], broken),
    said('a WebSocket frame', '9112 §2', [frame({ opcode: 1, payload: 'hello' }, false)], broken),
    said('a head of 1 MB', '9112 §5', [good().slice(0, -2), `x-a: ${'x'.repeat(1_000_000)}`], broken),
    said('headers without end', '9112 §5', [good().slice(0, -2), 'x-a: 1\r\n'.repeat(100_000)], broken),
    said('a header that is none', '9112 §5.1', [good('no colon here')], broken),
    said('nothing', '9112 §9.5', [], late),
    said('a status line, and nothing more', '9112 §9.5', ['HTTP/1.1 101 Switching Protocols\r\n'], late),
    said(
      'a byte now and then',
      '9112 §9.5',
      good()
        .slice(0, 20)
        .split('')
        .flatMap((byte) => [byte, 50]),
      late,
    ),
    said(
      'one 100 after the other',
      '9110 §15.2',
      Array.from({ length: 20 }, () => [answer('100 Continue'), 50]).flat(),
      late,
    ),
  ],
  'Behind the 101': [
    said('a message in the same packet', '6455 §4.1', good() + frame({ opcode: 1, payload: answered }, false), {
      opens: true,
    }),
    said(
      'a close frame in the same packet',
      '6455 §7.1',
      [good() + frame({ opcode: 8, payload: closePayload(4001, 'no') }, false), end],
      {
        closes: [4001],
      },
    ),
    said('bytes that are no frame', '6455 §5.1', [`${good()}\xff\xff\xff\xff`], { closes: [1011] }),
    said('HTTP', '6455 §5.1', [good() + answer('200 OK', 'content-length: 0')], { closes: [1011] }),
    said('a frame that is masked', '6455 §5.1', [good() + frame({ opcode: 1, payload: 'x', mask: true }, false)], {
      closes: [1011],
    }),
    said('a frame with reserved bits', '6455 §5.2', [good() + frame({ opcode: 1, payload: 'x', rsv: 4 }, false)], {
      closes: [1011],
    }),
    said('a message that announces 1 TB', '6455 §10.4', [good() + frame({ opcode: 2, announced: 1n << 40n }, false)], {
      closes: [1011],
    }),
    said('text that is no UTF-8', '6455 §8.1', [good() + frame({ opcode: 1, payload: Buffer.from([0xff]) }, false)], {
      closes: [1011],
    }),
    said('the end', '6455 §7.1.5', [good(), 20, end], { closes: [null] }),
    said('a reset', '6455 §7.1.5', [good(), 20, reset], { closes: [null] }),
  ],
}

function said(
  name: string,
  rfc: string,
  says: string | readonly Said[],
  expect: UpgradeHeard,
  asks: Lines = {},
): UpgradeCase {
  return { name, rfc, asks, says: typeof says === 'string' ? [says] : says, expect }
}
