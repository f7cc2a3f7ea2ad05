// @ts-check
/** The decision trail of one exchange. */
import { byId, element } from './draw.js'

/** @param {any} told what `/explain/ID` says */
export function showExplanation(told) {
  const { ms, attempts, error } = told
  const facts = [
    ['Exchange', told.exchange],
    ['Began', new Date(told.at).toLocaleString()],
    ['Request', `${told.method} ${told.path} from ${told.client}`],
    ['Claimed by', told.provider ? `${told.provider}, ${told.operation}` : 'no provider'],
    ['Model', told.model],
    ['Key', told.principal],
    ['Session', told.session && `${told.session}${told.pin ? `, pinned to ${told.pin}` : ''}`],
    ['Status', `${told.status || 'none yet'}${told.answered_by ? `, answered by ${answererOf(told)}` : ''}`],
    ['Error', error && `${error.name}${error.plugin ? ` in ${error.plugin}, ${error.phase}` : ''}: ${error.message}`],
    ['Time', times(ms)],
    [
      'Tokens',
      told.usage &&
        Object.entries(told.usage)
          .map(([kind, count]) => `${kind} ${count}`)
          .join(', '),
    ],
  ]
  const list = element('dl')
  for (const [name, value] of facts) if (value) list.append(element('dt', {}, name), element('dd', {}, String(value)))
  const steps = attempts.map((one, at) => element('li', {}, sentence(one, at)))
  const passed = told.passed_over.map((one) => element('li', {}, passedOf(one)))
  const said = told.plugins.map((one) => element('li', {}, saidOf(one)))
  byId('explanation-body').replaceChildren(
    list,
    element('h3', {}, 'Choices'),
    steps.length > 0 ? element('ol', {}, ...steps) : element('p', { class: 'quiet' }, 'No upstream was chosen.'),
    ...(said.length > 0 ? [element('h3', {}, 'Plugins'), element('ul', {}, ...said)] : []),
    ...(passed.length > 0 ? [element('h3', {}, 'Passed over in the end'), element('ul', {}, ...passed)] : []),
  )
  byId('explanation').showModal()
}

function answererOf({ answered_by: by, answered_in: where, upstream }) {
  if (by === 'plugin') return `${where.plugin} in ${where.phase}`
  return by === 'gateway' ? 'the gateway itself' : upstream
}

const deeds = { answer: 'answered', retry: 'wanted another attempt' }

function saidOf({ plugin, phase, attempt, what, field }) {
  const deed = what === 'edit' ? `edited ${field}` : deeds[what]
  return `${plugin} ${deed} in ${phase}${attempt > 0 ? `, attempt ${attempt}` : ''}`
}

function passedOf({ upstream, reason, by }) {
  return `${upstream} ${reason}${by ? `, says ${by}` : ''}`
}

function times({ total, on_request: request, body, on_body: onBody, choosing, slots, upstreams, own, answer }) {
  const parts = [`${total} ms in all`]
  if (request !== null) parts.push(`${request} for onRequest`)
  if (body !== null) parts.push(`${body} for the body to come`)
  if (onBody !== null) parts.push(`${onBody} for onBody`)
  parts.push(`${choosing} for choosing`, `${slots} for slots`, `${upstreams} for first content of upstreams`)
  if (own !== null) parts.push(`${own} the gateway's own`)
  if (answer !== null) parts.push(`${answer} for the answer to pass`)
  return parts.join('; ')
}

function sentence({
  upstream,
  candidates: named,
  considered,
  passed_over: passed,
  score,
  parts,
  reason,
  ranked,
  status,
  error,
  judgement,
  ms,
}) {
  const candidates = considered > named.length ? [...named, `${considered - named.length} others`] : named
  const chosen = upstream ? `${upstream} of ${candidates.join(', ')}` : `nobody of ${candidates.join(', ') || 'none'}`
  const why = reason
    ? ` (${reason}${score === null ? '' : `, score ${score.toFixed(3)}`}${parts ? `: ${partsOf(parts)}` : ''})`
    : ''
  const outcome =
    status !== null
      ? `answered ${status}`
      : error !== null
        ? `failed with ${error}`
        : upstream
          ? 'was not asked to the end'
          : ''
  const timing = ms.first_content === null ? '' : ` after ${ms.first_content} ms, having waited ${ms.waiting} ms`
  const verdict =
    judgement && judgement !== 'final'
      ? `; judged ${typeof judgement === 'string' ? judgement : `to rest ${judgement.rest} s (${judgement.scope})`}`
      : ''
  const others = passed.length > 0 ? `. Passed over: ${passed.map(passedOf).join('; ')}` : ''
  const scores = ranked.map((one) => `${one.upstream} ${one.score.toFixed(3)}`).join(', ')
  const scored = ranked.length > 1 ? `. Ranked: ${scores}` : ''
  return `${chosen}${why}${outcome && `: ${outcome}`}${timing}${verdict}${scored}${others}`
}

function partsOf(parts) {
  return Object.entries(parts)
    .map(([name, value]) => `${name} ${Number(value).toFixed(2)}`)
    .join(', ')
}
