/** What the system tells of processes and of itself: /proc, so Linux alone. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'

/** The server has the first core, upstream and load the second, where the system can give them one. */
export const pins = availableParallelism() > 1 && spawnSync('taskset', ['-V']).status === 0

/** Of a second in /proc: USER_HZ, 100 on every Linux there is. */
const ticks = 100

/** User and system time of a process so far, in µs. A tick is 10 ms, so that a round has to last much longer. */
export function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name, in brackets, may hold spaces. Behind it utime and stime are fields 14 and 15 of proc(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / ticks
}

/** What a process has in memory, in MiB. */
export function residentOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
}

/** How many cores' worth others use, looked at for `milliseconds` in which nothing of ours runs. */
export async function otherLoad(milliseconds = 300): Promise<number> {
  const before = busy()
  const from = performance.now()
  await new Promise((resolve) => setTimeout(resolve, milliseconds))
  return ((busy() - before) / ticks / (performance.now() - from)) * 1000
}

/** Ticks that all cores have worked so far. */
function busy(): number {
  const [, user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
    .split('\n')[0]!
    .split(/\s+/)
  return [user, nice, system, irq, softirq, steal].reduce((sum, field) => sum + Number(field), 0)
}

/** Of the machine and the programs, in neutral words. */
export function described(): string {
  const model = /^model name\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? process.arch
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${availableParallelism()} cores (${model}), ${memory} GiB, Linux ${release()}, Node ${process.versions.node}`
}

function release(): string {
  return /^\d+\.\d+/.exec(execFileSync('uname', ['-r'], { encoding: 'utf8' }))?.[0] ?? ''
}
