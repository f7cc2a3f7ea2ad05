/** gateway.yaml for whoever is going to run it. */
import type { Log } from '../plugin.ts'
import type { Config, FileHashes, Loaded } from './load.ts'
import { ConfigError, type Problem } from './problems.ts'

/** The configuration, with its notes in the log; `tell` hears of the files it refers to first. Throws ConfigError with every problem. */
export function admitted({ config, problems, files }: Loaded, log: Log, tell: (files: FileHashes) => void): Config {
  tell(files)
  if (!config) throw new ConfigError(problems)
  for (const note of config.notes) log.info({}, note)
  return config
}

/** What kept a version of the file from running, whatever was thrown. */
export function problemsOf(file: string, error: unknown): readonly Problem[] {
  if (error instanceof ConfigError) return error.problems
  const message = error instanceof Error ? error.message : String(error)
  return [{ file, line: 1, column: 1, code: 'CONFIG_FILE', message, frame: '' }]
}
