/** The demo upstream by itself: `node plugins/demo/main.ts --port 9000`. */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { addressOf, close, open } from './listen.ts'

const help = `Usage: node plugins/demo/main.ts [options]

An upstream that answers like OpenAI, Anthropic and Gemini, without a network and without a key.

  --port N      Port to listen on, 0 for any that is free   (9000)
  --host HOST   Address to listen on                        (127.0.0.1)
  --latency MS  Milliseconds to the first byte of an answer (0)
  --help        This text

Models and headers that make it slow, long or faulty: plugins/demo/README.md
`

const options = {
  port: { type: 'string', default: '9000' },
  host: { type: 'string', default: '127.0.0.1' },
  latency: { type: 'string', default: '0' },
  help: { type: 'boolean', default: false },
} as const

/** Runs until it is interrupted; returns the exit code. */
async function main(): Promise<number> {
  const { port, host, latency, help: asked } = parseArgs({ options }).values
  if (asked) {
    process.stdout.write(help)
    return 0
  }
  const numbers = [numberOf('--port', port, 65_535), numberOf('--latency', latency, 3_600_000)] as const
  const server = await open(`${host.includes(':') ? `[${host}]` : host}:${numbers[0]}`, { latency: numbers[1] })
  const { origin } = addressOf(server)
  process.stdout.write(`The demo upstream listens on ${origin}\n\n${curl(origin)}\n`)
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  await close(server)
  return 0
}

function numberOf(option: string, value: string, most: number): number {
  if (!/^\d{1,7}$/.test(value) || Number(value) > most) throw new Error(`${option} takes a whole number up to ${most}.`)
  return Number(value)
}

function curl(origin: string): string {
  const body = '{"model":"demo","stream":true,"messages":[{"role":"user","content":"hello"}]}'
  return `  curl -N ${origin}/v1/chat/completions -d '${body}'`
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\nTry --help.\n`)
  process.exitCode = 2
}
