/** The command line. */
import { parseArgs } from 'node:util'
import { check } from './commands/check.ts'
import { explain } from './commands/explain.ts'
import { gates } from './commands/gates.ts'
import { run } from './commands/run.ts'
import { sticky } from './commands/sticky.ts'
import { version } from './version.ts'

/** A command: runs to its end and resolves with the exit code. */
export type Command = (options: { config: string; json: boolean }) => Promise<number>

const commands: Readonly<Record<string, Command>> = { run, check, explain, gates }

/** What all of them may be given; only those that need words behind their name take any. */
interface Values {
  readonly config: string
  readonly json: boolean
  readonly database?: string
  readonly folder?: string
  readonly tenant?: string
  readonly session?: string
}

const wordy: Readonly<Record<string, (words: readonly string[], values: Values) => Promise<number>>> = {
  sticky: (words, { config, json, tenant, session }) => sticky({ config, json, words, tenant, session }),
  async upstreams(words, { config, json }) {
    const { upstreams } = await import('./commands/upstreams.ts')
    return upstreams({ config, json, words })
  },
  async migrate([action, ...more], values) {
    if (more.length > 0) return misused(`migrate takes one word, not "${more[0]}".`)
    // What a command does not use is not loaded.
    const { migrate } = await import('./commands/migrate.ts')
    return migrate({ ...values, action })
  },
}

const help = `postern: the small gate beside your app

Usage: postern <command> [--config FILE]

Commands
  run      Listen and pass exchanges on, until Ctrl-C (a second one exits at once). SIGHUP reloads the file,
           SIGUSR2 opens the file of the log anew.
  check    Read the file and say all that is wrong with it: file:line:column, and the cure. Exit code 1 if anything is.
  explain  Say what the file compiles to: who claims what, which plugins are asked in which phase, which upstreams.
  gates    Say of each compatibility switch whether it may be turned off, and why or why not.
  migrate  plan: what the database's schema still needs. up: bring it there. status: what has run.
  sticky   flush: let sessions go, so that their next turn may be answered anywhere.
  upstreams
           of the gateway that runs: how they do. rest NAME 10m: ask one no more for a while. wake NAME: ask it again.
  errors   list, show, summary: what was captured of failed exchanges: postern errors --help
  users, groups, keys, accounts
           list, add, set … what the database keeps of them: postern keys --help

Options
  -c, --config FILE  The configuration. Default: gateway.yaml
      --json         Print as JSON (check, gates, migrate, sticky, upstreams)
      --database URL migrate: the database, where it is not the one of the file
      --folder DIR   migrate: the folder of migrations. Default: those that Postern comes with
      --tenant T     sticky flush: of this principal only
      --session S    sticky flush: this session only, as the log names it
  -h, --help         Print this
  -v, --version      Print the version
`

/** What the database keeps of who may call, and where exchanges can be sent. */
const records: ReadonlySet<string> = new Set(['users', 'groups', 'keys', 'accounts'])

process.exitCode = await main(process.argv.slice(2))

async function main(words: string[]): Promise<number> {
  // These have options of their own, and say so with --help.
  if (records.has(words[0] ?? '')) return (await import('./commands/admin.ts')).admin(words)
  if (words[0] === 'errors') return (await import('./commands/errors.ts')).errors(words.slice(1))
  let parsed
  try {
    parsed = parseArgs({
      args: words,
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c', default: 'gateway.yaml' },
        json: { type: 'boolean', default: false },
        database: { type: 'string' },
        folder: { type: 'string' },
        tenant: { type: 'string' },
        session: { type: 'string' },
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
  const speaks = Object.hasOwn(wordy, name) ? wordy[name] : undefined
  if (speaks) return speaks(rest, values)
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
