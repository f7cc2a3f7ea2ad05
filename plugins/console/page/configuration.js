// @ts-check
/** The configuration that runs beside the last one that was refused. */
import { byId, element, setText } from './draw.js'

/** @param {any} told what `/configuration` says */
export function showConfiguration({ running, refused }) {
  const { file, version, loaded_at: loadedAt, notes, settings, upstreams, keys, plugins } = running
  setText(byId('running'), `${file} · ${version}`)
  setText(
    byId('runs-text'),
    [
      `${version}, since ${momentOf(loadedAt)}. Defaults are filled in, durations in ms, sizes in bytes.`,
      ...notes,
    ].join(' '),
  )
  const items = plugins.map(({ name, options }) => (isEmpty(options) ? name : { [name]: options }))
  setText(byId('runs'), outline({ ...settings, upstreams, keys, plugins: items }))
  setText(byId('tile-configuration'), refused ? 'refused' : version.slice(0, 8))
  byId('tile-configuration').className = refused ? 'bad' : ''
  const words = refused ? `The file as it is now, refused at ${momentOf(refused.at)}:` : 'None since the last good one.'
  setText(byId('refused-text'), words)
  byId('problems').replaceChildren(
    ...(refused?.problems ?? []).map(({ text }) => element('li', {}, element('pre', { tabindex: '0' }, text))),
  )
  byId('refused').hidden = !refused?.text
  setText(byId('refused'), refused?.text ?? '')
}

function momentOf(text) {
  return new Date(text).toLocaleString()
}

function isEmpty(value) {
  return typeof value !== 'object' || value === null || Object.keys(value).length === 0
}

/** A value as gateway.yaml would have it. @param {any} value @param {string} [indent] @returns {string} */
export function outline(value, indent = '') {
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item !== 'object' || item === null)) return `[${value.map(scalar).join(', ')}]`
    return value.map((item) => `${indent}- ${inner(item, `${indent}  `).trimStart()}`).join('\n')
  }
  return Object.entries(value)
    .map(([key, one]) => {
      if (typeof one !== 'object' || one === null) return `${indent}${key}: ${scalar(one)}`
      const text = inner(one, `${indent}  `)
      return text.includes('\n') || /^ *(- |[\w-]+: )/.test(text)
        ? `${indent}${key}:\n${text}`
        : `${indent}${key}: ${text}`
    })
    .join('\n')
}

function inner(value, indent) {
  if (typeof value !== 'object' || value === null) return scalar(value)
  if (Array.isArray(value)) return value.length === 0 ? '[]' : outline(value, indent)
  return Object.keys(value).length === 0 ? '{}' : outline(value, indent)
}

function scalar(value) {
  return typeof value === 'string' && /^[\w.*/+-][\w.*/+: -]*$/.test(value) && !/: | #|:$/.test(value)
    ? value
    : JSON.stringify(value)
}
