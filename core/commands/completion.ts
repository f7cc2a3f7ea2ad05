/** `postern completion`: what teaches a shell the commands, their words and their options. Made of the table, so never stale. */
import { commandRows, optionRows, wordyNames, type CommandRow } from './table.ts'

/** Resolves with the exit code: 2 for a shell that it does not know. */
export async function completion([shell = '']: readonly string[]): Promise<number> {
  const make = Object.hasOwn(shells, shell) ? shells[shell] : undefined
  if (!make) {
    process.stderr.write(`postern: completion is there for ${Object.keys(shells).join(', ')}\n`)
    return 2
  }
  process.stdout.write(make())
  return 0
}

const shells: Readonly<Record<string, () => string>> = { bash, zsh, fish }

const commands = Object.entries(commandRows)
const names = [...commands.map(([name]) => name), ...wordyNames]

/** `plan`, `up`, `status` of `plan|up|status`. */
function choicesOf({ words = '' }: CommandRow): string[] {
  return (words.split(' ')[0] ?? '').split('|').filter((word) => /^[a-z]+$/.test(word))
}

function optionsOf({ options }: CommandRow): string[] {
  return [...options.map((option) => `--${option}`), '--help']
}

function bash(): string {
  const cases = commands.map(
    ([name, row]) =>
      `    ${name}) COMPREPLY=($(compgen -W '${[...choicesOf(row), ...optionsOf(row)].join(' ')}' -- "$word")) ;;`,
  )
  return `# postern completion for bash
_postern() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  case "$before" in
    -c|--config|--folder|--out|-d|--data) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${names.join(' ')} --help --version' -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
    *) COMPREPLY=($(compgen -W 'list add set --help' -- "$word")) ;;
  esac
}
complete -o bashdefault -F _postern postern
`
}

function zsh(): string {
  const described = commands.map(([name, { says }]) => `    '${name}:${quote(says)}'`)
  const cases = commands.map(([name, row]) => {
    const specs = row.options.map((option) => {
      const { value, says, isMany } = optionRows[option]
      const taken = value === undefined ? '' : `:${value}:${/FILE|DIR|JSON/.test(value) ? '_files' : ' '}`
      return `'${isMany ? '*' : ''}--${option}[${quote(says)}]${taken}'`
    })
    const choices = choicesOf(row)
    const words = choices.length > 0 ? [`'2:what:(${choices.join(' ')})'`] : []
    return `    ${name}) _arguments ${[...words, ...specs, "'--help[Print help]'", "'*:file:_files'"].join(' ')} ;;`
  })
  return `#compdef postern
_postern() {
  local -a commands
  commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "$words[2]" in
${cases.join('\n')}
  esac
}
# Sourced, it declares itself; found on the path for functions, it is called.
if [ "$funcstack[1]" = "_postern" ]; then _postern "$@"; else compdef _postern postern; fi
`
}

function fish(): string {
  const first = commands.map(
    ([name, { says }]) => `complete -c postern -n __fish_use_subcommand -f -a ${name} -d '${quote(says)}'`,
  )
  const behind = commands.flatMap(([name, row]) => [
    ...choicesOf(row).map((word) => `complete -c postern -n '__fish_seen_subcommand_from ${name}' -f -a ${word}`),
    ...row.options.map((option) => {
      const { short, value, says } = optionRows[option]
      const flags = [short === undefined ? '' : ` -s ${short}`, value === undefined ? '' : ' -r'].join('')
      return `complete -c postern -n '__fish_seen_subcommand_from ${name}' -l ${option}${flags} -d '${quote(says)}'`
    }),
  ])
  return `# postern completion for fish\n${[...first, ...behind].join('\n')}\n`
}

/** Between single quotes of a shell, and between the brackets and colons of zsh. */
function quote(text: string): string {
  return text.replaceAll("'", '’').replaceAll(/[[\]:]/g, '')
}
