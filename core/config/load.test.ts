import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { Secret } from '../plugin.ts'
import { defaults, example, openai, optionsOf, parse, plugin, sound, source, sourceOf } from './load.fixture.ts'
import { loadConfig } from './load.ts'
import { render } from './problems.ts'

describe('a configuration', () => {
  test('has every setting, though the file has none', async () => {
    const { settings, upstreams, plugins, notes } = await sound('{}')
    const { store, database, transport, ...others } = settings
    assert.deepEqual([store.reveal(), database.reveal(), transport], ['memory', 'none', 'lean'])
    assert.deepEqual(others, {
      listen: '127.0.0.1:8787',
      migrate: 'auto',
      log: { level: 'info' },
      ...defaults,
      trusted_proxies: [],
      workers: 1,
    })
    assert.deepEqual([upstreams, plugins, notes], [[], [], []])
  })

  test('keeps the other defaults of a map that has some of its keys', async () => {
    const { settings } = await sound('limits: { drain: 1m }\nadmin: {}\n')
    assert.deepEqual(settings.limits, { ...defaults.limits, drain: 60_000 })
    assert.deepEqual(settings.admin, defaults.admin)
  })

  test('takes lists and maps with nothing in them for absent', async () => {
    const { settings, plugins } = await sound('admin:\nlimits:\n  # drain: 30s\nupstreams:\nplugins:\n')
    assert.equal(settings.limits.drain, 30_000)
    assert.deepEqual(settings.admin, defaults.admin)
    assert.deepEqual(plugins, [])
  })

  test('can do without the admin listener', async () => {
    assert.equal((await sound('admin: false\n')).settings.admin, false)
    assert.equal((await sound('admin: ${A}\n', { A: 'false' })).settings.admin, false)
  })

  test('has its upstreams as plugins are given them', async () => {
    const { upstreams } = await sound(example)
    assert.deepEqual(
      upstreams.map(({ key: _key, ...upstream }) => upstream),
      [
        { name: 'a', provider: 'openai', url: null, models: ['gpt-5*', 'o1'], priority: 1, slots: null },
        {
          name: 'b',
          provider: 'deepseek',
          url: new URL('https://api.example.com/v1'),
          models: null,
          priority: 100,
          slots: null,
        },
      ],
    )
    assert.ok(upstreams[0]?.key instanceof Secret)
    assert.equal(upstreams[0].key.reveal(), 'sk-1')
    assert.equal(upstreams[1]?.key, null)
  })

  test('has its plugins in the order of the list, with their places, options and providers', async () => {
    const { plugins } = await sound(example)
    assert.deepEqual(
      plugins.map(({ name, line, column, providers }) => [name, line, column, providers[0]?.name ?? null]),
      [
        ['ip-rules', 13, 5, null],
        ['api-keys', 14, 5, null],
        ['openai', 17, 5, 'openai'],
        ['openai', 18, 5, 'deepseek'],
        ['router', 19, 5, null],
        ['everything', 20, 5, null],
      ],
    )
    assert.deepEqual(plugins[0]?.config, { deny: ['203.0.113.0/24'], allow: [] })
    assert.equal(plugins[3]?.providers[0]?.prefix, '/deepseek')
    assert.equal(plugins[2]?.plugin, openai)
  })

  test('gives a plugin its defaults in the form of everything else', async () => {
    const { plugins } = await sound('plugins: [everything]\n')
    assert.deepEqual(plugins[0]?.config, {
      attempts: 3,
      factor: 1.5,
      mode: 'safe',
      strict: true,
      label: '',
      rest: { min: 1000, max: 60_000 },
      store: 'memory',
      set: {},
      tags: [],
      free: null,
    })
  })

  test('applies the defaults of the branch that was taken', async () => {
    const text = 'plugins:\n  - everything: { store: { url: "http://localhost", password: x } }\n'
    const { store } = (await optionsOf(text)) as { store: { url: string; ttl: number; password: Secret } } // as written
    assert.deepEqual([store.url, store.ttl, store.password.reveal()], ['http://localhost', 3_600_000, 'x'])
  })

  test('takes a name, a name with nothing and a name with an empty map for the same', async () => {
    for (const item of ['ip-rules', '{ ip-rules: }', '{ ip-rules: {} }', '{ ip-rules: null }']) {
      const { plugins } = await sound(`plugins: [${item}]\n`)
      assert.deepEqual(plugins[0]?.config, { allow: [], deny: [] }, item)
    }
  })

  test('takes __proto__ for a key like any other', async () => {
    const { set } = await optionsOf('plugins:\n  - everything: { set: { __proto__: { admin: true } } }\n')
    assert.deepEqual(Object.keys(Object(set)), ['__proto__'])
    assert.equal(Object.getPrototypeOf(set), Object.prototype)
    assert.equal(Reflect.get({}, 'admin'), undefined)
  })

  test('leaves an upstream with an empty key out, and says so', async () => {
    for (const key of ['"${OPENAI_API_KEY:-}"', '${OPENAI_API_KEY:-}', '""']) {
      const { upstreams, notes } = await sound(
        `upstreams:\n  - name: openai\n    provider: openai\n    key: ${key}\nplugins: [openai]\n`,
      )
      assert.deepEqual(upstreams, [])
      assert.deepEqual(notes, ['upstream openai is left out: its key is empty'])
    }
  })

  test('lets a plugin read what the gateway writes, what one above writes and what it writes itself', async () => {
    const both = plugin('both', { type: 'object' }, { reads: ['usage'], writes: ['usage'] })
    const { config } = await parse(
      'plugins: [greeter, both]\n',
      {},
      {
        ...source,
        load: async (name, folder) => (name === 'both' ? both : source.load(name, folder)),
      },
    )
    assert.equal(config?.plugins.length, 2)
    await sound('plugins: [openai, router]\n')
  })
})

describe('a configuration is frozen', async () => {
  const config = await sound(example)
  test('all the way down', () => {
    const parts: unknown[] = [config]
    for (const part of parts) {
      if (typeof part !== 'object' || part === null || part instanceof Secret || part instanceof URL) continue
      assert.ok(Object.isFrozen(part), JSON.stringify(part))
      const { plugin: _plugin, providers: _providers, ...rest } = part as Record<string, unknown> // or a list, which has neither
      parts.push(...Object.values(rest))
    }
    assert.ok(parts.length > 60)
  })

  test('but for what plugins have made', () => {
    assert.ok(!Object.isFrozen(openai))
    assert.ok(config.plugins.every(({ providers }) => providers.every((provider) => !Object.isFrozen(provider))))
  })

  test('and shares nothing with the schemas it came from', async () => {
    const options = { type: 'object', properties: { list: { type: 'array', default: ['a'] } } } as const
    const { config: made } = await parse('plugins: [x]\n', {}, sourceOf([plugin('x', options)]))
    assert.deepEqual(made?.plugins[0]?.config, { list: ['a'] })
    assert.ok(!Object.isFrozen(options.properties.list.default))
  })
})

describe('all problems are told at once', () => {
  test('from the first line to the last, whichever step has found them', async () => {
    const { config, problems } = await parse(
      [
        'listen: 8787',
        'limits: { drain: 30, dran: 1s }',
        'upstreams:',
        '  - { name: a, provider: opnai }',
        '  - { name: a, provider: openai, key: "${NOBODY}" }',
        'plugins:',
        '  - ip-rules: { alow: [], deny: [x] }',
        '  - ip-rulez',
        '  - router',
        '  - openai',
        '  - openai',
      ].join('\n'),
    )
    assert.equal(config, null)
    assert.deepEqual(
      problems.map(({ line, column, message }) => `${line}:${column} ${message.replace(/[.,:] .*/, '')}`),
      [
        '1:9 listen must be an address to listen on such as 127.0.0.1:8787',
        '2:18 limits.drain must be a duration such as 30s',
        '2:22 limits does not know "dran"',
        '4:26 no provider is mounted as "opnai"',
        '5:13 line 4 has an upstream "a" already',
        '5:40 the environment variable NOBODY is not set',
        '7:17 ip-rules does not know "alow"',
        '7:34 ip-rules.deny[0] must be an address or a range such as 10.0.0.0/8',
        '8:5 there is no plugin "ip-rulez"',
        '9:5 router reads "model"',
        '11:5 line 10 has mounted a provider as "openai" already',
      ],
    )
  })

  test('but not those that only follow from others', async () => {
    const once = [
      // Its provider may be the one that could not be read.
      'upstreams: [{ name: a, provider: openai }]\nplugins:\n  - openai: { prefixx: /x }\n',
      'upstreams: [{ name: a, provider: deepseek }]\nplugins:\n  - openai: { as: deepseek, prefixx: /x }\n',
      'upstreams: [{ name: a, provider: openai }]\nplugins:\n  - openai:\n    prefix: /x\n',
      // What it writes is not known.
      'plugins: [router, opnai]\n',
      // What is wrong with it cannot be known while it has no value.
      'limits: { drain: "${NOBODY}" }\n',
      'plugins: ["${NOBODY}"]\n',
      'upstreams: [{ name: a, provider: "${NOBODY}" }]\n',
    ]
    for (const text of once) {
      const { problems } = await parse(text)
      assert.equal(problems.length, 1, problems.map((problem) => render(problem)).join('\n'))
    }
  })
})

describe('the file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-load-'))
  after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'gateway.yaml')
  const load = async (content: string | Buffer) => {
    await writeFile(file, content)
    return loadConfig(file, { plugins: source, env: {} })
  }

  test('gives the version its hash, as sha256sum prints it', async () => {
    const { config, text } = await load(example)
    assert.equal(config?.version, createHash('sha256').update(example).digest('hex').slice(0, 12))
    assert.equal(config.file, file)
    assert.equal(text, example)
  })

  test('may come from Windows', async () => {
    assert.ok((await load(`\uFEFF${example.replaceAll('\n', '\r\n')}`)).config)
    const { problems } = await load('\uFEFFlog: {}\r\nlisen: :1\r\n')
    assert.equal(problems[0]?.line, 2)
    assert.ok(!problems[0].frame.includes('\r'))
  })

  test('must be there, be a file and be UTF-8', async () => {
    const told = async (path: string) => {
      const { config, problems } = await loadConfig(path, { plugins: source, env: {} })
      assert.equal(config, null)
      return problems.map((problem) => render(problem)).join('\n')
    }
    assert.equal(
      await told('nowhere.yaml'),
      'nowhere.yaml:1:1 this file cannot be read: there is no such file\n  Name the right one with --config FILE.',
    )
    assert.match(await told(folder), /it is a folder/)
    await load(Buffer.from([0x6c, 0xff, 0xfe]))
    assert.match(await told(file), /it is not UTF-8/)
  })

  test('finds its plugins relative to itself', async () => {
    const asked: string[][] = []
    await writeFile(file, 'plugins: [./ours, "@scope/theirs"]\n')
    const { config } = await loadConfig(file, {
      plugins: {
        names: [],
        load: async (name, from) => {
          asked.push([name, from])
          return plugin('x', { type: 'object' })
        },
      },
    })
    assert.equal(config?.plugins.length, 2)
    assert.deepEqual(asked, [
      ['./ours', folder],
      ['@scope/theirs', folder],
    ])
  })

  test('looks into the environment of the process where no other is given', async () => {
    await writeFile(file, 'log: { level: "${POSTERN_TEST_LEVEL}" }\n')
    process.env['POSTERN_TEST_LEVEL'] = 'debug'
    try {
      assert.equal((await loadConfig(file, { plugins: source })).config?.settings.log.level, 'debug')
    } finally {
      delete process.env['POSTERN_TEST_LEVEL']
    }
  })
})
