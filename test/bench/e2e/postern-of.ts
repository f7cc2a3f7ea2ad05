/** Postern as a process, its log in a file, with settings of a scenario's own. */
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import type { Program } from './processes.ts'

/** Of gateway.yaml. */
export type Settings = Readonly<Record<string, unknown>>

export function posternOf(settings: Settings): Program {
  const file = stringify({ listen: '127.0.0.1:{port}', admin: false, log: { file: '{folder}/log.jsonl' }, ...settings })
  const main = fileURLToPath(new URL('../../../bin/postern.js', import.meta.url))
  return {
    words: [process.execPath, main, 'run', '--config', '{folder}/gateway.yaml'],
    files: { 'gateway.yaml': file },
  }
}
