/** Texts that are wrong, each with the place and the words of its problem. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse } from './load.fixture.ts'
import { render } from './problems.ts'

/** What is wrong with it, the text, then every problem it has: `line:column`, a part of the message, a part of the cure. */
type Row = readonly [
  title: string,
  text: string,
  ...problems: (readonly [place: string, message: string, cure?: string])[],
]

const yaml: readonly Row[] = [
  ['an empty file', '', ['1:1', 'this file is empty', 'list of plugins']],
  ['a file of comments', '# nothing\n', ['1:1', 'this file says nothing']],
  ['a list at the root', '- openai\n', ['1:1', 'must be a map of keys and values', 'plugins:']],
  ['a text at the root', 'hello\n', ['1:1', 'must be a map of keys and values']],
  ['a key twice', 'listen: :1\nlog: {}\nlisten: :2\n', ['3:1', 'this map has the key "listen" twice', 'Remove one']],
  ['a tab', 'limits:\n\tdrain: 30s\n', ['2:1', 'a tab cannot indent', 'spaces']],
  ['bad indentation', 'limits:\n    drain: 30s\n  body: 1MiB\n', ['3:1', 'indented unlike', 'same column']],
  ['two documents', 'listen: :1\n---\nlisten: :2\n', ['2:1', 'a second document begins here', 'three dashes']],
  ['an open bracket', 'plugins: [openai\nlisten: :1\n', ['2:1', 'is not closed here']],
  ['an open quote', 'listen: "127.0.0.1:1\n', ['2:1', 'missing closing "quote']],
  ['an unquoted reference in a flow map', 'log: { level: ${L} }\n', ['1:16', 'not YAML', 'a reference needs quotes']],
  ['an unquoted address in brackets', 'listen: [::1]:8787\n', ['1:14', 'not YAML', '"[::1]:8787"']],
  ['a reserved character', 'listen: @home\n', ['1:9', 'reserved character @', 'Put the value in quotes']],
  ['a colon too many', 'listen: a: b\n', ['1:9', 'not YAML', 'Put the value in quotes']],
  ['a tag', 'listen: !!binary aGk=\n', ['1:9', 'the tag "!!binary" has no meaning here', 'Remove it']],
  ['an alias to nowhere', 'listen: *home\n', ['1:9', 'nothing before has the anchor &home']],
  ['an alias in a circle', 'plugins: &p\n  - *p\n', ['2:5', '*p stands inside of what it names']],
  ['a key that is a list', '? [a, b]\n: c\n', ['1:3', 'a key must be a name']],
  ['an alias bomb', bomb(), ['9:40', 'multiply beyond all use', 'Write out']],
]

const core: readonly Row[] = [
  [
    'an unknown key',
    'lisen: :1\n',
    ['1:1', 'the gateway does not know "lisen". Did you mean "listen"?', 'It knows listen, tls, admin'],
  ],
  ['a key in other spelling', 'trustedProxies: []\n', ['1:1', 'Did you mean "trusted_proxies"?']],
  ['a merge key', 'log:\n  <<: { level: info }\n', ['2:3', 'log does not know "<<"']],
  ['a nested unknown key', 'limits:\n  dran: 30s\n', ['2:3', 'limits does not know "dran". Did you mean "drain"?']],
  ['a key far from all', 'xyzzy: 1\n', ['1:1', 'the gateway does not know "xyzzy"']],
  [
    'a duration without a unit',
    'limits: { drain: 30 }\n',
    ['1:18', 'limits.drain must be a duration such as 30s, not the number 30', 'Write 30s'],
  ],
  ['a duration in words', 'timeouts:\n  idle: 5 minutes\n', ['2:9', 'not "5 minutes"', 'Write 5m']],
  [
    'a size without a unit',
    'limits:\n  body: 1000\n',
    ['2:9', 'limits.body must be a size such as 32MiB, not the number 1000', 'Write 1000B'],
  ],
  ['a size in small letters', 'limits:\n  body: 32mb\n', ['2:9', 'not "32mb"', 'Write 32MB']],
  ['a ping that Node cannot hold', 'websocket: { ping: 30d }\n', ['1:20', 'websocket.ping must be at most 24d']],
  ['a ping without a pause', 'websocket: { ping: 0s }\n', ['1:20', 'websocket.ping must be at least 100ms']],
  ['messages that ws cannot count', 'websocket: { message: 2GiB }\n', ['1:23', 'from 1B to 1GiB']],
  ['more idle than may be', 'websocket: { pool: { min_idle: 13 } }\n', ['1:32', 'is more than max_idle']],
  ['more idle than there may be', 'websocket: { pool: { max: 2, min_idle: 3 } }\n', ['1:40', 'is more than max']],
  ['a share beyond all', 'websocket: { pool: { utilization: 1.5 } }\n', ['1:35', 'utilization must be']],
  ['a pool key misspelt', 'websocket: { pool: { max_idel: 1 } }\n', ['1:22', 'Did you mean "max_idle"']],
  ['a timer that Node cannot hold', 'timeouts: { idle: 30d }\n', ['1:19', 'timeouts.idle must be at most 24d']],
  ['a bare port', 'listen: 8787\n', ['1:9', 'listen must be an address to listen on', '127.0.0.1:8787, or :8787']],
  ['a port beyond all ports', 'listen: :70000\n', ['1:9', 'not ":70000"']],
  ['an admin that is true', 'admin: true\n', ['1:8', 'admin must be a map or false, not true']],
  ['a wrong key in admin', 'admin:\n  listn: :1\n', ['2:3', 'admin does not know "listn". Did you mean "listen"?']],
  ['a level of another logger', 'log: { level: warning }\n', ['1:15', 'log.level must be one of "fatal"', undefined]],
  [
    'a range that is none',
    'trusted_proxies: [10.0.0.0/33]\n',
    ['1:19', 'trusted_proxies[0] must be an address or a range', 'CIDR'],
  ],
  ['a map in place of a list', 'plugins: { openai: {} }\n', ['1:10', 'plugins must be a list, not a map']],
  ['a number in place of a list', 'upstreams: 3\n', ['1:12', 'upstreams must be a list, not the number 3']],
]

const upstreams: readonly Row[] = [
  ['a missing key', row('name: a'), ['2:5', 'upstreams[0] needs "provider"', 'provider: The provider it belongs to']],
  [
    'an empty value',
    'upstreams:\n  - name: a\n    provider:\n',
    ['3:5', 'upstreams[0].provider must be a text, but there is nothing'],
  ],
  [
    'a name with a space',
    row('name: a b, provider: openai'),
    ['2:13', 'must look like ^[A-Za-z0-9]', 'Letters, digits'],
  ],
  ['a number as a name', row('name: 7, provider: openai'), ['2:13', 'must be a text, not the number 7', '"7"']],
  [
    'an address with a query',
    row('name: a, provider: openai, url: "https://x/?a=1"'),
    ['2:39', 'must be a web address', 'no query'],
  ],
  [
    'an address with a password',
    row('name: a, provider: openai, url: "https://u:p@x/"'),
    ['2:39', 'must be a web address'],
  ],
  [
    'a star in the middle',
    row('name: a, provider: openai, models: [g*t]'),
    ['2:43', 'models[0] must be a model name', 'at its end'],
  ],
  [
    'a priority with a fraction',
    row('name: a, provider: openai, priority: 1.5'),
    ['2:44', 'must be a whole number, not the number 1.5'],
  ],
  [
    'a numeric key',
    row('name: a, provider: openai, key: 123456'),
    ['2:39', 'upstreams[0].key must be a text that is kept secret'],
  ],
  [
    'a provider nobody mounts',
    row('name: a, provider: opnai'),
    ['2:26', 'no provider is mounted as "opnai". Did you mean "openai"?', 'Add it to plugins; mounted are openai'],
  ],
  ['a plugin that is no provider', row('name: a, provider: router'), ['2:26', 'no provider is mounted as "router"']],
  [
    'a name twice',
    'upstreams:\n  - { name: a, provider: openai }\n  - { name: a, provider: openai }\nplugins: [openai]\n',
    ['3:13', 'line 2 has an upstream "a" already', 'of its own'],
  ],
]

const plugins: readonly Row[] = [
  [
    'an unknown option',
    'plugins:\n  - ip-rules: { alow: [10.0.0.0/8] }\n',
    ['2:17', 'ip-rules does not know "alow". Did you mean "allow"?', 'It knows allow, deny'],
  ],
  [
    'an unknown plugin',
    'plugins:\n  - ip-rulez\n',
    ['2:5', 'there is no plugin "ip-rulez". Did you mean "ip-rules"?', 'Built in are api-keys, everything'],
  ],
  [
    'a plugin like no other',
    'plugins: [zzz]\n',
    ['1:11', '"zzz" cannot be loaded: nothing is installed', 'Built in are'],
  ],
  ['a folder that is not there', 'plugins: [./zzz]\n', ['1:11', '"./zzz" cannot be loaded: nothing is installed']],
  [
    'options that are not indented',
    'plugins:\n  - ip-rules:\n    deny: []\n',
    ['3:5', 'a plugin is a map with one name, but here are "ip-rules" and "deny"', 'Indent what belongs to ip-rules'],
  ],
  ['an empty item', 'plugins:\n  - openai\n  -\n', ['3:4', 'but here is nothing', '- NAME']],
  ['a number as a plugin', 'plugins: [7]\n', ['1:11', 'not 7']],
  ['a list as options', 'plugins:\n  - ip-rules: [10.0.0.0/8]\n', ['2:15', 'ip-rules must be a map, not a list']],
  ['no options where some are required', 'plugins: [api-keys]\n', ['1:11', 'api-keys needs "keys"', 'keys: The keys']],
  [
    'an item that says too little',
    'plugins:\n  - api-keys:\n      keys:\n        - name: a\n',
    ['4:11', 'api-keys.keys[0] needs "key"'],
  ],
  ['a number too small', option('attempts: 0'), ['1:37', 'everything.attempts must be at least 1, not the number 0']],
  ['a number not large enough', option('factor: 0'), ['1:35', 'everything.factor must be more than 0']],
  ['a text for a number', option('attempts: three'), ['1:37', 'must be a whole number, not "three"']],
  ['a text for a switch', option('strict: yes'), ['1:35', 'must be true or false, not "yes"']],
  [
    'a choice that is none',
    option('mode: sage'),
    ['1:33', 'must be one of "fast", "safe", not "sage". Did you mean "safe"?'],
  ],
  ['an item twice', option('tags: [x, y, x]'), ['1:40', 'everything.tags has the same item twice']],
  [
    'none of several forms',
    option('store: redis'),
    ['1:34', 'everything.store must be "memory" or a map, not "redis"'],
  ],
  [
    'one of several forms, wrong inside',
    option('store: { url: nope }'),
    ['1:41', 'everything.store.url must be a web address'],
  ],
  ['one of several forms, incomplete', option('store: { ttl: 1m }'), ['1:34', 'everything.store needs "url"']],
  [
    'an explicit value where only the default may be empty',
    option('label: ""'),
    ['1:34', 'must look like ^[a-z]+$', 'Small letters only'],
  ],
  [
    'a fact that is written below',
    'plugins:\n  - router\n  - openai\n',
    ['2:5', 'router reads "model", which openai (line 3) writes: move openai above it'],
  ],
  [
    'a fact that nothing writes',
    'plugins: [meter]\n',
    ['1:11', 'meter reads "usage", and nothing writes it', 'Add a plugin above it'],
  ],
  [
    'two providers of one name',
    'plugins: [openai, openai]\n',
    ['1:19', 'line 1 has mounted a provider as "openai" already', '"as"'],
  ],
  ['a provider that refuses', 'plugins: [unmountable]\n', ['1:11', 'unmountable cannot be mounted: its address is']],
  [
    'a schema that is none',
    'plugins: [unusable]\n',
    ['1:11', 'unusable has a schema that cannot be used: unknown format "moon-phase"', 'author'],
  ],
]

for (const [part, rows] of Object.entries({ YAML: yaml, 'the core': core, upstreams, plugins })) {
  describe(`${part}: a problem says where, what and what to do about`, () => {
    for (const [title, text, ...expected] of rows) {
      test(title, async () => {
        const { config, problems } = await parse(text)
        const told = problems.map((problem) => render(problem)).join('\n\n')
        assert.equal(config, null)
        assert.deepEqual(
          problems.map(({ line, column }) => `${line}:${column}`),
          expected.map(([place]) => place),
          told,
        )
        expected.forEach(([, message, cure], index) => {
          assert.ok(problems[index]?.message.includes(message), told)
          assert.ok(problems[index]?.cure?.includes(cure ?? '') ?? cure === undefined, told)
        })
      })
    }
  })
}

function row(fields: string): string {
  return `upstreams:\n  - { ${fields} }\nplugins: [openai]\n`
}

function option(field: string): string {
  return `plugins: [{ everything: { ${field} } }]\n`
}

/** 9 lines that would be 8⁷ items. */
function bomb(): string {
  const lines = ['plugins:', '  - a: &a [x]']
  for (const [index, name] of ['b', 'c', 'd', 'e', 'f', 'g', 'h'].entries()) {
    lines.push(`  - ${name}: &${name} [${`*${'abcdefg'[index]}, `.repeat(8)}]`)
  }
  return `${lines.join('\n')}\n`
}
