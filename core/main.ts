/** The command line. */
import { parseArgs } from 'node:util'
import {
  commandRows,
  optionRows,
  recordNames,
  type CommandRow,
  type OptionName,
  type Values,
} from './commands/table.ts'
import { version } from './version.ts'

/** A command: runs to its end and resolves with the exit code. */
export type Command = (options: { config: string; json: boolean }) => Promise<number>

// Whoever reads what is printed may have read enough, as head does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})
process.exitCode = await main(process.argv.slice(2))

async function main(words: string[]): Promise<number> {
  // These have options of their own, and say so with --help.
  if (recordNames.some((name) => name === words[0])) return (await import('./commands/admin.ts')).admin(words)
  if (words[0] === 'errors') return (await import('./commands/errors.ts')).errors(words.slice(1))
  let parsed
  try {
    parsed = parseArgs({ args: words, allowPositionals: true, options: parsedOptions() })
  } catch (error) {
    return misused(error instanceof Error ? error.message : String(error))
  }
  const { help: wantsHelp, version: wantsVersion, ...values } = parsed.values
  const [name, ...rest] = parsed.positionals
  if (wantsVersion) return say(version())
  const row = name !== undefined && Object.hasOwn(commandRows, name) ? commandRows[name] : undefined
  if (wantsHelp || name === 'help') return say(row ? helpOf(name!, row) : help())
  if (name === undefined) return misused('Say what to do.')
  if (!row) return misused(`There is no command "${name}".`)
  return call(name, row, rest, values)
}

async function call(name: string, row: CommandRow, words: string[], given: Partial<Values>): Promise<number> {
  const extra = Object.keys(given).find((option) => !row.options.some((known) => known === option))
  if (extra !== undefined) return misused(`${name} takes no --${extra}.`, name)
  const most = row.words?.split(' ').length ?? 0
  const isTooMuch = words.length > most
  if (isTooMuch && most === 0) return misused(`${name} takes no "${words[0]}"; the file is named with --config.`, name)
  if (isTooMuch) return misused(`${name} takes ${row.words}, and no "${words[most]}".`, name)
  return row.run(words, { config: 'gateway.yaml', json: false, ...given })
}

function parsedOptions() {
  const rows = Object.entries(optionRows).map(([name, { short, value, isMany }]) => {
    const type = value === undefined ? ('boolean' as const) : ('string' as const)
    return [name, { type, ...(short ? { short } : {}), ...(isMany ? { multiple: true } : {}) }] as const
  })
  return {
    ...Object.fromEntries(rows),
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean', short: 'v' },
  } as const
}

/** All commands. */
function help(): string {
  const commands = Object.entries(commandRows).map(([name, { says }]) => [name, says] as const)
  return `postern: the small gate beside your app

Usage: postern <command> [--config FILE]

Commands
${columns(commands)}
  users, groups, keys, accounts
              list, add, set … what the database keeps of them: postern keys --help
  errors      list, show, summary: what was captured of failed exchanges: postern errors --help

Options
${columns(optionLines(['config', 'json']))}

postern <command> --help says what else it takes.
`
}

/** One command. */
function helpOf(name: string, { words, says, more, options }: CommandRow): string {
  const usage = `Usage: postern ${name}${words === undefined ? '' : ` ${words}`}${options.length > 0 ? ' [options]' : ''}`
  return `${[says, usage, `Options\n${columns(optionLines(options))}`, ...(more === undefined ? [] : [more])].join('\n\n')}\n`
}

function optionLines(names: readonly OptionName[]): (readonly [string, string])[] {
  const own = names.map((name) => {
    const { short, value, says } = optionRows[name]
    return [
      `${short === undefined ? '   ' : `-${short},`} --${name}${value === undefined ? '' : ` ${value}`}`,
      says,
    ] as const
  })
  return [...own, ['-h, --help', 'Print this'], ['-v, --version', 'Print the version']]
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([first]) => first.length))
  return rows.map(([first, second]) => `  ${first.padEnd(width)}  ${second}`).join('\n')
}

function say(text: string): number {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
  return 0
}

/** Exit code 2, as shells expect of a command that was called wrongly. */
function misused(reason: string, name?: string): number {
  process.stderr.write(`postern: ${reason} Try: postern ${name === undefined ? '' : `${name} `}--help\n`)
  return 2
}
