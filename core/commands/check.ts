/** `postern check`: reads the file and says all that is wrong with it, without listening or calling anybody. */
import { loadConfig } from '../config/load.ts'
import { forTools, render } from '../config/problems.ts'
import type { Command } from '../main.ts'
import { pluginSource } from '../plugins.ts'

export const check: Command = async ({ config: file, json }) => {
  const { config, problems } = await loadConfig(file, { plugins: pluginSource })
  if (json) {
    const told = { file, ok: problems.length === 0, problems: problems.map(forTools), notes: config?.notes ?? [] }
    process.stdout.write(`${JSON.stringify(told, null, 2)}\n`)
  } else if (problems.length > 0) {
    process.stdout.write(`${problems.map(render).join('\n\n')}\n\n${count(problems.length, 'problem')} in ${file}\n`)
  } else if (config) {
    const told = `${count(config.plugins.length, 'plugin')}, ${count(config.upstreams.length, 'upstream')}`
    process.stdout.write([`${file} is well: ${told}, version ${config.version}`, ...config.notes, ''].join('\n'))
  }
  return problems.length > 0 ? 1 : 0
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
