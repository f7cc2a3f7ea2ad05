/** Documents that cannot lie: their generated parts, made from what the code says. */
import { readFileSync, writeFileSync } from 'node:fs'
import { editorSchema, optionTable, putBetween } from '../core/config/editor.ts'
import { errors } from '../core/errors.ts'
import type { MetricReading } from '../core/plugin.ts'
import { pluginSource } from '../core/plugins.ts'
import { dependencyTable } from './licences.ts'
import { contractReport } from './contract-report.ts'
import { declaredMetrics } from './declared-metrics.ts'
import { imageTable } from './image-budget.ts'

/** Every generated file, by its path from the root, as it should be. */
export async function generated(): Promise<Map<string, string>> {
  const plugins = await Promise.all(pluginSource.names.map((name) => pluginSource.load(name, '.')))
  const files = new Map<string, string>([
    ['schemas/gateway.schema.json', `${JSON.stringify(editorSchema(plugins), null, 2)}\n`],
    ['README.md', put('README.md', 'errors', errorTable())],
    ['docs/metrics.md', put('docs/metrics.md', 'metrics', metricTable(await declaredMetrics()))],
    ['docs/dependencies.md', put('docs/dependencies.md', 'dependencies', dependencyTable())],
    ['docs/platform-engineer.md', put('docs/platform-engineer.md', 'image', imageTable())],
    ['docs/contract.api.md', contractReport()],
  ])
  for (const plugin of plugins) {
    const path = `plugins/${plugin.name}/README.md`
    files.set(path, put(path, 'options', optionTable(plugin)))
  }
  return files
}

/** Writes them. */
export async function generate(): Promise<void> {
  for (const [path, text] of await generated()) writeFileSync(new URL(`../${path}`, import.meta.url), text)
}

function put(path: string, name: string, part: string): string {
  return putBetween(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'), name, part)
}

function errorTable(): string {
  const rows = Object.entries(errors).map(
    ([code, { status, message, remedy }]) => `| ${code} | ${status} | ${message} | ${remedy} |`,
  )
  return ['| Code | Status | What the client is told | What to do |', '|---|---|---|---|', ...rows].join('\n')
}

function metricTable(all: readonly MetricReading[]): string {
  const rows = all
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .map(
      ({ name, kind, across, labels, help }) =>
        `| \`${name}\` | ${kind === 'gauge' ? `gauge, ${across}` : kind} | ${labels.map((label) => `\`${label}\``).join(' ')} | ${help} |`,
    )
  return ['| Metric | Kind | Labels | What it says |', '|---|---|---|---|', ...rows].join('\n')
}
