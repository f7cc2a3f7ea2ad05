/** Pages in a real browser: Debian's chromium, headless. `npm run test:browser`. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { definePlugin, reply } from 'postern/plugin'
import { gateway } from '../harness.ts'

/** The page's own script has the nonce; the other stands for what an attacker managed to put into the page. */
const page = definePlugin({
  name: 'page',
  config: { type: 'object', properties: {} },
  reads: ['csp_nonce'],
  setup: () => ({
    onRequest({ path, facts }) {
      if (path !== '/page') return undefined
      const html = `<!doctype html><title>page</title><p id="own">-</p><p id="foreign">-</p><p id="handler">-</p>
        <script nonce="${facts.csp_nonce}">document.getElementById('own').textContent = 'own script ran'</script>
        <script>document.getElementById('foreign').textContent = 'foreign script ran'</script>
        <img src="/nothing.png" onerror="document.getElementById('handler').textContent = 'handler ran'">`
      return reply(200, html, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
    },
  }),
})

/** What the browser made of a page after its scripts have run. */
async function render(url: string): Promise<string> {
  const profile = await mkdtemp(join(tmpdir(), 'postern-browser-'))
  try {
    const quiet = [
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ]
    const words = [
      '--headless',
      '--no-sandbox',
      ...quiet,
      `--user-data-dir=${profile}`,
      '--virtual-time-budget=3000',
      '--dump-dom',
      url,
    ]
    const { stdout } = await promisify(execFile)(browser(), words, { timeout: 60_000 })
    return stdout
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** CHROMIUM where it is set, else the first on PATH. Without one this suite fails: it was asked for by name. */
function browser(): string {
  const names = ['chromium', 'chromium-browser', 'google-chrome']
  const places = (process.env.PATH ?? '').split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)))
  const found = process.env.CHROMIUM ?? places.find((place) => existsSync(place))
  assert.ok(found, 'no chromium on PATH: install it (apt-get install chromium) or name it in CHROMIUM')
  return found
}

describe('a page behind security-headers', () => {
  test('runs the script with the nonce, and neither the one without nor an inline handler', async () => {
    await using gw = await gateway({ plugins: ['security-headers', 'openai', page] })
    const dom = await render(`${gw.url}/page`)
    assert.match(dom, /own script ran/)
    assert.match(dom, /<p id="foreign">-<\/p>/)
    assert.match(dom, /<p id="handler">-<\/p>/)
  })

  test('would run all of them without it: the test can fail', async () => {
    const nonce = definePlugin({
      name: 'nonce',
      config: { type: 'object', properties: {} },
      writes: ['csp_nonce'],
      setup: () => ({ onRequest: ({ facts }) => void (facts.csp_nonce = 'x') }),
    })
    await using gw = await gateway({ plugins: [nonce, 'openai', page] })
    const dom = await render(`${gw.url}/page`)
    for (const which of ['own script', 'foreign script', 'handler']) assert.match(dom, new RegExp(`${which} ran`))
  })
})
