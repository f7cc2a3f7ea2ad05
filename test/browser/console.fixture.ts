/** A gateway that a browser looks at: what it has been asked, and what the page says. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from '../../plugins/console/browser.fixture.ts'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { gateway, type TestGateway } from '../harness.ts'

const fine = json(200, { id: 'x', object: 'chat.completion', usage: { prompt_tokens: 12, completion_tokens: 30 } })

/** A gateway with two upstreams, one of which fails, and what they have already been asked. */
export async function scene(key?: string) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-console-'))
  const good = await fakeUpstream(fine)
  const bad = await fakeUpstream(
    json(429, { error: { message: 'no <img src=x onerror=alert(1)> today' } }, { 'retry-after': '60' }),
  )
  const errors = join(folder, 'errors.jsonl')
  const gw = await gateway({
    plugins: [
      { console: { errors } },
      'openai',
      'sticky-session',
      'concurrency',
      'failover',
      { 'ops-capture': { file: errors } },
    ],
    upstreams: [
      { name: 'bad', provider: 'openai', url: bad.url, key: 'k', priority: 1, slots: 4 },
      { name: 'good', provider: 'openai', url: good.url, key: 'k', priority: 2, slots: 8 },
    ],
    admin: { listen: '127.0.0.1:0', ...(key === undefined ? {} : { key }) },
  })
  return {
    gw,
    errors,
    async [Symbol.asyncDispose]() {
      await gw[Symbol.asyncDispose]()
      await good[Symbol.asyncDispose]()
      await bad[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export async function ask(gw: TestGateway, id: string, model = 'gpt-5', session = 'conversation'): Promise<void> {
  const answer = await fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': id },
    body: JSON.stringify({ model, prompt_cache_key: session, messages: [] }),
  })
  await answer.text()
}

export const textOf = (id: string) => `document.getElementById(${JSON.stringify(id)}).innerText`
/** Where the keyboard is: an id, or what the element says. */
export const focused = (page: Page) =>
  page.evaluate<string>(
    'document.activeElement.id || document.activeElement.ariaLabel || document.activeElement.innerText',
  )

/** Pictures, where CONSOLE_PICTURES names a folder. */
export async function shoot(page: Page, what = 'all'): Promise<void> {
  const folder = process.env.CONSOLE_PICTURES
  if (folder === undefined) return
  for (const [name, width, scheme] of [
    ['wide', 1280, 'light'],
    ['dark', 1280, 'dark'],
    ['narrow', 360, 'light'],
  ] as const) {
    await page.resize(width, 900)
    await page.colours(scheme)
    await page.screenshot(join(folder, `console-${what}-${name}.png`))
  }
}
