/** Reads Prometheus text as strictly as its specification is, for tests. */
import assert from 'node:assert/strict'

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly help: string
  readonly kind: string
  readonly samples: Sample[]
}

/** The families of the text, by name. Fails the test where the text is not what the format 0.0.4 allows. */
export function parseExposition(text: string): Map<string, Family> {
  const families = new Map<string, Family>()
  if (text === '') return families
  assert.ok(text.endsWith('\n'), 'the last line ends with a line feed')
  const seen = new Set<string>()
  let current = ''
  let help: string | null = null
  for (const line of text.slice(0, -1).split('\n')) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/.exec(line) ?? []
    if (kind === 'HELP') {
      assert.ok(!families.has(name), `${name} is told twice`)
      assert.doesNotMatch(rest, /\\[^\\n]/, 'an unknown escape')
      current = name
      help = rest
    } else if (kind === 'TYPE') {
      assert.equal(name, current, 'TYPE follows its HELP')
      assert.match(rest, /^(counter|gauge|histogram)$/)
      families.set(name, { help: help!, kind: rest, samples: [] })
    } else {
      const family = families.get(current)
      assert.ok(family, `a sample without a type: ${line}`)
      const sample = parseSample(line)
      const ends = family.kind === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
      assert.ok(
        ends.some((end) => sample.name === current + end),
        `${line} is none of ${current}`,
      )
      const identity = JSON.stringify([sample.name, Object.entries(sample.labels).map(String).sort()])
      assert.ok(!seen.has(identity), `told twice: ${line}`)
      seen.add(identity)
      family.samples.push(sample)
    }
  }
  for (const [name, family] of families) if (family.kind === 'histogram') checkHistogram(name, family.samples)
  return families
}

function parseSample(line: string): Sample {
  const [, name = '', labels, value = ''] =
    /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\+Inf|-Inf|NaN|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/s.exec(line) ?? []
  assert.ok(name, `no sample: ${JSON.stringify(line)}`)
  const found: Record<string, string> = {}
  let rest = labels ?? ''
  while (rest !== '') {
    const [whole = '', label = '', text = ''] = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/.exec(rest) ?? []
    assert.ok(label, `no labels: ${rest}`)
    assert.ok(!Object.hasOwn(found, label), `a label twice: ${line}`)
    found[label] = text.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
    rest = rest.slice(whole.length)
  }
  return { name, labels: found, value: Number(value.replace('Inf', 'Infinity')) }
}

/** Buckets rise to +Inf, which is the count. */
function checkHistogram(name: string, samples: readonly Sample[]): void {
  const series = Map.groupBy(samples, ({ labels }) => JSON.stringify({ ...labels, le: undefined }))
  for (const [labels, all] of series) {
    const buckets = all.filter((sample) => sample.name === `${name}_bucket`)
    const bounds = buckets.map((sample) => Number(sample.labels.le?.replace('Inf', 'Infinity')))
    assert.deepEqual(
      bounds,
      [...bounds].sort((one, other) => one - other),
      labels,
    )
    assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY)
    const counts = buckets.map(({ value }) => value)
    assert.deepEqual(
      counts,
      [...counts].sort((one, other) => one - other),
      labels,
    )
    assert.equal(all.find((sample) => sample.name === `${name}_count`)?.value, counts.at(-1))
    assert.ok(all.some((sample) => sample.name === `${name}_sum`))
  }
}
