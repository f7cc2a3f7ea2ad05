/** The command line. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { check } from './commands/check.ts'
import { explain } from './commands/explain.ts'
import { run } from './commands/run.ts'

/** A command: runs to its end and resolves with the exit code. */
export type Command = (options: { config: string; json: boolean }) => Promise<number>

const commands: Readonly<Record<string, Command>> = { run, check, explain }

const help = `postern: the small gate beside your app

Usage: postern <command> [--config FILE]

Commands
  run      Listen and pass exchanges on, until Ctrl-C (a second one exits at once). SIGHUP reloads the file.
  check    Read the file and say all that is wrong with it: file:line:column, and the cure. Exit code 1 if anything is.
  explain  Say what the file compiles to: who claims what, which plugins are asked in which phase, which upstreams.

Options
  -c, --config FILE  The configuration. Default: gateway.yaml
      --json         check: print the problems as JSON
  -h, --help         Print this
  -v, --version      Print the version
`

process.exitCode = await main(process.argv.slice(2))

async function main(words: string[]): Promise<number> {
  let parsed
  try {
    parsed = parseArgs({
      args: words,
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c', default: 'gateway.yaml' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
        version: { type: 'boolean', short: 'v', default: false },
      },
    })
  } catch (error) {
    return misused(error instanceof Error ? error.message : String(error))
  }
  const { values, positionals } = parsed
  if (values.version) return say(version())
  const [name, ...rest] = positionals
  if (values.help || name === 'help') return say(help)
  if (name === undefined) return misused('Say what to do.')
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) return misused(`There is no command "${name}".`)
  if (rest.length > 0) return misused(`${name} takes no "${rest[0]}"; the file is named with --config.`)
  return command(values)
}

function say(text: string): number {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
  return 0
}

/** Exit code 2, as shells expect of a command that was called wrongly. */
function misused(reason: string): number {
  process.stderr.write(`postern: ${reason} Try: postern --help\n`)
  return 2
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version // our own file
}
