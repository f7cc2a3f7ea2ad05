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
    [
      'Status',
      `${told.status || 'none yet'}${told.answered_by ? `, answered by ${told.answered_by === 'gateway' ? 'the gateway itself' : told.upstream}` : ''}`,
    ],
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
  const passed = told.passed_over.map((one) => element('li', {}, `${one.upstream} ${one.reason}`))
  byId('explanation-body').replaceChildren(
    list,
    element('h3', {}, 'Choices'),
    steps.length > 0 ? element('ol', {}, ...steps) : element('p', { class: 'quiet' }, 'No upstream was chosen.'),
    ...(passed.length > 0 ? [element('h3', {}, 'Passed over in the end'), element('ul', {}, ...passed)] : []),
  )
  byId('explanation').showModal()
}

function times({ total, before_choosing: before, upstreams, own, answer }) {
  const parts = [`${total} ms in all`]
  if (before !== null) parts.push(`${before} until the first choice`)
  parts.push(`${upstreams} for first content of upstreams`)
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
  const others =
    passed.length > 0 ? `. Passed over: ${passed.map((one) => `${one.upstream} ${one.reason}`).join('; ')}` : ''
  return `${chosen}${why}${outcome && `: ${outcome}`}${timing}${verdict}${others}`
}

function partsOf(parts) {
  return Object.entries(parts)
    .map(([name, value]) => `${name} ${Number(value).toFixed(2)}`)
    .join(', ')
}
