// @ts-check
/** What was captured of failed exchanges: a list, a chart by hour, and all of one. */
import { bars, byId, element, keepRows, setText } from './draw.js'

const numbers = new Intl.NumberFormat('en')
const hourLength = 3_600_000
/** Bars of the chart; where there are more hours a bar is a day. */
const mostBars = 48
const phases = ['upstream', 'internal', 'routing', 'request', 'auth']

/** What is asked for, as a query string. */
export function errorQuery() {
  const query = new URLSearchParams()
  for (const [name, value] of new FormData(byId('error-filter')))
    if (typeof value === 'string' && value.trim() !== '') query.set(name, value.trim())
  return query.toString()
}

/** Calls back when something else is asked for. @param {() => void} ask */
export function onErrorFilter(ask) {
  const form = byId('error-filter')
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    ask()
  })
  new ResizeObserver(() => shown && showErrorSums(shown)).observe(byId('error-chart'))
  for (const list of form.querySelectorAll('select')) list.addEventListener('change', ask)
}

/** @param {any} told @param {{ explain: (id: string) => void, details: (id: string) => void }} actions */
export function showErrors({ database, file, problem, errors }, { explain, details }) {
  const places = [...(database ? ['the database'] : []), ...(file === null ? [] : [file])]
  const words = places.length === 0 ? 'No file of errors is configured.' : `From ${places.join(' and ')}.`
  setText(byId('errors-source'), problem === null ? words : `${words} This may not be all: ${problem}.`)
  keepRows(byId('error-rows'), errors, (one) => one.id || `${one.at} ${one.exchange}`, [
    { text: ({ at }) => new Date(at).toLocaleString() },
    { text: (one) => one.severity ?? '–', tone: (one) => (one.severity === 'P1' ? 'bad' : '') },
    { text: (one) => (one.is_recovered ? `${one.status}, recovered` : String(one.status ?? '–')) },
    { text: ({ phase }) => phase ?? '–' },
    { text: ({ owner }) => owner ?? '–' },
    { text: ({ upstream }) => upstream ?? '–' },
    { text: ({ code, type }) => code ?? type ?? '–' },
    { text: ({ message }) => message ?? '–', kind: 'wide' },
    {
      action: ({ id, exchange }) => {
        const name = id || exchange
        return name ? { label: 'Details', name: `Details of error ${name}`, run: () => details(name) } : null
      },
    },
    {
      action: ({ exchange: id }) =>
        id ? { label: 'Explain', name: `Explain exchange ${id}`, run: () => explain(id) } : null,
    },
  ])
  byId('errors-none').hidden = errors.length > 0
}

/** What the chart shows, to be drawn again where there is another width for it. @type {any} */
let shown = null

/** @param {any} told */
export function showErrorSums(told) {
  shown = told
  const { count, hours } = told
  const days = Number(byId('error-days').value)
  const isDaily = days * 24 > mostBars
  const length = isDaily ? 24 * hourLength : hourLength
  const last = Math.floor(Date.now() / length)
  const slots = Array.from(
    { length: isDaily ? days : days * 24 },
    (_, at, all = isDaily ? days : days * 24) => last - all + 1 + at,
  )
  const sums = new Map()
  for (const { at, phases: counts } of hours) {
    const slot = Math.floor(Date.parse(at) / length)
    for (const [phase, value] of Object.entries(counts)) {
      const key = `${slot} ${phase}`
      sums.set(key, (sums.get(key) ?? 0) + value)
    }
  }
  const series = phases
    .map((name) => ({ name, values: slots.map((slot) => sums.get(`${slot} ${name}`) ?? 0) }))
    .filter(({ values }) => values.some((value) => value > 0))
  // The chart shows what stands behind the fifth character: the day, or the hour.
  const names = slots.map((slot) => {
    const text = new Date(slot * length).toISOString()
    return isDaily ? text.slice(0, 10) : `${text.slice(5, 10)}${text.slice(11, 16)}`
  })
  const label = `Captured errors ${isDaily ? 'by day' : 'by hour (UTC)'}: ${count} in all`
  const width = Math.max(200, byId('error-chart').clientWidth)
  byId('error-chart').replaceChildren(bars(names, series, label, (value) => numbers.format(value), width))
  byId('error-legend').replaceChildren(
    ...series.map(({ name, values }, at) =>
      element(
        'li',
        {},
        element('span', { class: `s${at}`, 'aria-hidden': 'true' }),
        `${name} (${numbers.format(values.reduce((sum, value) => sum + value, 0))})`,
      ),
    ),
  )
}

/** @param {any} one @param {(id: string) => void} explain */
export function showError(one, explain) {
  const facts = [
    ['Error', one.id],
    ['Exchange', one.exchange],
    ['At', new Date(one.at).toLocaleString()],
    ['Request', `${one.method} ${one.path} from ${one.client}`],
    ['Status', one.recovered ? `${one.status}, recovered` : one.status],
    ['Cause', `${one.phase}, ${one.owner}’s matter, told by ${one.source}, ${one.severity}`],
    ['Try again', one.is_retryable ? 'yes' : 'no'],
    ['Type', one.type],
    ['Code', one.code],
    ['Message', one.message],
    ['Model', one.model],
    ['Upstream', one.upstream],
    ['Key', one.key],
    ['Took', one.ms === null ? null : `${one.ms} ms`],
  ]
  const list = element('dl')
  for (const [name, value] of facts)
    if (value !== null && value !== '') list.append(element('dt', {}, name), element('dd', {}, String(value)))
  const why = element('button', { type: 'button' }, 'Explain its exchange')
  why.addEventListener('click', () => {
    byId('error').close()
    explain(one.exchange)
  })
  const steps = one.attempts.map((attempt) => element('li', {}, sentence(attempt)))
  byId('error-body').replaceChildren(
    list,
    ...(one.exchange ? [why] : []),
    ...(steps.length > 0 ? [element('h3', {}, 'Attempts that failed'), element('ol', {}, ...steps)] : []),
    ...text('What the upstream said', one.error_body),
    ...text('What was asked', one.request_body),
  )
  byId('error').showModal()
}

function sentence({ upstream, status, error, ms, request_id: id, message }) {
  const after = ms === null ? '' : ` after ${ms} ms`
  return `${upstream}: ${status ?? error ?? 'failed'}${after}${id ? `, its request ${id}` : ''}${message ? `: ${message}` : ''}`
}

function text(title, body) {
  if (body === null) return []
  return [element('h3', {}, title), element('pre', { tabindex: '0' }, readable(body))]
}

function readable(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    return body
  }
}
