/** gateway.yaml: whatever the text, it is a configuration or has problems with line and column, and it is the same the next time. */
import { isDeepStrictEqual } from 'node:util'
import { example, plugins as fixtures, sourceOf } from '../../core/config/load.fixture.ts'
import { parseConfig, type Loaded, type PluginSource } from '../../core/config/load.ts'
import { ConfigError, render } from '../../core/config/problems.ts'
import { pluginSource } from '../../core/plugins.ts'
import { readFileSync } from 'node:fs'
import { Fault, utf8, type FuzzTarget } from './target.ts'

const secret = 'S3cret-value-0123456789'
const env = { A: secret, KEY: 'sk-of-the-environment' }

const words =
  'listen admin log level limits drain body header connections trusted_proxies upstreams name provider url key models priority plugins store ' +
  'database keys timeouts slots tags host ip-rules allow deny openai anthropic gemini as prefix body-patch set failover attempts everything ' +
  'api-key-auth usage console sticky-session concurrency free __proto__ constructor toString null true false ~ 1 -1 1e999 .nan .inf 0x10 0o7 ' +
  '30s 1.5s 99999999d 1MiB -1s file: file:/ file:/dev/null file:. ${A} ${A:-x} "${KEY}" ${ ${NOT} $${ 127.0.0.1:0 :0 unix:/x [::1]:0 10.0.0.0/8 ' +
  '0.0.0.0/0 https://a:b@c http://127.0.0.1 http://169.254.169.254 memory redis://x postgres://x none embedded - --- ... %YAML &a *a !x !!str | > # ? <<: [ ] { } , "'

export const yaml: FuzzTarget = {
  name: 'yaml',
  about:
    'gateway.yaml: a configuration or problems with line and column, never both, nothing thrown, no secret told, the same again',
  covers: ['core/config/'],
  starts: [...utf8(example, 'plugins: [openai]\n'), readFileSync(new URL('../../gateway.yaml', import.meta.url))],
  words: utf8(
    ...words.split(' '),
    '\n',
    '\n  ',
    '\n    - ',
    ': ',
    ' ',
    '\t',
    '\r\n',
    '\u0085',
    '\u2028',
    '\ufeff',
    '\0',
    '{ ',
    ' }',
    "'",
  ),
  longest: 6000,
  batch: 10,
  open: async () => ({ run, async [Symbol.asyncDispose]() {} }),
}

/** The house's plugins, and those of the tests that have one option of every kind. */
const extra = sourceOf(fixtures.filter(({ name }) => !pluginSource.names.includes(name)))
const source: PluginSource = {
  names: [...pluginSource.names, ...extra.names],
  async load(name, folder) {
    if (pluginSource.names.includes(name)) return pluginSource.load(name, folder)
    return extra.load(name, folder)
  },
}

let before: Loaded | null = null

async function run(input: Buffer): Promise<string> {
  const text = input.toString()
  const loaded = await parseConfig(text, 'gateway.yaml', { plugins: source, env })
  check(loaded, text)
  // Another file in between: what is read may not depend on what was read.
  if (before) await parseConfig(before.text, 'gateway.yaml', { plugins: source, env })
  const again = await parseConfig(text, 'gateway.yaml', { plugins: source, env })
  before = loaded
  const same = [loaded, again].map(({ config, problems }) => ({
    problems,
    version: config?.version,
    settings: JSON.stringify(config?.settings),
    upstreams: config?.upstreams.map(({ name }) => name),
  }))
  if (!isDeepStrictEqual(same[0], same[1])) throw new Fault('a text is read the same each time')
  return loaded.config ? 'a configuration' : wordFor(loaded.problems[0]!.message)
}

/** The beginning of a problem without what it quotes of the text. */
function wordFor(message: string): string {
  const words = message.split(' ').filter((word) => /^[a-z]+$/.test(word))
  return words.slice(0, 4).join(' ')
}

function check({ config, problems }: Loaded, text: string): void {
  if ((config === null) !== problems.length > 0) throw new Fault('a configuration, or problems')
  const lines = text.split('\n')
  for (const problem of problems) {
    const { line, column, message } = problem
    const length = lines[line - 1]?.length
    if (length === undefined || column < 1 || column > length + 1)
      throw new Fault('a problem stands in the text', `${line}:${column} ${message}`)
    if (message === '') throw new Fault('a problem says what it is')
    if (render(problem).includes(secret)) throw new Fault('no secret is told', message)
  }
  if (problems.length > 0 && new ConfigError(problems).message === '') throw new Fault('an error says what it is')
}
