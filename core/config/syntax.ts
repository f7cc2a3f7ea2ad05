/** What is wrong with a text before it has any meaning: no YAML, or YAML that a configuration has no use for. */
import { isMap, isNode, isScalar, visit, type Alias, type Document } from 'yaml'
import type { Report } from './report.ts'

interface Words {
  readonly message: string
  readonly cure?: string
}

/** Whether the document is one sound map; reports what keeps it from being one. */
export function reportSyntax(document: Document, text: string, report: Report): boolean {
  const broken = reportErrors(document, text, report) || reportRoot(document, text, report)
  const unusable = broken || reportNodes(document, report) || reportExpansion(document, report)
  // Without a structure no schema says what is secret.
  if (unusable) hideLikelySecrets(text, report)
  return !unusable
}

/** One error a line: those that follow it are mostly its echo. A file of brackets has thousands. */
function reportErrors(document: Document, text: string, report: Report): boolean {
  const lines = new Set<number>()
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    const { line } = report.position(pos[0])
    if (lines.has(line) || lines.size === 10) continue
    lines.add(line)
    const words = wordsFor(code, message, text.slice(...pos), lineAround(text, pos[0]))
    report.add(pos[0], words.message, words.cure, 'CONFIG_SYNTAX')
  }
  return lines.size > 0
}

function wordsFor(code: string, message: string, found: string, line: string): Words {
  switch (code) {
    case 'DUPLICATE_KEY':
      return { message: `this map has the key ${keyIn(line, found)} twice`, cure: 'Remove one of them' }
    case 'TAB_AS_INDENT':
      return { message: 'a tab cannot indent', cure: 'Indent with spaces' }
    case 'MULTIPLE_DOCS':
      return { message: 'a second document begins here', cure: 'Remove the line with the three dashes' }
    case 'RESOURCE_EXHAUSTION':
      return { message: 'this is nested too deeply' }
    case 'TAG_RESOLVE_FAILED':
      return { message: `the tag ${JSON.stringify(found)} has no meaning here`, cure: 'Remove it' }
    case 'BAD_INDENT':
      if (message.startsWith('All')) {
        return { message: 'this line is indented unlike those beside it', cure: 'Begin it in the same column' }
      }
      return {
        message: 'a bracket that was opened before is not closed here',
        cure: 'Close it, or indent this line further',
      }
    default:
      return {
        message: `this is not YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`,
        ...quotesNeeded(line),
      }
  }
}

/** The characters that a value cannot have unless it is quoted, as they turn up in a gateway.yaml. */
function quotesNeeded(line: string): { cure?: string } {
  if (/[{[,].*(?<!["'])\$\{/.test(line)) return { cure: 'Between { } or [ ] a reference needs quotes: "${NAME}"' }
  if (/:\s+\[[0-9a-fA-F:.]*\]/.test(line)) return { cure: 'An address in brackets needs quotes: "[::1]:8787"' }
  return /:\s+[^"'\s].*:\s|:\s+[@`%*&!]/.test(line) ? { cure: 'Put the value in quotes' } : {}
}

function reportRoot({ contents }: Document, text: string, report: Report): boolean {
  if (isMap(contents)) return false
  if (contents === null || (isScalar(contents) && contents.value === null)) {
    report.add(
      0,
      text.trim() === '' ? 'this file is empty' : 'this file says nothing',
      'The least it needs is a list of plugins',
      'CONFIG_SYNTAX',
    )
  } else {
    report.add(
      contents.range?.[0] ?? 0,
      'this file must be a map of keys and values',
      'Begin with a line such as "plugins:"',
      'CONFIG_SYNTAX',
    )
  }
  return true
}

/** Keys that are no names, aliases that lead nowhere or in circles. */
function reportNodes(document: Document, report: Report): boolean {
  let sound = true
  const fail = (offset: number, message: string) => {
    sound = false
    report.add(offset, message, undefined, 'CONFIG_SYNTAX')
    return visit.BREAK
  }
  visit(document, {
    Pair(_place, { key }) {
      if (isScalar(key)) return undefined
      return fail(offsetOf(key), 'a key must be a name, not an alias, a list or a map')
    },
    Alias(_place, alias, ancestors) {
      const target = alias.resolve(document)
      if (!target) return fail(offsetOf(alias), `nothing before has the anchor &${alias.source}`)
      return ancestors.includes(target)
        ? fail(offsetOf(alias), `*${alias.source} stands inside of what it names`)
        : undefined
    },
  })
  return !sound
}

/** Aliases of aliases can make gigabytes of a few lines; the parser counts and gives up. */
function reportExpansion(document: Document, report: Report): boolean {
  try {
    document.toJS()
    return false
  } catch {
    let last: Alias | undefined
    visit(document, { Alias: (_place, alias) => void (last = alias) })
    const cure = 'Write out what they stand for'
    report.add(offsetOf(last), 'the aliases of this file multiply beyond all use', cure, 'CONFIG_SYNTAX')
    return true
  }
}

/** Values of keys that are called `key`, `password` and the like; what is only a reference stays readable. */
function hideLikelySecrets(text: string, report: Report): void {
  const pairs = /(?:key|secret|token|password)["']?[ \t]*:[ \t]*([^\s,}\]][^\r\n,]*)/gi
  for (const { index, 0: pair, 1: value = '' } of text.matchAll(pairs)) {
    if (/^["']?(\$\{\w+(:-)?\}|file:)/.test(value)) continue
    report.hide(index + pair.length - value.length, index + pair.length)
  }
}

function lineAround(text: string, offset: number): string {
  const end = text.indexOf('\n', offset)
  return text.slice(text.lastIndexOf('\n', offset - 1) + 1, end === -1 ? text.length : end)
}

/** The parser points to the key, or to its first character only. */
function keyIn(line: string, found: string): string {
  const key = /^["']?([\w.@/-]+)/.exec(line.slice(line.indexOf(found)).trim())?.[1]
  return JSON.stringify(key ?? found.trim())
}

function offsetOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0
}
