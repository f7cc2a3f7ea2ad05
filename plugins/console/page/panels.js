// @ts-check
/** What each part of the page shows. */
import { bars, byId, element, keepRows, setText } from './draw.js'

const numbers = new Intl.NumberFormat('en')
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const number = (value) => (value === null || value === undefined ? '–' : numbers.format(value))
const percent = (value) => (value === null || value === undefined ? '–' : `${(value * 100).toFixed(1)} %`)
const time = (text) => (text ? new Date(text).toLocaleTimeString() : '–')

function statusOf({ state, status, error }) {
  if (state === 'live') return status === 0 ? 'under way' : `${status}, under way`
  return error ? `${status === 0 ? '' : `${status} `}${error}` : String(status)
}

function toneOf({ state, status, error }) {
  if (error || status >= 500) return 'bad'
  if (status >= 400) return 'warn'
  return state === 'live' ? '' : 'good'
}

/** Whether it ended badly. @param {any} one */
export const isFailed = (one) => one.state === 'ended' && (one.error !== null || one.status >= 400)

/** @param {readonly any[]} exchanges the newest first @param {(id: string) => void} explain */
export function showExchanges(exchanges, explain) {
  keepRows(byId('exchange-rows'), exchanges, (one) => String(one.number), [
    { text: (one) => time(one.at) },
    { text: statusOf, tone: toneOf },
    { text: (one) => `${one.method} ${one.path}`, kind: 'wide' },
    { text: (one) => one.model ?? '–' },
    { text: (one) => one.principal ?? '–' },
    { text: (one) => one.upstream ?? '–' },
    { text: (one) => number(one.attempts), kind: 'number' },
    { text: (one) => number(Math.round(one.ms)), kind: 'number' },
    { text: (one) => number(one.tokens), kind: 'number' },
    { action: ({ id }) => ({ label: 'Explain', name: `Explain exchange ${id}`, run: () => explain(id) }) },
  ])
  byId('exchanges-none').hidden = exchanges.length > 0
}

function stateOf({ aside_until: aside, passed_over: passed }) {
  if (aside) return `set aside until ${time(aside)}`
  // It says how long it was when it was seen; until when it is says more.
  if (passed?.until) return `${passed.reason.replace(/ \(\d+ s\)$/, '')} until ${time(passed.until)}`
  if (passed) return `${passed.reason}, seen ${time(passed.at)}`
  return 'is asked'
}

/** @param {readonly any[]} upstreams @param {{ rest: (name: string) => void, unrest: (name: string) => void }} actions */
export function showUpstreams(upstreams, { rest, unrest }) {
  keepRows(byId('upstream-rows'), upstreams, ({ name }) => name, [
    { head: true, text: ({ name }) => name },
    { text: ({ provider }) => provider },
    { text: stateOf, tone: (one) => (one.aside_until || one.passed_over ? 'warn' : 'good'), kind: 'wide' },
    { text: ({ slots }) => (slots.limit === null ? '–' : `${number(slots.taken)} of ${slots.limit}`), kind: 'number' },
    { text: ({ errors }) => percent(errors), tone: ({ errors }) => (errors >= 0.5 ? 'bad' : ''), kind: 'number' },
    { text: (one) => (one.first_content_ms === null ? '–' : `${number(one.first_content_ms)} ms`), kind: 'number' },
    { text: ({ asked }) => number(asked), kind: 'number' },
    { text: (one) => (one.last_error ? `${one.last_error} at ${time(one.last_error_at)}` : '–') },
    {
      action: ({ name, aside_until: aside, passed_over: passed }) =>
        aside || passed?.until
          ? { label: 'Ask again', name: `Let ${name} be asked again`, run: () => unrest(name) }
          : { label: 'Set aside', name: `Set ${name} aside`, run: () => rest(name) },
    },
  ])
  byId('upstreams-none').hidden = upstreams.length > 0
  const asked = upstreams.filter((one) => !one.aside_until && !one.passed_over).length
  setText(byId('tile-upstreams'), `${asked} of ${upstreams.length}`)
}

/** @param {any} told */
export function showSessions({ exchanges, sessions, pinned, kept, hit_rate: rate, kept_rate: keptRate }) {
  setText(byId('tile-sessions'), percent(rate))
  const words =
    exchanges === 0
      ? 'None of the exchanges that are kept belongs to a session.'
      : `Sessions: ${number(sessions)}, in ${number(exchanges)} of the exchanges that are kept. Found their upstream again: ${number(pinned)} ` +
        `(${percent(rate)}). Were answered there: ${number(kept)} of those (${percent(keptRate)}).`
  setText(byId('sessions-text'), words)
}

/** @param {readonly any[]} gates */
export function showGates(gates) {
  keepRows(byId('gate-rows'), gates, (gate) => gate.switch, [
    { head: true, text: (gate) => gate.switch },
    { text: ({ verdict }) => verdict, tone: ({ verdict }) => (verdict === 'pass' ? 'good' : 'warn') },
    { text: ({ reason }) => reason, kind: 'wide' },
  ])
  const share = (day) => (day.fallback_total > 0 ? percent(day.fallback_hit / day.fallback_total) : '–')
  keepRows(byId('day-rows'), (gates[0]?.history ?? []).toReversed(), ({ day }) => day, [
    { head: true, text: ({ day }) => day },
    { text: (day) => number(day.sticky_reads), kind: 'number' },
    { text: (day) => number(day.fallback_total), kind: 'number' },
    { text: (day) => number(day.fallback_hit), kind: 'number' },
    { text: share, kind: 'number' },
    { text: (day) => number(day.writes), kind: 'number' },
    { text: (day) => number(day.moves), kind: 'number' },
    { text: (day) => number(day.alerts), tone: (day) => (day.alerts > 0 ? 'bad' : ''), kind: 'number' },
  ])
}

const measures = {
  tokens: (row) => row.input + row.output + row.cache,
  requests: (row) => row.requests,
  // For the chart only: what is paid is reckoned elsewhere, and exactly.
  cost: (row) => Number(row.cost ?? 0),
}
/** Colours; what is left shares the last one. */
const mostSeries = 6

/** @param {any} told @param {'tokens' | 'requests' | 'cost'} measure @param {'model' | 'key'} by */
export function showUsage({ source, days, rows }, measure, by) {
  setText(
    byId('usage-source'),
    source === 'database'
      ? 'From the database. Days are UTC.'
      : 'What this process has seen since its start, without prices. Days are UTC.',
  )
  const sums = new Map()
  for (const row of rows) {
    const name = row[by] || 'no key'
    const values = sums.get(name) ?? days.map(() => 0)
    values[days.indexOf(row.day)] += measures[measure](row)
    sums.set(name, values)
  }
  const total = (values) => values.reduce((sum, value) => sum + value, 0)
  const all = [...sums]
    .map(([name, values]) => ({ name, values }))
    .toSorted((one, other) => total(other.values) - total(one.values))
  const series =
    all.length <= mostSeries ? all : [...all.slice(0, mostSeries - 1), restOf(all.slice(mostSeries - 1), days)]
  const format = (value) => (measure === 'cost' ? `$${value.toFixed(value < 1 ? 4 : 2)}` : short.format(value))
  const label = `${measure} by ${by}, ${days[0]} to ${days.at(-1)}: ${series.map(({ name, values }) => `${name} ${format(total(values))}`).join(', ') || 'none'}`
  byId('chart').replaceChildren(bars(days, series, label, format, Math.max(240, byId('chart').clientWidth)))
  byId('legend').replaceChildren(
    ...series.map(({ name, values }, at) =>
      element(
        'li',
        {},
        element('span', { class: `s${at}`, 'aria-hidden': 'true' }),
        `${name} (${format(total(values))})`,
      ),
    ),
  )
  const sorted = rows
    .toSorted((one, other) => other.day.localeCompare(one.day) || other.requests - one.requests)
    .slice(0, 200)
  keepRows(byId('usage-rows'), sorted, (row) => JSON.stringify([row.day, row.key, row.model]), [
    { text: ({ day }) => day },
    { text: ({ key }) => key || '–' },
    { text: ({ model }) => model },
    { text: ({ requests }) => number(requests), kind: 'number' },
    { text: ({ input }) => number(input), kind: 'number' },
    { text: ({ output }) => number(output), kind: 'number' },
    { text: ({ cache }) => number(cache), kind: 'number' },
    { text: ({ cost }) => cost ?? '–', kind: 'number' },
  ])
  byId('usage-none').hidden = rows.length > 0
}

function restOf(series, days) {
  return {
    name: `${series.length} others`,
    values: days.map((_, at) => series.reduce((sum, { values }) => sum + values[at], 0)),
  }
}
