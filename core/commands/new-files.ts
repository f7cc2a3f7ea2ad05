/** What `postern new` writes. A test makes both kinds, compiles them, and runs their tests and benchmarks. */
import { contractVersion } from '../contract.ts'

type Files = Readonly<Record<string, string>>

/** A policy: refuses who does not say who they are, and learns a fact of its own. */
export function pluginFiles(name: string): Files {
  const fact = name.replaceAll('-', '_')
  return {
    'index.ts': `import { definePlugin, refuse } from 'postern/plugin'

declare module 'postern/plugin' {
  interface Facts {
    /** What the client says in the header. */
    ${fact}: string
  }
}

/** TODO: what it does, in a sentence. */
export default definePlugin({
  name: '${name}',
  contract: '${contractVersion}',
  config: {
    type: 'object',
    description: 'Lets those in who say who they are.',
    additionalProperties: false,
    properties: {
      header: { type: 'string', default: 'x-${name}', description: 'The header that has to be there, in lower case.' },
    },
  },
  writes: ['${fact}'],
  // Runs once for each version of gateway.yaml: compile here what the hooks use.
  setup({ config: { header } }) {
    const refusal = refuse(403, 'WHO_ARE_YOU', \`Send the header \${header}\`)
    return {
      // Runs for every exchange.
      onRequest({ headers, facts }) {
        const value = headers[header]
        if (typeof value !== 'string' || value === '') return refusal
        facts.${fact} = value
      },
      // Nobody upstream needs to know.
      onUpstreamRequest(_exchange, { headers }) {
        headers[header] = undefined
      },
    }
  },
})
`,
    [`${name}.test.ts`]: `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answer, fakeUpstream, gateway, pluginContract } from 'postern/testing'
import plugin from './index.ts'

pluginContract(plugin, { folder: new URL('./', import.meta.url) })

const yaml = \`
upstreams:
  - { name: o, provider: openai, url: "\\\${UPSTREAM}", key: k }
plugins: [${name}, openai]
\`

test('lets in who says who they are, and tells nobody upstream', async () => {
  await using upstream = await fakeUpstream(answer('Hello'))
  await using gw = await gateway(yaml, { plugins: [plugin], env: { UPSTREAM: upstream.url } })
  const ask = (headers: Record<string, string>) => fetch(\`\${gw.url}/v1/models\`, { headers })
  assert.equal((await ask({ 'x-${name}': 'me' })).status, 200)
  assert.equal(upstream.asked[0]?.headers['x-${name}'], undefined)
  const refused = await ask({})
  assert.equal(refused.status, 403)
  assert.match(await refused.text(), /x-${name}/)
})
`,
    [`${name}.bench.ts`]: `import { bench, rehearse } from 'postern/testing'
import plugin from './index.ts'

await using rehearsal = await rehearse({ plugins: [plugin, 'openai'] })
const exchange = await rehearsal.exchange({ path: '/v1/models', headers: { 'x-${name}': 'me' } })
const hooks = rehearsal.hooks(plugin)

await bench('one exchange', {
  'this plugin': () => hooks.onRequest?.(exchange),
  // The naive way, to be beaten: every name is looked at.
  'all headers looked at': () => Object.entries(exchange.headers).find(([name]) => name.toLowerCase() === 'x-${name}'),
})
`,
    'README.md': readme(name, 'Lets those in who say who they are, in a header that stays here.'),
  }
}

/** An API in a dialect of its own. */
export function providerFiles(name: string): Files {
  return {
    'index.ts': `import { defineProvider, dropCredentials, jsonField, type Claim, type Dialect } from 'postern/provider'

/** TODO: which API it is, in a sentence. */
export default defineProvider({
  name: '${name}',
  contract: '${contractVersion}',
  description: "The API of ${name}.",
  url: 'https://api.example.com',
  prefix: '/${name}',
  dialect: () => dialect,
})

const dialect: Dialect = {
  claims: (method, path): Claim | null => (method === 'POST' && path === '/generate' ? { operation: 'generate' } : null),
  fields: { model: 'model', stream: 'stream' },
  authorize({ headers }, key) {
    if (key === null) return
    dropCredentials(headers)
    headers['x-api-key'] = key
  },
  usage(data, usage) {
    usage.input = Number(jsonField(data, 'tokens.in') ?? usage.input)
    usage.output = Number(jsonField(data, 'tokens.out') ?? usage.output)
  },
  // An error inside a 200 is no answer yet: another upstream may do better.
  firstEvent: (data) => (jsonField(data, 'failed') === true ? { status: 503 } : 'commit'),
  refusal: (status, code, message) => ({ failed: true, status, code, message }),
}
`,
    [`${name}.test.ts`]: `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeUpstream, gateway, json, pluginContract } from 'postern/testing'
import provider from './index.ts'

pluginContract(provider, { folder: new URL('./', import.meta.url) })

const upstream = (called: string, url: string, priority: number) =>
  ({ name: called, provider: '${name}', url, key: called, priority })

const ask = (url: string) =>
  fetch(url + '/${name}/generate', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"m"}',
  })

test('an upstream is sent its own key, and one that fails inside a 200 is not the last word', async () => {
  await using one = await fakeUpstream(json(200, { failed: true }))
  await using other = await fakeUpstream(json(200, { text: 'Hello', tokens: { in: 1, out: 2 } }))
  await using gw = await gateway({
    plugins: [provider, 'failover'],
    upstreams: [upstream('one', one.url, 1), upstream('other', other.url, 2)],
  })
  assert.match(await (await ask(gw.url)).text(), /Hello/)
  assert.deepEqual([one.asked.length, other.asked[0]?.headers['x-api-key']], [1, 'other'])
})

test('what the gateway refuses is told in the words of this API', async () => {
  await using gw = await gateway({ plugins: [provider] })
  assert.match(await (await ask(gw.url)).text(), /"failed":true/)
})
`,
    [`${name}.bench.ts`]: `import { bench } from 'postern/testing'
import provider from './index.ts'

const [mount] = provider.mount?.({ as: '${name}', prefix: '', url: 'https://api.example.com' }, []) ?? []
const event = Buffer.from(JSON.stringify({ text: '“word” '.repeat(500), tokens: { in: 1, out: 2 } }))
const usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 }

await bench('tokens of an event of 6 KB', {
  'found in its bytes': () => mount?.dialect.usage(event, usage),
  parsed: () => (JSON.parse(event.toString('utf8')) as { tokens: object }).tokens,
})
`,
    'README.md': readme(name, `The API of ${name}, mounted under \`/${name}\`.`),
  }
}

function readme(name: string, says: string): string {
  return `# ${name}

${says}

<!-- options -->
<!-- /options -->
`
}

/** What a folder needs that lies in no package yet. It can be published as it is. */
export function surroundings(name: string, version: string): Files {
  const [major = '0', minor = '0'] = version.split('.')
  const manifest = {
    name,
    version: '0.1.0',
    private: true,
    type: 'module',
    exports: './dist/index.js',
    files: ['dist', 'README.md'],
    scripts: {
      check: 'tsc',
      test: `node --test ${name}.test.ts`,
      bench: `node ${name}.bench.ts`,
      build: 'tsc --noEmit false --outDir dist --declaration --rewriteRelativeImportExtensions',
    },
    peerDependencies: { postern: `${major}.${minor}.x` },
    devDependencies: { '@types/node': '^24.0.0', typescript: '>=5.8' },
  }
  const compiler = {
    compilerOptions: {
      target: 'es2024',
      lib: ['es2024', 'esnext.disposable'],
      module: 'nodenext',
      types: ['node'],
      strict: true,
      noUncheckedIndexedAccess: true,
      verbatimModuleSyntax: true,
      erasableSyntaxOnly: true,
      allowImportingTsExtensions: true,
      skipLibCheck: true,
      noEmit: true,
    },
    include: ['*.ts'],
  }
  return {
    'package.json': `${JSON.stringify(manifest, null, 2)}\n`,
    'tsconfig.json': `${JSON.stringify(compiler, null, 2)}\n`,
  }
}
