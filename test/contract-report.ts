/** The public surface as text: every exported name of the four public modules with its declaration, as the compiler sees it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { emitTypes } from '../bin/types.js'
import { contractVersion } from '../core/contract.ts'

/** docs/contract.api.md. Declarations are made by the compiler: about half a second. */
export function contractReport(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-contract-'))
  try {
    emitTypes(folder)
    const modules = ['plugin', 'provider', 'access', 'testing'].map((name) => moduleReport(folder, name))
    return `# The contract, version ${contractVersion}\n\nGenerated. What changes here changes for the authors of plugins.\n\n${modules.join('\n')}`
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function moduleReport(folder: string, name: string): string {
  const declared = exportsOf(join(folder, 'core', `${name}.d.ts`))
  const sorted = [...declared].toSorted(([one], [other]) => (one < other ? -1 : 1))
  return `## postern/${name}\n\n\`\`\`ts\n${sorted.map(([, text]) => text).join('\n')}\n\`\`\`\n`
}

/** The declarations of a file by their names, those of other files that it passes on among them. */
function exportsOf(file: string): Map<string, string> {
  const text = readFileSync(file, 'utf8').replaceAll(/^ *\/\*\*[\s\S]*?\*\/\n/gm, '')
  const found = new Map<string, string>()
  for (const statement of text.split(/\n(?=\S)/)) {
    const [, names, from] = /^export (?:type )?\{([^}]*)\} from '([^']+)'/.exec(statement) ?? []
    if (names !== undefined && from !== undefined) {
      const others = exportsOf(join(dirname(file), from.replace(/\.js$/, '.d.ts')))
      for (const word of names.split(',')) {
        const called = word.trim().replace(/^type /, '')
        if (called === '') continue
        // `Places as ErrorPlaces` is declared by its public name.
        const [own = '', known = own] = called.split(' as ')
        const declaration = others.get(own)
        if (declaration === undefined) throw new Error(`${file} passes on ${called}, which ${from} does not have`)
        found.set(known, known === own ? declaration : declaration.replace(new RegExp(`\\b${own}\\b`), known))
      }
      continue
    }
    const [, called] =
      /^(?:export )?(?:declare )?(?:async |abstract )*(?:const|function|class|interface|type|module) ['"]?([\w./-]+)/.exec(
        statement,
      ) ?? []
    if (called === undefined) continue
    // What stands on a line of its own with a closing bracket belongs to the statement before.
    const isPublic = statement.startsWith('export ') || statement.startsWith('declare module')
    if (isPublic) found.set(called, `${found.has(called) ? `${found.get(called)}\n` : ''}${whole(text, statement)}`)
  }
  return found
}

/** The statement with the closing lines at column 0 that the split has cut off. */
function whole(text: string, statement: string): string {
  const start = text.indexOf(statement)
  const rest = text.slice(start + statement.length)
  const [closing = ''] = /^(\n[}\])][^\n]*)*/.exec(rest) ?? []
  return (statement + closing).trimEnd()
}
