import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { eventData, EventReader, longestEvent, withData } from './sse.ts'
import { runs } from '../test/runs.ts'

const texts = (events: Buffer[]) => events.map(String)

describe('an event reader', () => {
  const streams = {
    LF: 'event: a\ndata: 1\n\n: comment\n\ndata: 2\ndata: 3\n\n',
    CRLF: 'event: a\r\ndata: 1\r\n\r\n: comment\r\n\r\ndata: 2\r\ndata: 3\r\n\r\n',
    CR: 'event: a\rdata: 1\r\r: comment\r\rdata: 2\rdata: 3\r\r',
  }
  for (const [ends, stream] of Object.entries(streams)) {
    test(`finds the same events with ${ends} line ends, whole and a byte at a time`, () => {
      const whole = new EventReader()
      const events = whole.push(Buffer.from(stream))
      assert.equal(events.length, 3)
      assert.equal(Buffer.concat([...events, whole.rest()]).toString(), stream)
      assert.deepEqual(
        events.map((event) => eventData(event)?.toString()),
        ['1', undefined, '2\n3'],
      )
      const single = new EventReader()
      const pieces = [...Buffer.from(stream)].flatMap((byte) => single.push(Buffer.of(byte)))
      assert.deepEqual(
        pieces.map((event) => eventData(event)?.toString()),
        ['1', undefined, '2\n3'],
      )
      assert.equal(Buffer.concat([...pieces, single.rest()]).toString(), stream)
    })
  }

  test('loses no byte and finds the same data however a random stream is cut', () => {
    const line = fc.constantFrom('data: x', 'data:', 'data', ': c', 'event: y', '', 'id: 1', 'data: {"a":1}')
    const end = fc.constantFrom('\n', '\r\n', '\r')
    const stream = fc.array(fc.tuple(line, end), { maxLength: 30 }).map((parts) => parts.flat().join(''))
    fc.assert(
      fc.property(stream, fc.array(fc.nat(40), { maxLength: 20 }), (text, cuts) => {
        const whole = new EventReader()
        const expected = whole.push(Buffer.from(text)).map(eventData).filter(Boolean).map(String)
        const reader = new EventReader()
        const events: Buffer[] = []
        let rest = Buffer.from(text)
        for (const cut of cuts) {
          events.push(...reader.push(rest.subarray(0, cut)))
          rest = rest.subarray(cut)
        }
        events.push(...reader.push(rest))
        assert.equal(Buffer.concat([...events, reader.rest()]).toString(), text)
        assert.deepEqual(events.map(eventData).filter(Boolean).map(String), expected)
      }),
      runs(2000),
    )
  })

  test('refuses an event that does not end', () => {
    const reader = new EventReader()
    const piece = Buffer.alloc(2 ** 20, 0x61)
    assert.throws(() => {
      for (let sent = 0; sent <= longestEvent; sent += piece.length) reader.push(piece)
    }, RangeError)
  })
})

describe('replacing the data of an event', () => {
  test('keeps everything else', () => {
    assert.equal(
      String(withData(Buffer.from('event: a\r\nid: 7\r\ndata: {"x":1}\r\n\r\n'), Buffer.from('{}'))),
      'event: a\r\nid: 7\r\ndata: {}\r\n\r\n',
    )
    assert.equal(String(withData(Buffer.from('data: 1\ndata: 2\n\n'), Buffer.from('a\nb'))), 'data: a\ndata: b\n\n')
    assert.equal(String(withData(Buffer.from(': ping\n\n'), Buffer.from('{}'))), ': ping\n\n')
  })

  test('keeps the lines between two lines of data', () => {
    assert.equal(
      String(withData(Buffer.from('data: 1\r\nid: 7\r\ndata: 2\r\n: c\r\n\r\n'), Buffer.from('{}'))),
      'data: {}\r\nid: 7\r\n: c\r\n\r\n',
    )
    assert.equal(String(withData(Buffer.from('data: 1\rid: 7\rdata\r\r'), Buffer.from('x'))), 'data: x\rid: 7\r\r')
  })

  test('makes a line of data for each line, whatever ends it', () => {
    const event = withData(Buffer.from('data: 1\n\n'), Buffer.from('a\r\nb\rc\nd'))
    assert.equal(String(event), 'data: a\ndata: b\ndata: c\ndata: d\n\n')
    assert.deepEqual(texts(new EventReader().push(event)), [String(event)])
  })
})

describe('a line that is the word data alone', () => {
  const event = Buffer.from('data: a\ndata\ndata: b\n\n')

  test('is an empty line of data, as the standard says', () => {
    assert.equal(String(eventData(event)), 'a\n\nb')
    assert.equal(String(eventData(Buffer.from('data\n\n'))), '')
    assert.equal(eventData(Buffer.from('database: a\ndat\n\n')), null)
  })

  test('can be given other data', () => {
    assert.equal(String(withData(Buffer.from('data\n\n'), Buffer.from('{}'))), 'data: {}\n\n')
    assert.equal(String(withData(event, Buffer.from('{}'))), 'data: {}\n\n')
  })
})

test('an event ends where its blank line does, not before', () => {
  const reader = new EventReader()
  assert.deepEqual(texts(reader.push(Buffer.from('data: 1\n'))), [])
  assert.deepEqual(texts(reader.push(Buffer.from('\ndata: 2'))), ['data: 1\n\n'])
  assert.equal(String(reader.rest()), 'data: 2')
})
