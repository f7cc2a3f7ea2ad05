/**
 * Writes `docs/conformance.md`: every case of both tables with the verdict of each server. `npm run conformance` needs all of
 * them, so that no column of the page gets lost; with `--check` nothing is written, servers that are not installed are left out, and it
 * fails where Postern does not meet a case, or the page has other numbers than were found.
 */
import { readFile, writeFile } from 'node:fs/promises'
import type { HttpCase } from './http-case.ts'
import { httpCases } from './http-cases.ts'
import { handshakeAnswers } from './handshake-answers.ts'
import type { HandshakeCase, UpgradeCase } from './handshake-case.ts'
import { handshakeCases } from './handshake-cases.ts'
import { handshakeRivals } from './handshake-rivals.ts'
import { playHandshake, playUpgrade, type Found } from './handshake-runner.ts'
import { countingUpstream, sayingUpstream } from './handshake-upstream.ts'
import { configurations, type Opened, type Rival, rivals } from './http-rivals.ts'
import { playCase, type Verdict } from './http-runner.ts'
import { recordingUpstream } from './http-upstream.ts'
import type { UpstreamCase } from './upstream-case.ts'
import { slowUpstreamCases, upstreamCases } from './upstream-cases.ts'
import { hostileUpstream, playAnswer } from './upstream-runner.ts'

/** What one server made of the cases, by name. */
interface Column {
  readonly name: string
  readonly version: string | null
  readonly requests: ReadonlyMap<string, Cell>
  readonly answers: ReadonlyMap<string, Cell>
}

type AnyCase = HttpCase | UpstreamCase | HandshakeCase | UpgradeCase

interface Cell {
  readonly word: string
  readonly isGood: boolean
  /** Nothing reached the upstream that should not have. */
  readonly isSafe: boolean
}

const answerCases = { ...upstreamCases, ...slowUpstreamCases }

/** Signs of what was wrong, the gravest first. */
const reasons: readonly (readonly [sign: string, why: string])[] = [
  ['the next client', 'the next client is not served'],
  ['hop-by-hop', 'with what belongs to one hop'],
  ['is malformed', 'malformed'],
  ['should have been refused', 'not refused'],
  ['passed on', 'changed'],
  ['nothing was passed on', 'refused'],
  ['was kept', 'the connection is kept'],
]

/** For a case that is about what a server does not have. */
const notAsked: Cell = { word: '–', isGood: true, isSafe: true }

/** What would have ended the process of a server, had it one of its own. */
let fatal: string | null = null
let isPlaying = false
process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
  fatal = error.code ?? error.name
  if (isPlaying) return
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})

const file = new URL('../../docs/conformance.md', import.meta.url)
if (process.argv.includes('--help')) {
  process.stdout.write(
    'npm run conformance -- [--check]\n  --check  Says what differs from docs/conformance.md instead of writing it\n',
  )
  process.exit(0)
}
const isCheck = process.argv.includes('--check')
const { here, missing } = rivals()
if (missing.length > 0 && !isCheck) {
  process.stderr.write(
    `install ${missing.join(' and ')}, or the page would lose what it says of them (or give --check)\n`,
  )
  process.exit(1)
}

const columns: Column[] = []
for (const rival of here) {
  const { name, version } = rival
  columns.push({ name, version, requests: await playRequests(rival), answers: await playAnswers(rival) })
}

const shaken: Column[] = []
for (const rival of handshakeRivals) {
  shaken.push({
    name: rival.name,
    version: null,
    requests: await playHandshakes(rival),
    answers: await playUpgrades(rival),
  })
}

const postern = columns[0]!
const todo = [...Object.values(httpCases).flat(), ...Object.values(answerCases).flat()]
  .filter((one) => one.todo !== undefined)
  .map(({ name, todo: why }) => [name, why] as const)
const known = new Set(todo.map(([name]) => name))
const all = [...postern.requests, ...postern.answers, ...shaken[0]!.requests, ...shaken[0]!.answers]
const failed = all.filter(([name, { isGood }]) => !isGood && !known.has(name))
for (const [name, { word }] of failed) process.stderr.write(`not met: ${name} (${word})\n`)
if (isCheck) {
  const stale = staleIn(await readFile(file, 'utf8'))
  for (const line of stale) process.stderr.write(`docs/conformance.md is stale: ${line}\n`)
  process.exitCode = failed.length + stale.length > 0 ? 1 : 0
} else await writeFile(file, page())

/** Lines of Postern's numbers that the page does not have. What others make of a case may hang on their version, and is only told. */
function staleIn(written: string): string[] {
  const numbersOf = ({ requests, answers }: Column) => [good(requests), unsafe(requests), good(answers)]
  for (const column of columns)
    process.stdout.write(`${column.name} ${column.version ?? ''}: ${numbersOf(column).join(', ')}\n`)
  const [requests, unsafeOnes, answers] = numbersOf(postern)
  const wanted = [
    `| requests as they should be, of ${count(httpCases)} | ${requests} |`,
    `| requests that sent the upstream what it should never see | ${unsafeOnes} |`,
    `| answers contained, of ${count(answerCases)} | ${answers} |`,
  ]
  return wanted.filter((line) => !written.includes(line))
}

async function playRequests(rival: Rival): Promise<Map<string, Cell>> {
  await using upstream = await recordingUpstream()
  await using server = await rival.open(upstream.port)
  return await played(Object.values(httpCases).flat(), async (one) =>
    cellOf(await playCase(server.port, upstream, one, { silence: 1000 })),
  )
}

/** A rival that an answer has brought down, or keeps busy for ever, is opened anew for the next one. */
async function playAnswers(rival: Rival): Promise<Map<string, Cell>> {
  await using upstream = await hostileUpstream()
  const port = Number(new URL(upstream.url).port)
  let server: Opened | null = null
  const cells = await played(Object.values(answerCases).flat(), async (one) => {
    server ??= await rival.open(port)
    const [found] = await playAnswer(server.port, upstream, one)
    if (found !== undefined) {
      await server[Symbol.asyncDispose]()
      server = null
    }
    return { word: found ?? 'contained', isGood: found === undefined, isSafe: true }
  })
  await (server as Opened | null)?.[Symbol.asyncDispose]() // assigned in the callback above
  return cells
}

async function playHandshakes(rival: Rival): Promise<Map<string, Cell>> {
  await using upstream = await countingUpstream()
  await using server = await rival.open(upstream.port)
  return await played(Object.values(handshakeCases).flat(), async (one) =>
    one.isOurs && rival.name !== 'Postern' ? notAsked : shakenCell(await playHandshake(server.port, upstream, one)),
  )
}

async function playUpgrades(rival: Rival): Promise<Map<string, Cell>> {
  await using upstream = await sayingUpstream()
  await using server = await rival.open(upstream.port)
  return await played(Object.values(handshakeAnswers).flat(), async (one) =>
    shakenCell(await playUpgrade(server.port, upstream, one)),
  )
}

function shakenCell({ word, isSafe, differences }: Found): Cell {
  return { word, isSafe, isGood: differences.length === 0 }
}

async function played<C extends AnyCase>(
  cases: readonly C[],
  play: (one: C) => Promise<Cell>,
): Promise<Map<string, Cell>> {
  const cells = new Map<string, Cell>()
  for (const one of cases) {
    fatal = null
    isPlaying = true
    const cell = await play(one)
    isPlaying = false
    cells.set(
      one.name,
      fatal === null ? cell : { word: `the process ends: ${String(fatal)}`, isGood: false, isSafe: false },
    )
  }
  return cells
}

function cellOf({ word, isSafe, differences }: Verdict): Cell {
  if (differences.length === 0) return { word, isGood: true, isSafe }
  const [, why] = reasons.find(([sign]) => differences.some((difference) => difference.includes(sign))) ?? []
  return { word: why === undefined ? word : `${word}: ${why}`, isGood: false, isSafe }
}

function page(): string {
  return `# Conformance

What Postern makes of ${count(httpCases)} requests and ${count(answerCases)} answers of upstreams, written byte by byte on raw sockets, beside other
servers with the same upstream. This page is written by \`npm run conformance\`, which starts each server itself, and needs nginx and HAProxy
installed; with \`--check\` it leaves out what is not there and writes nothing. \`npm test\` holds Postern to both tables.

The cases are data: \`test/conformance/http-cases-*.ts\` and \`upstream-cases.ts\`. Behind each server stands an upstream with a parser of its
own, which takes only what every server reads alike; it sees what is passed on, and a second client sees whether the connection behind is
still in step.

A cell says what the client heard; **bold** where that, or what the upstream was sent, is not what the RFC or the table asks for. *node:http* is
a proxy of fifteen lines on Node's own server and client (${process.version}), *http-proxy-3* the package with its defaults and a keep-alive agent;
${columns.flatMap(({ name, version }) => (version === null ? [] : [`*${name}* is ${version}`])).join(', ')}, configured as below. Where this table is stricter than the RFC (it refuses what a server may repair),
bold is an opinion; where it says "not refused", "malformed" or "changed", another server behind may read something else than the one in front.

nginx and HAProxy are not careless: part of what is bold is a choice that the RFC leaves to them. HAProxy passes on absolute targets, trailers,
\`Expect\` and \`Upgrade\`, which the upstream here takes for malformed. nginx reads bare line feeds as ends of lines, leaves out lines that are no
headers and names with underscores (Postern cannot: clients of AI APIs send \`session_id\`), drops trailers unread, and takes an answer without a
head for one of HTTP/0.9. Where one of them was stricter Postern has followed: an encoded NUL in the path (RFC 3986 §7.3), an empty Host
(RFC 9110 §4.2.1), and 505 for HTTP/3.0 (RFC 9110 §15.6.6). It does not follow where the RFC says otherwise: tabs around a length are white space,
and an absolute target needs no path.

| | ${columns.map(({ name }) => name).join(' | ')} |
|---|${columns.map(() => '--:').join('|')}|
| requests as they should be, of ${count(httpCases)} | ${columns.map(({ requests }) => good(requests)).join(' | ')} |
| requests that sent the upstream what it should never see | ${columns.map(({ requests }) => unsafe(requests)).join(' | ')} |
| answers contained, of ${count(answerCases)} | ${columns.map(({ answers }) => good(answers)).join(' | ')} |

${todo.length > 0 ? `Not met yet: ${[...new Set(todo.map(([, why]) => why))].join('; ')}.\n\n` : ''}### The servers beside

\`\`\`nginx
${configurations.nginx(8080, 9000)}\`\`\`

\`\`\`haproxy
${configurations.haproxy(8080, 9000)}\`\`\`

## Requests

${tables(columns, httpCases, ({ requests }) => requests)}
## Answers

${tables(columns, answerCases, ({ answers }) => answers)}
## WebSocket handshakes

${count(handshakeCases)} requests for WebSocket and ${count(handshakeAnswers)} answers of upstreams to one, behind a session; \`npm test\` plays the requests against
turns and tunnels as well, and both with compression on. *ws* is a relay of forty lines on that package, *http-proxy-3* its tunnel, which reads
none of it. A cell says what the client heard, behind a comma how its WebSocket ended where no message was answered; **bold** as above. A dash:
the case is about what the others do not have.

| | ${shaken.map(({ name }) => name).join(' | ')} |
|---|${shaken.map(() => '--:').join('|')}|
| requests as they should be, of ${count(handshakeCases)} | ${shaken.map(({ requests }) => good(requests)).join(' | ')} |
| answers contained, of ${count(handshakeAnswers)} | ${shaken.map(({ answers }) => good(answers)).join(' | ')} |

${tables(shaken, handshakeCases, ({ requests }) => requests)}
${tables(shaken, handshakeAnswers, ({ answers }) => answers)}`.replace(/\n+$/, '\n')
}

function tables(
  among: readonly Column[],
  subjects: Readonly<Record<string, readonly AnyCase[]>>,
  cellsOf: (column: Column) => ReadonlyMap<string, Cell>,
): string {
  return Object.entries(subjects)
    .map(([subject, cases]) => {
      const rows = cases.map(({ name, rfc }) => {
        const cells = among.map((column) => {
          const { word, isGood } = cellsOf(column).get(name)!
          return isGood ? word : `**${escaped(word)}**`
        })
        return `| ${escaped(name)} | ${rfc} | ${cells.join(' | ')} |`
      })
      const head = `| | RFC | ${among.map(({ name }) => name).join(' | ')} |\n|---|---|${among.map(() => '---').join('|')}|`
      return `### ${subject}\n\n${head}\n${rows.join('\n')}\n`
    })
    .join('\n')
}

function escaped(text: string): string {
  return text.replace(/[|<>*_`\\]/g, (character) => `\\${character}`)
}

function count(subjects: Readonly<Record<string, readonly unknown[]>>): number {
  return Object.values(subjects).flat().length
}

function unsafe(cells: ReadonlyMap<string, Cell>): number {
  return [...cells.values()].filter(({ isSafe }) => !isSafe).length
}

function good(cells: ReadonlyMap<string, Cell>): number {
  return [...cells.values()].filter(({ isGood }) => isGood).length
}
