/** slowhttptest: a thousand connections that are as slow as they can be, in its four modes, and what it takes to be that. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { behindOthers, cores, cpuOf } from './cores.ts'

export interface AttackOptions {
  readonly connections: number
  readonly seconds: number
}

/** By name, the words that slowhttptest is given for one target. */
export function attacksOn(url: string, { connections, seconds }: AttackOptions): Readonly<Record<string, string[]>> {
  const pace = `-c ${connections} -r ${Math.ceil(connections / 2)} -i 2 -l ${seconds} -p 5`
  const [target, chat] = [`${url}/v1/files`, `${url}/v1/chat/completions`]
  const words = {
    'slow heads': `-H ${pace} -x 24 -u ${target}`,
    'slow bodies': `-B ${pace} -s 8192 -t POST -x 10 -f application/json -u ${chat}`,
    'slow reading': `-X ${pace} -w 256 -y 512 -n 2 -z 16 -k 1 -u ${target}`,
    ranges: `-R ${pace} -a 5 -b 1000 -t GET -u ${target}`,
  }
  return Object.fromEntries(Object.entries(words).map(([mode, text]) => [mode, text.split(' ')]))
}

export interface Attacked {
  /** In its own words: whether it was still answered, and how it ended. */
  readonly said: string
  /** The share of a core that it took. */
  readonly cpu: number
}

/** Attacks once, and resolves when that is over. */
export async function attack(words: readonly string[]): Promise<Attacked> {
  const [program, ...before] = behindOthers(cores.attacking)
  const child = spawn(program!, [...before, 'slowhttptest', ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (text) => (said += String(text)))
  child.stderr.on('data', (text) => (said += String(text)))
  const since = performance.now()
  let [cpu, isOver] = [0, false]
  const watching = (async () => {
    while (!isOver) {
      cpu = (await cpuOf(child.pid!)) ?? cpu // it has been started
      await sleep(50)
    }
  })()
  const [code] = (await once(child, 'close')) as [number | null] // as Node tells it
  const ms = performance.now() - since
  isOver = true
  await watching
  if (code === 127) throw new Error('slowhttptest is missing: apt-get install slowhttptest')
  // eslint-disable-next-line no-control-regex -- it colours what it says
  const plain = said.replace(/\x1b\[[\d;]*[A-Za-z]/g, '')
  const status = /service available:\s+\w+/.exec(plain.slice(plain.lastIndexOf('slow HTTP test status')))?.[0]
  return { said: `${status ?? 'no status'}; ${/Exit status:.*/.exec(plain)?.[0] ?? 'no end'}`, cpu: cpu / ms }
}
