// @ts-check
/** The console: asks, listens, and hands on to what shows it. */
import { showConfiguration } from './configuration.js'
import { byId, element, setText } from './draw.js'
import { errorQuery, onErrorFilter, showError, showErrors, showErrorSums } from './errors.js'
import { showExplanation } from './explanation.js'
import { isFailed, showExchanges, showGates, showSessions, showUpstreams, showUsage } from './panels.js'

const data = `${location.pathname.replace(/\/$/, '')}/data`
/** The admin key, where one is wanted: here and nowhere else. */
let key = ''
/** The exchanges that are shown, by their numbers. */
const exchanges = new Map()
const mostExchanges = 200
let isPaused = false
let usage = null

/** Rejects with what the listener says. */
async function ask(path, options = {}) {
  const asking = key
  const headers = { ...options.headers, ...(asking && { authorization: `Bearer ${asking}` }) }
  const response = await fetch(asked(path), { ...options, headers, credentials: 'omit', cache: 'no-store' })
  if (path.startsWith(data)) meetWorkers(response.headers)
  // Not where another has been given since.
  if (response.status === 401 && asking === key) wantKey()
  if (response.ok) return response
  const told = await response.json().catch(() => ({ error: `status ${response.status}` }))
  throw new Error(told.error)
}

/** The worker that is shown, where there are several; empty: the one that answers. */
let worker = ''
/** Ends the stream of exchanges, of the worker that was shown before. */
let leaving = new AbortController()

/** @param {string} path */
function asked(path) {
  if (worker === '' || !path.startsWith(data)) return path
  return `${path}${path.includes('?') ? '&' : '?'}worker=${worker}`
}

/** What is shown is what one worker has seen: which, and of how many. @param {Headers} headers */
function meetWorkers(headers) {
  const known = (headers.get('x-postern-workers') ?? '').split(' ').filter((one) => one !== '')
  byId('worker-choice').hidden = known.length === 0
  if (known.length === 0) return
  const choice = byId('worker')
  const shown = known.includes(worker) ? worker : (headers.get('x-postern-worker') ?? known[0])
  const options = [...choice.options].map(({ value }) => value)
  if (options.join(' ') !== known.join(' '))
    choice.replaceChildren(...known.map((one) => element('option', { value: one }, one)))
  choice.value = shown
  setText(byId('worker-of'), `of ${known.length}, and what it has seen`)
  // All that is asked from now on is asked of the same one; of one that is gone, another takes its place.
  if (worker !== shown) {
    const isOther = worker !== ''
    worker = shown
    if (isOther) leaving.abort()
  }
}

const read = async (path) => (await ask(path)).json()
const act = async (path, body) =>
  (
    await ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  ).json()

function wantKey() {
  byId('login').hidden = false
  byId('main').hidden = true
  byId('key').focus()
}

/** What went wrong with which part; the others go on. */
const complaints = new Map()

async function show(part, work) {
  try {
    await work()
    complaints.delete(part)
  } catch (error) {
    complaints.set(part, `${part}: ${error.message}`)
  }
  byId('notice').hidden = complaints.size === 0
  setText(byId('notice'), [...complaints.values()].join('. '))
}

const parts = {
  upstreams: async () =>
    showUpstreams((await read(`${data}/upstreams`)).upstreams, {
      rest: (name) => void setAside(name),
      unrest: (name) => void letBeAsked(name),
    }),
  sessions: async () => showSessions(await read(`${data}/sessions`)),
  usage: async () => {
    usage = await read(`${data}/usage?days=${byId('days').value}`)
    drawUsage()
  },
  errors: async () => {
    const query = errorQuery()
    const [told, sums] = await Promise.all([read(`${data}/errors?${query}`), read(`${data}/errors/sums?${query}`)])
    showErrors(told, { explain, details: (id) => void detail(id) })
    showErrorSums(sums)
  },
  gates: async () => showGates((await read('/gates')).gates),
  configuration: async () => showConfiguration(await read('/configuration')),
}

const refresh = (...names) => Promise.all(names.map((name) => show(name, parts[name])))
const drawUsage = () => usage && showUsage(usage, byId('measure').value, byId('by').value)

/** @param {string} upstream */
async function setAside(upstream) {
  await show('upstreams', async () => {
    const { until, told } = await act(`${data}/rest`, { upstream, minutes: Number(byId('minutes').value) })
    const where = told ? '' : ', by this process only: the store did not take it'
    setText(byId('action'), `${upstream} is set aside until ${new Date(until).toLocaleTimeString()}${where}.`)
  })
  await refresh('upstreams')
}

/** @param {string} upstream */
async function letBeAsked(upstream) {
  await show('upstreams', async () => {
    const { told } = await act(`${data}/unrest`, { upstream })
    const where = told ? '' : ', by this process only: the store did not take it'
    setText(byId('action'), `${upstream} is asked again${where}.`)
  })
  await refresh('upstreams')
}

/** @param {string} id */
function explain(id) {
  void show('explanation', async () => showExplanation(await read(`/explain/${encodeURIComponent(id)}`)))
}

/** @param {string} id */
async function detail(id) {
  await show('error', async () => showError(await read(`${data}/error?id=${encodeURIComponent(id)}`), explain))
}

function drawExchanges() {
  if (isPaused) return
  const sorted = [...exchanges.values()].sort((one, other) => other.number - one.number)
  for (const { number } of sorted.splice(mostExchanges)) exchanges.delete(number)
  showExchanges(byId('only-failed').checked ? sorted.filter(isFailed) : sorted, explain)
}

let announcedAt = 0
let underWay = 0

/** Now and then, in words, for those who listen. */
function announce() {
  if (Date.now() - announcedAt < 5000) return
  announcedAt = Date.now()
  const failed = [...exchanges.values()].filter(isFailed).length
  setText(byId('announcement'), `${underWay} exchanges under way, ${exchanges.size} shown, ${failed} of them failed`)
}

function hear(told) {
  for (const one of told.exchanges) exchanges.set(one.number, one)
  underWay = told.under_way
  setText(byId('tile-live'), String(underWay))
  drawExchanges()
  announce()
  soon(told.exchanges.some((one) => isFailed(one) || (one.state === 'ended' && one.attempts > 1)))
}

let isDue = false
let hasFailed = false

/** What exchanges change is asked for again, but not more than once in two seconds. @param {boolean} failed */
function soon(failed) {
  hasFailed ||= failed
  if (isDue) return
  isDue = true
  setTimeout(() => {
    isDue = false
    if (document.hidden) return
    void refresh('upstreams', 'sessions', ...(hasFailed ? ['errors'] : []))
    hasFailed = false
  }, 2000)
}

function connection(state, text) {
  byId('connection').dataset.state = state
  setText(byId('connection-text'), text)
}

/** Server-sent events by fetch: an EventSource cannot send the key. */
async function listen() {
  leaving = new AbortController()
  const response = await ask(`${data}/events`, { signal: leaving.signal })
  connection('live', 'live')
  // What was there before may be of a process that is gone.
  exchanges.clear()
  let rest = ''
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + text).split('\n\n')
    rest = events.pop() ?? ''
    for (const event of events) {
      const line = event.split('\n').find((one) => one.startsWith('data: '))
      if (line) hear(JSON.parse(line.slice(6)))
    }
  }
}

let listening = false

async function keepListening() {
  if (listening) return
  listening = true
  for (let wait = 1000; byId('login').hidden; wait = Math.min(wait * 2, 10_000)) {
    const since = Date.now()
    await listen().catch(() => {})
    connection('lost', 'not connected')
    // Left for another worker: nothing is wrong, and somebody waits for it.
    const isChosen = leaving.signal.aborted
    if (isChosen || Date.now() - since > 10_000) wait = 1000
    if (!isChosen && byId('login').hidden) await new Promise((resolve) => setTimeout(resolve, wait))
  }
  listening = false
}

function start() {
  void keepListening()
  void refresh('upstreams', 'sessions', 'usage', 'errors', 'gates', 'configuration')
}

byId('login-form').addEventListener('submit', (event) => {
  event.preventDefault()
  key = byId('key').value
  byId('key').value = ''
  byId('login').hidden = true
  byId('main').hidden = false
  byId('main').focus()
  start()
})
byId('worker').addEventListener('change', () => {
  worker = byId('worker').value
  // Listening begins again, with the other one.
  leaving.abort()
  void refresh('upstreams', 'sessions', 'usage', 'errors')
})
byId('only-failed').addEventListener('change', drawExchanges)
byId('pause').addEventListener('click', () => {
  isPaused = !isPaused
  byId('pause').setAttribute('aria-pressed', String(isPaused))
  drawExchanges()
})
byId('find-form').addEventListener('submit', (event) => {
  event.preventDefault()
  const id = byId('find').value.trim()
  if (id !== '') explain(id)
})
byId('flush-form').addEventListener('submit', (event) => {
  event.preventDefault()
  const session = byId('session').value.trim()
  void show('sessions', async () => {
    const { flushed } = await act(`/sticky/flush?session=${encodeURIComponent(session)}`, {})
    const words = 'While old session keys are written, it may still be found by its own.'
    setText(byId('flushed'), `${flushed} let go. ${words}`)
  })
})
byId('measure').addEventListener('change', drawUsage)
byId('by').addEventListener('change', drawUsage)
byId('days').addEventListener('change', () => void refresh('usage'))

onErrorFilter(() => void refresh('errors'))

new ResizeObserver(drawUsage).observe(byId('chart'))
setInterval(
  () => !document.hidden && byId('login').hidden && void refresh('upstreams', 'sessions', 'configuration'),
  5000,
)
setInterval(() => !document.hidden && byId('login').hidden && void refresh('usage', 'errors', 'gates'), 30_000)
start()
