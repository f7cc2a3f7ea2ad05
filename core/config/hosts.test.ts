import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pluginSource } from '../plugins.ts'
import { parse } from './load.fixture.ts'

/** Host, and what is said of it; nothing where it may be written. */
const rows: readonly (readonly [host: string, message: string | null, cure?: string])[] = [
  ['api.example.com', null],
  ['localhost:11434', null],
  ['127.0.0.1:8080', null],
  ['10.0.0.7', null],
  ['192.168.1.1', null],
  ['100.64.0.1', null],
  ['8.8.8.8', null],
  ['[::1]:8080', null],
  ['[fd12::1]', null],
  ['[0:0:0:0:0:0:0:1]', null],
  ['[::ffff:10.0.0.1]', null],
  ['169.254.169.254', 'is link-local: it is never asked', 'metadata services of clouds'],
  ['169.254.170.2:80', 'is link-local'],
  ['100.100.100.200', "is a cloud's metadata service"],
  ['168.63.129.16', "is a cloud's metadata service"],
  ['[fd00:ec2::254]', "is a cloud's metadata service"],
  ['[fe80::1]', 'is link-local'],
  ['[::ffff:169.254.169.254]', 'is link-local (mapped)'],
  ['[64:ff9b::a9fe:a9fe]', 'is link-local (NAT64)'],
  ['[2002:a9fe:a9fe::1]', 'is link-local (6to4)'],
  ['0.0.0.0:11434', 'is unspecified', 'Write 127.0.0.1'],
  ['[::]', 'is unspecified', 'Write 127.0.0.1'],
  ['224.0.0.1', 'is multicast'],
  ['255.255.255.255', 'is broadcast'],
  ['0x7f.1', 'is 127.0.0.1 in disguise', 'Write 127.0.0.1'],
  ['127.1', 'is 127.0.0.1 in disguise', 'Write 127.0.0.1'],
  ['2130706433', 'is 127.0.0.1 in disguise'],
  ['0177.0.0.1', 'is 127.0.0.1 in disguise'],
  ['10.1', 'is 10.0.0.1 in disguise'],
  ['127.0.0.1.', 'is 127.0.0.1 in disguise'],
  ['0xa9fea9fe', 'is 169.254.169.254 in disguise'],
  ['2852039166', 'is link-local'],
]

describe('the host of an upstream', () => {
  for (const [host, message, cure] of rows) {
    test(`${host} ${message ?? 'may be written'}`, async () => {
      for (const [text, place] of [
        [`plugins: [openai]\nupstreams:\n  - { name: a, provider: openai, url: "http://${host}" }\n`, '3:39'],
        [`plugins:\n  - openai: { url: "http://${host}/v1" }\n`, '2:20'],
      ] as const) {
        const { config, problems } = await parse(text, {}, pluginSource)
        assert.equal(config !== null, message === null, JSON.stringify(problems))
        if (message === null) continue
        const said = problems.map((problem) => problem.message).join('\n')
        assert.ok(said.includes(message), said)
        assert.equal(`${problems[0]!.line}:${problems[0]!.column}`, place)
        if (cure !== undefined) assert.ok(problems.some((problem) => problem.cure?.includes(cure)))
      }
    })
  }

  test('from the environment is judged as well, and not repeated', async () => {
    const text = 'plugins: [openai]\nupstreams:\n  - { name: a, provider: openai, url: "${WHERE}" }\n'
    const { problems } = await parse(text, { WHERE: 'http://169.254.169.254/latest' })
    assert.equal(problems[0]?.message, 'the host of ${WHERE} is link-local: it is never asked')
  })

  test('needs no permission that is not asked for, and has it where it is', async () => {
    const text =
      'plugins: [openai]\nupstreams:\n  - { name: a, provider: openai, url: "http://a.internal", allow_private: true }\n'
    assert.equal((await parse(text, {}, pluginSource)).config?.upstreams[0]?.allowsPrivate, true)
    const without = text.replace(', allow_private: true', '')
    assert.equal((await parse(without, {}, pluginSource)).config?.upstreams[0]?.allowsPrivate, undefined)
  })
})
