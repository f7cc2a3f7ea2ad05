/** Which core does what, so that what attacks, what is attacked and what measures do not take each other's time. */
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'

/** The core of whatever is measured; the others get the rest. */
const measured = 0

/** Where whoever measures runs, with its upstream; and where the attacker does: where there is no third core, beside it and after it. */
export const cores = {
  measured,
  measuring: Math.min(1, availableParallelism() - 1),
  attacking: Math.min(2, availableParallelism() - 1),
} as const

/** Keeps a process, all its threads and what it starts on one core. False where the system has no such thing. */
export function pin(pid: number, core: number): boolean {
  return spawnSync('taskset', ['-apc', String(core), String(pid)], { stdio: 'ignore' }).status === 0
}

/** The words before a command that keep it on a core, behind everybody else who wants that. */
export function behindOthers(core: number): readonly string[] {
  return ['nice', '-n', '19', 'taskset', '-c', String(core)]
}

/** The time of the CPU that a process has taken so far, in ms; null when it has ended. A tick is 10 ms on every Linux. */
export async function cpuOf(pid: number): Promise<number | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10
  } catch {
    return null
  }
}
