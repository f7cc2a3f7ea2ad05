/** A real browser, driven over the pipe of its own protocol. Without a chromium this fails: it was asked for by name. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** One page that is open. */
export interface Page {
  /** The value of an expression in the page, awaited. Rejects with what it throws. */
  evaluate<T>(expression: string): Promise<T>
  /** Waits until an expression is true; fails with what `explain` is then. */
  until(expression: string, explain?: string): Promise<void>
  press(key: 'Tab' | 'Enter' | 'Escape' | ' ', options?: { readonly shift?: boolean }): Promise<void>
  type(text: string): Promise<void>
  resize(width: number, height: number): Promise<void>
  colours(scheme: 'light' | 'dark'): Promise<void>
  /** Writes a PNG of the whole page, or of what the window shows of it. */
  screenshot(file: string, what?: 'page' | 'window'): Promise<void>
  /** What the page's policy has kept from happening, and what its scripts have thrown. */
  complaints(): Promise<string[]>
}

export interface Browser extends AsyncDisposable {
  open(url: string): Promise<Page>
}

const words = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--remote-debugging-pipe',
]

/** Starts one with a profile of its own; at the end of the block both are gone. */
export async function browser(): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'postern-browser-'))
  const child = spawn(chromium(), [...words, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
  })
  const protocol = new Protocol(child.stdio[3] as Writable, child.stdio[4] as Readable) // as `stdio` asks for
  return {
    open: (url) => openPage(protocol, url),
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit')
      await protocol.send('Browser.close', {}).catch(() => child.kill('SIGKILL'))
      await gone
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** CHROMIUM where it is set, else the first on PATH. */
function chromium(): string {
  const names = ['chromium', 'chromium-browser', 'google-chrome']
  const places = (process.env.PATH ?? '').split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)))
  const found = process.env.CHROMIUM ?? places.find((place) => existsSync(place))
  assert.ok(found, 'no chromium on PATH: install it (apt-get install chromium) or name it in CHROMIUM')
  return found
}

interface Message {
  readonly id?: number
  readonly method?: string
  readonly sessionId?: string
  readonly params?: Record<string, unknown>
  readonly result?: Record<string, unknown>
  readonly error?: { readonly message: string }
}

/** Commands and events as JSON, each with a zero byte behind it. */
class Protocol {
  readonly #to: Writable
  readonly #waiting = new Map<number, (message: Message) => void>()
  readonly listeners = new Set<(message: Message) => void>()
  #count = 0
  #rest = ''

  constructor(to: Writable, from: Readable) {
    this.#to = to
    to.on('error', () => {})
    from.setEncoding('utf8')
    from.on('data', (chunk: string) => {
      const messages = (this.#rest + chunk).split('\0')
      this.#rest = messages.pop() ?? ''
      for (const text of messages) this.#take(JSON.parse(text) as Message) // the browser's own
    })
    from.on('close', () => {
      for (const told of this.#waiting.values()) told({ error: { message: 'the browser is gone' } })
    })
  }

  async send(method: string, params: object, sessionId?: string): Promise<Record<string, unknown>> {
    const id = ++this.#count
    const answer = new Promise<Message>((resolve) => this.#waiting.set(id, resolve))
    this.#to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    const { result, error } = await answer
    if (error) throw new Error(`${method}: ${error.message}`)
    return result ?? {}
  }

  #take(message: Message): void {
    if (message.id === undefined) for (const listener of this.listeners) listener(message)
    else this.#waiting.get(message.id)?.(message)
    if (message.id !== undefined) this.#waiting.delete(message.id)
  }
}

/** Runs in the page before its own scripts: notes what the policy refuses. */
const watch = `globalThis.refused = []; document.addEventListener('securitypolicyviolation', (event) =>
  refused.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sourceFile + ':' + event.lineNumber))`

const codes = { Tab: 9, Enter: 13, Escape: 27, ' ': 32 } as const
/** How long a condition may take to come true, in ms. */
const patience = 15_000

async function openPage(protocol: Protocol, url: string): Promise<Page> {
  const { targetId } = await protocol.send('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = await protocol.send('Target.attachToTarget', { targetId, flatten: true })
  const send = (method: string, params: object = {}) => protocol.send(method, params, String(sessionId))
  const thrown: string[] = []
  protocol.listeners.add(({ method, params, sessionId: from }) => {
    if (from !== sessionId) return
    if (method === 'Runtime.exceptionThrown' || method === 'Log.entryAdded') thrown.push(JSON.stringify(params))
  })
  await Promise.all([send('Page.enable'), send('Runtime.enable'), send('Log.enable')])
  await send('Page.addScriptToEvaluateOnNewDocument', { source: watch })
  await send('Page.navigate', { url })

  async function evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    if (exceptionDetails) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`)
    return (result as { value: T }).value // as the expression has it
  }
  return {
    evaluate,
    async until(expression, explain = 'document.body.innerText') {
      for (const end = Date.now() + patience; Date.now() < end; await sleep(50)) {
        // While the page is being loaded there may be nothing to ask.
        if (await evaluate<boolean>(`Boolean(${expression})`).catch(() => false)) return
      }
      assert.fail(`never true: ${expression}; ${await evaluate<string>(explain)}; ${thrown.join('; ')}`)
    },
    async press(key, { shift = false } = {}) {
      const text = key === 'Enter' ? '\r' : key === ' ' ? ' ' : undefined
      const event = {
        key,
        code: key === ' ' ? 'Space' : key,
        windowsVirtualKeyCode: codes[key],
        modifiers: shift ? 8 : 0,
      }
      await send('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', text, ...event })
      await send('Input.dispatchKeyEvent', { type: 'keyUp', ...event })
    },
    type: async (text) => void (await send('Input.insertText', { text })),
    resize: async (width, height) =>
      void (await send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false })),
    colours: async (value) =>
      void (await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] })),
    async screenshot(file, what = 'page') {
      const { data } = await send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: what === 'page' })
      await writeFile(file, Buffer.from(String(data), 'base64'))
    },
    complaints: async () => [...(await evaluate<string[]>('refused')), ...thrown],
  }
}
