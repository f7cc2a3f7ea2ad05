/** `postern gates`: says of each compatibility switch whether it may be turned off, and why or why not. */
import { loadConfig, type Config } from '../config/load.ts'
import { render } from '../config/problems.ts'
import { evaluateGates, readGateHistory, switches, type Gate, type GateOptions } from '../gates.ts'
import type { Command } from '../main.ts'
import { silentLog } from '../observe/log.ts'
import { pluginSource } from '../plugins.ts'
import { openStore } from '../store/open.ts'

/** Exit code 0 if it could be said, whatever it is; 1 if not. */
export const gates: Command = async ({ config: file, json }) => {
  const { config, problems } = await loadConfig(file, { plugins: pluginSource })
  if (!config) return say(json, { problems }, problems.map(render).join('\n\n'))
  const setting = config.settings.store.reveal()
  if (setting === 'memory') {
    const error = 'with store: memory the counts live in the running process; ask its admin address for /gates'
    return say(json, { error }, error)
  }
  const store = await openStore(setting, silentLog)
  try {
    const told = evaluateGates(await readGateHistory(store), { settings: settingsOf(config) })
    process.stdout.write(json ? `${JSON.stringify({ gates: told }, null, 2)}\n` : describeGates(told))
    return 0
  } catch (error) {
    const message = `the store does not answer: ${error instanceof Error ? error.message : String(error)}`
    return say(json, { error: message }, message)
  } finally {
    await store.close()
  }
}

/** The gates as text: a line for each, then the days. */
export function describeGates(told: readonly Gate[]): string {
  const width = Math.max(...told.map((gate) => gate.switch.length))
  const lines = told.map((gate) => `${gate.switch.padEnd(width)}  ${gate.verdict}  ${gate.reason}`)
  const days = told[0]?.history ?? []
  const columns = ['sticky_reads', 'fallback_total', 'fallback_hit', 'dual_writes', 'alerts'] as const
  const table = days.map((day) =>
    [day.day, ...columns.map((column) => String(day[column]).padStart(column.length))].join('  '),
  )
  return [...lines, '', ['day'.padEnd(10), ...columns].join('  '), ...table, ''].join('\n')
}

/** What the options of the plugins say of the switches, whichever plugin has them. */
export function settingsOf(config: Config): NonNullable<GateOptions['settings']> {
  const settings: Record<string, boolean> = {}
  for (const { config: options } of config.plugins) {
    if (typeof options !== 'object' || options === null) continue
    for (const [name, value] of Object.entries(options)) {
      if (typeof value === 'boolean' && switches.some((known) => known === name)) settings[name] = value
    }
  }
  return settings
}

function say(json: boolean, value: object, text: string): number {
  process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`)
  return 1
}
