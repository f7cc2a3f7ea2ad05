/** Every command of `postern`: what it does, what it may be given, and where its code is. Help and completion are made of this. */

/** What may stand behind a command, each option under its long name. */
export interface Values {
  readonly config: string
  readonly json: boolean
  readonly database?: string
  readonly folder?: string
  readonly tenant?: string
  readonly session?: string
  readonly method?: string
  readonly header?: readonly string[]
  readonly data?: string
  readonly client?: string
  readonly admin?: string
  readonly out?: string
  readonly requests?: string
}

export type OptionName = keyof Values

export interface OptionRow {
  readonly short?: string
  /** What stands behind it; absent: it stands alone. */
  readonly value?: string
  readonly isMany?: true
  readonly says: string
}

export const optionRows: Readonly<Record<OptionName, OptionRow>> = {
  config: { short: 'c', value: 'FILE', says: 'The configuration. Default: gateway.yaml' },
  json: { says: 'Print as JSON' },
  database: { value: 'URL', says: 'The database, where it is not the one of the file' },
  folder: { value: 'DIR', says: 'migrate: the folder of migrations; new: where the folder is made' },
  tenant: { value: 'T', says: 'Of this principal only' },
  session: { value: 'S', says: 'This session only, as the log names it' },
  method: { short: 'X', value: 'METHOD', says: 'Default: POST where there is a body, else GET' },
  header: { short: 'H', value: 'NAME:VALUE', isMany: true, says: 'A header of the request; as often as needed' },
  data: { short: 'd', value: 'JSON', says: 'The body, or @FILE' },
  client: { value: 'ADDRESS', says: "The client's address. Default: 127.0.0.1" },
  admin: { value: 'URL', says: "The running gateway's admin listener. Default: the one of the file" },
  out: { value: 'FILE', says: 'Where it is written. Default: gateway.schema.json beside the configuration' },
  requests: { value: 'N', says: 'How often each exchange is asked of each gateway. Default: 2000' },
}

export interface CommandRow {
  /** What stands behind the name, as in `plugin|provider NAME`. */
  readonly words?: string
  readonly says: string
  /** More, for its own help. */
  readonly more?: string
  readonly options: readonly OptionName[]
  /** Runs it to its end; resolves with the exit code. What a command does not use is not loaded. */
  run(words: readonly string[], values: Values): Promise<number>
}

export const commandRows: Readonly<Record<string, CommandRow>> = {
  run: {
    says: 'Listen and pass exchanges on, until Ctrl-C (a second one exits at once). SIGHUP reloads the file, SIGUSR2 opens its log anew.',
    options: ['config'],
    run: async (_words, values) => (await import('./run.ts')).run(values),
  },
  check: {
    says: 'Read the file and say all that is wrong with it: file:line:column, and the cure. Exit code 1 if anything is.',
    options: ['config', 'json'],
    run: async (_words, values) => (await import('./check.ts')).check(values),
  },
  explain: {
    says: 'Say what the file compiles to: who claims what, which plugins are asked in which phase, which upstreams.',
    options: ['config'],
    run: async (_words, values) => (await import('./explain.ts')).explain(values),
  },
  try: {
    words: 'PATH',
    says: 'Say what would become of a request, and send nothing: who claims it, what each plugin does, who would be asked.',
    more: `Store and database are not asked: balances, sessions and rests of the running gateway are not seen.

Example
  postern try /v1/chat/completions -d '{"model":"demo","messages":[]}'`,
    options: ['config', 'json', 'method', 'header', 'data', 'client'],
    run: async (words, values) => (await import('./try.ts')).tryRequest({ ...values, words }),
  },
  test: {
    words: '[FILE]',
    says: 'Run the tests of gateway.test.yaml: requests and what has to become of them, against scripted upstreams.',
    more: `FILE is gateway.test.yaml beside the configuration where absent. Nothing leaves this machine; the store is memory, and there is no
database but the one that FILE names. Plugins are what they are: one that writes files writes them. Exit code 1 if a test fails.`,
    options: ['config', 'json'],
    run: async (words, values) => (await import('./test.ts')).test({ ...values, words }),
  },
  bench: {
    says: 'Say what each plugin of the file costs here: µs and bytes of each hook, and the share that it adds to a request.',
    more: `Exchanges of 2 KB of JSON and of streams, in the APIs that the file serves, against an upstream of its own. Neither your upstreams nor your
store are asked, and no database but the one of --database; plugins that need one are left out. Plugins are what they are: one that writes
files, or tells a collector, does. What a plugin adds is the difference of CPU time to the same gateway without it, in turns; what is less
than the noise of this machine is not told. Exit code 1 if nothing could be measured.`,
    options: ['config', 'json', 'requests', 'database'],
    run: async (_words, values) => (await import('./bench.ts')).bench(values),
  },
  diff: {
    words: '[OLD]',
    says: 'Say what the file would change: of the running gateway, or of an older file OLD.',
    more: `The running gateway is asked on its admin listener; its key is taken from the file, or from POSTERN_ADMIN_KEY.
Exit code 0: nothing changes. 1: something does. 2: it cannot be said.`,
    options: ['config', 'json', 'admin'],
    run: async (words, values) => (await import('./diff.ts')).diff({ ...values, words }),
  },
  schema: {
    says: 'Write the schema of gateway.yaml for editors, with the options of the plugins that the file names, yours too.',
    more: `Also puts fresh tables of options into the READMEs of plugins in folders, between <!-- options --> and <!-- /options -->.
The file's first line leads the editor to it: # yaml-language-server: $schema=./gateway.schema.json`,
    options: ['config', 'out'],
    run: async (_words, values) => (await import('./schema.ts')).schema(values),
  },
  new: {
    words: 'plugin|provider NAME',
    says: 'Make a folder with a plugin that works: code, test, benchmark, README. Says the line for gateway.yaml.',
    more: 'The folder is our-plugins/NAME beside the configuration; --folder DIR makes it DIR/NAME. Nothing is overwritten.',
    options: ['config', 'folder'],
    run: async (words, values) => (await import('./new.ts')).newPlugin({ ...values, words }),
  },
  gates: {
    says: 'Say of each compatibility switch whether it may be turned off, and why or why not.',
    options: ['config', 'json'],
    run: async (_words, values) => (await import('./gates.ts')).gates(values),
  },
  migrate: {
    words: 'plan|up|status',
    says: "plan: what the database's schema still needs. up: bring it there. status: what has run.",
    options: ['config', 'json', 'database', 'folder'],
    run: async ([action], values) => (await import('./migrate.ts')).migrate({ ...values, action }),
  },
  sticky: {
    words: 'flush',
    says: 'flush: let sessions go, so that their next turn may be answered anywhere.',
    options: ['config', 'json', 'tenant', 'session'],
    run: async (words, values) => (await import('./sticky.ts')).sticky({ ...values, words }),
  },
  upstreams: {
    words: '[rest|wake] [NAME] [DURATION]',
    says: 'How the upstreams of the running gateway do. rest NAME 10m: ask one no more for a while. wake NAME: ask it again.',
    more: 'The running gateway is asked on the admin listener of the file, whose plugins include console.',
    options: ['config', 'json'],
    run: async (words, values) => (await import('./upstreams.ts')).upstreams({ ...values, words }),
  },
  completion: {
    words: 'bash|zsh|fish',
    says: 'Print what teaches a shell to complete these commands.',
    more: `Examples
  source <(postern completion bash)
  postern completion zsh > "\${fpath[1]}/_postern"
  postern completion fish > ~/.config/fish/completions/postern.fish`,
    options: [],
    run: async (words) => (await import('./completion.ts')).completion(words),
  },
}

/** What the database keeps of who may call, and where exchanges can be sent: commands with options of their own. */
export const recordNames = ['users', 'groups', 'keys', 'accounts'] as const

/** All commands with options of their own. */
export const wordyNames = [...recordNames, 'errors'] as const
