// @ts-check
/** Makes elements. Whatever is shown is set as text: nothing here can become markup. */

/** The element of this page with an id. @param {string} id @returns {any} */
export function byId(id) {
  return document.getElementById(id)
}

/**
 * @param {string} name
 * @param {Record<string, string>} attributes
 * @param {...(Node | string)} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.append(...children)
  return made
}

/**
 * Keeps the rows of a table in step with a list. A row is the same element for as long as its item is there, so that nobody who
 * stands in it with the keyboard or a screen reader is thrown out.
 * @param {HTMLElement} body
 * @param {readonly any[]} items
 * @param {(item: any) => string} keyOf
 * @param {readonly { head?: boolean, kind?: string, text?: (item: any) => string, tone?: (item: any) => string,
 *   action?: (item: any) => { label: string, name: string, run: () => void } | null }[]} columns
 */
export function keepRows(body, items, keyOf, columns) {
  const wanted = new Map()
  for (const item of items) {
    // Two items may go by one name: what counts then is which of them comes first.
    let key = keyOf(item)
    while (wanted.has(key)) key += '+'
    wanted.set(key, item)
  }
  /** @type {Map<string, HTMLTableRowElement>} */
  const known = new Map()
  // First of all those that have to go: the others then stay where they are, and a row that is not moved keeps the focus.
  for (const row of Array.from(/** @type {any} */ (body).rows)) {
    if (wanted.has(row.dataset.key)) known.set(row.dataset.key, row)
    else row.remove()
  }
  /** @type {Element | null} */
  let place = body.firstElementChild
  for (const [key, item] of wanted) {
    const row = known.get(key) ?? newRow(key, columns)
    if (row !== place) body.insertBefore(row, place)
    else place = row.nextElementSibling
    columns.forEach((column, at) => fill(row.cells[at], column, item))
  }
}

function newRow(key, columns) {
  const row = /** @type {HTMLTableRowElement} */ (element('tr', { 'data-key': key }))
  for (const { head, kind, action } of columns) {
    const cell = element(head ? 'th' : 'td', kind ? { class: kind } : {})
    if (head) cell.setAttribute('scope', 'row')
    if (action) cell.append(buttonOf())
    row.append(cell)
  }
  return row
}

/** What a row's button does now; the row may stand for a later state of its item by then. @type {WeakMap<Element, () => void>} */
const runs = new WeakMap()

function buttonOf() {
  const button = element('button', { type: 'button' })
  button.addEventListener('click', () => runs.get(button)?.())
  return button
}

function fill(cell, { kind = '', text, tone, action }, item) {
  if (!action) {
    setText(cell, text(item))
    const classes = `${kind} ${tone ? tone(item) : ''}`.trim()
    if (cell.className !== classes) cell.className = classes
    return
  }
  const button = cell.firstElementChild
  const wanted = action(item)
  button.hidden = wanted === null
  if (wanted === null) return
  setText(button, wanted.label)
  button.setAttribute('aria-label', wanted.name)
  runs.set(button, wanted.run)
}

/** Only where it differs: a screen reader would read it again. @param {Element} of @param {string} text */
export function setText(of, text) {
  if (of.textContent !== text) of.textContent = text
}

const svgNames = 'http://www.w3.org/2000/svg'

function svg(name, attributes, ...children) {
  const made = document.createElementNS(svgNames, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value))
  made.append(...children)
  return made
}

/**
 * Stacked bars, a bar a day. The table below it has the same numbers for those who cannot see it.
 * @param {readonly string[]} days
 * @param {readonly { name: string, values: readonly number[] }[]} series the largest first, six at most
 * @param {string} label
 * @param {(value: number) => string} format
 * @param {number} width in CSS pixels, so that its words are as large as all others
 */
export function bars(days, series, label, format, width) {
  const [height, left, bottom, top] = [200, 54, 20, 8]
  const sums = days.map((_, at) => series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0))
  const most = niceTop(Math.max(...sums, 0))
  const inner = height - top - bottom
  const step = (width - left) / days.length
  const yOf = (value) => top + inner - (value / most) * inner
  const drawing = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label })
  for (const share of [0, 0.5, 1]) {
    const y = yOf(most * share)
    drawing.append(svg('line', { x1: left, x2: width, y1: y, y2: y }))
    drawing.append(svg('text', { x: left - 6, y: y + 4, 'text-anchor': 'end' }, format(most * share)))
  }
  days.forEach((day, at) => {
    let base = 0
    series.forEach(({ name, values }, index) => {
      const value = values[at] ?? 0
      if (value === 0) return
      const y = yOf(base + value)
      const bar = svg('rect', {
        x: left + step * at + step * 0.15,
        y,
        width: step * 0.7,
        height: Math.max(0.5, yOf(base) - y),
        class: `s${index}`,
      })
      bar.append(svg('title', {}, `${day}, ${name}: ${format(value)}`))
      drawing.append(bar)
      base += value
    })
    // A date takes about 40 pixels.
    const isTold = (days.length - 1 - at) % Math.ceil(40 / step) === 0
    if (isTold)
      drawing.append(svg('text', { x: left + step * (at + 0.5), y: height - 5, 'text-anchor': 'middle' }, day.slice(5)))
  })
  return drawing
}

/** 1, 2 or 5 times a power of ten, and not below the value. */
function niceTop(value) {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= value) ?? value
}
