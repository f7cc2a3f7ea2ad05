/**
 * Takes the pictures of the console that README shows, from a gateway that runs and real exchanges through it: `npm run pictures`. Needs
 * chromium; nobody runs it but who has changed the page.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { silentLog } from '../../core/observe/log.ts'
import { pluginSource } from '../../core/plugins.ts'
import { startSidecar } from '../../core/sidecar.ts'
import { browser, type Page } from '../../plugins/console/browser.fixture.ts'
import { fakeUpstream, json, type FakeUpstream, type Script } from '../fake-upstream.ts'
import { toYaml } from '../harness.ts'

const folder = fileURLToPath(new URL('../../docs/pictures/', import.meta.url))
/** A page of the repository that takes long to come is not looked at. In bytes. */
const largest = 150 * 1024

const teams = { web: 'web-team-0123456789', search: 'search-team-0123456', night: 'night-batch-0123456' } as const
const models = ['gpt-5', 'gpt-5-mini', 'o4'] as const

await mkdir(folder, { recursive: true })
await using stack = new AsyncDisposableStack()
const scratch = await mkdtemp(join(tmpdir(), 'postern-pictures-'))
stack.defer(() => rm(scratch, { recursive: true }))
const gw = await scene(stack)
await asks(gw)
const chromium = stack.use(await browser())
for (const [scheme, usage, upstreams] of [
  ['light', 'console-usage.png', null],
  ['dark', null, 'console-upstreams.png'],
] as const) {
  const page = await chromium.open(`${gw.adminUrl}/console`)
  await page.resize(usage === null ? 1000 : 1200, usage === null ? 640 : 760)
  await page.colours(scheme)
  await page.until(`document.querySelectorAll('#exchange-rows tr').length > 30`)
  await page.until(`document.querySelectorAll('#upstream-rows tr').length === 3`)
  await page.until(`document.querySelector('#chart svg rect') !== null`)
  if (usage === null) {
    await page.evaluate(`document.querySelector('[aria-label="Explain exchange failed-over"]').click()`)
    await page.until(`document.getElementById('explanation').open`)
    await take(page, 'console-why.png')
    await page.press('Escape')
  } else await take(page, 'console-exchanges.png')
  await page.resize(1200, 520)
  await page.evaluate(`document.getElementById('${usage === null ? 'upstreams' : 'usage'}').scrollIntoView()`)
  await take(page, usage ?? upstreams)
}

/** A gateway with three upstreams, one of which reaches its limit, and three keys. */
async function scene(stack: AsyncDisposableStack): Promise<Asked> {
  const upstreams: FakeUpstream[] = []
  for (const script of [answers(20), answers(35), limited()]) upstreams.push(stack.use(await fakeUpstream(script)))
  const [fast, slow, busy] = upstreams
  assert.ok(fast && slow && busy)
  // Named as an operator would, and not after a folder of this machine.
  process.chdir(scratch)
  const file = 'gateway.yaml'
  await writeFile(
    file,
    toYaml(
      {
        plugins: ['console', 'api-key-auth', 'openai', 'sticky-session', 'concurrency', 'failover', 'ops-capture'],
        keys: Object.entries(teams).map(([name, key]) => ({ name, key })),
        upstreams: [
          { name: 'openai-eu', provider: 'openai', url: fast.url, key: 'k', slots: 8 },
          { name: 'openai-us', provider: 'openai', url: slow.url, key: 'k', slots: 8 },
          { name: 'openai-spare', provider: 'openai', url: busy.url, key: 'k', slots: 4, priority: 90 },
        ],
      },
      new Map(),
    ),
  )
  const sidecar = await startSidecar({ file, plugins: pluginSource, log: silentLog, env: {}, watch: false })
  stack.defer(async () => void (await sidecar.stop()))
  return { url: sidecar.url, adminUrl: sidecar.adminUrl ?? '' }
}

interface Asked {
  readonly url: string
  readonly adminUrl: string
}

/** In about so many ms, with some tokens. */
function answers(ms: number): Script {
  let count = 0
  return async (asked, response, request) => {
    await new Promise((resolve) => setTimeout(resolve, ms))
    const usage = { prompt_tokens: 200 + asked.body.length, completion_tokens: 60 + ((count++ * 37) % 400) }
    if (asked.body.includes('no-such-model'))
      return json(404, { error: { message: 'The model `no-such-model` does not exist' } })(asked, response, request)
    return json(200, { id: `x${count}`, object: 'chat.completion', usage })(asked, response, request)
  }
}

function limited(): Script {
  return json(429, { error: { message: 'Rate limit reached for requests' } }, { 'retry-after': '540' })
}

/** A morning's exchanges, in a few seconds. */
async function asks(gw: Asked): Promise<void> {
  const names = Object.keys(teams) as (keyof typeof teams)[] // its own keys
  await ask(gw, 'failed-over', 'web', 'gpt-5')
  for (let at = 0; at < 40; at++) {
    const team = names[(at * 7) % names.length] ?? 'web'
    await ask(gw, `${team}-${1000 + at * 13}`, team, models[(at * 5) % models.length] ?? 'gpt-5')
  }
  await ask(gw, 'search-2001', 'search', 'no-such-model')
  await fetch(`${gw.url}/v1/models`, { headers: { authorization: 'Bearer nobody', 'x-request-id': 'who-is-that' } })
}

async function ask(gw: Asked, id: string, team: keyof typeof teams, model: string): Promise<void> {
  const answer = await fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${teams[team]}`, 'x-request-id': id },
    body: JSON.stringify({ model, prompt_cache_key: `${team}-${id.length}`, messages: [] }),
  })
  await answer.text()
}

async function take(page: Page, name: string): Promise<void> {
  const file = join(folder, name)
  await page.screenshot(file, 'window')
  const { size } = await stat(file)
  assert.ok(size <= largest, `${name} has ${size} bytes`)
  process.stdout.write(`${name}: ${Math.round(size / 1024)} KiB\n`)
}
