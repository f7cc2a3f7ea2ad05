/**
 * A container without an image: an empty root with BusyBox and a Node, in namespaces of its own, as Docker would start it. Needs root,
 * and of Debian's packages util-linux and busybox.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../redis.ts'

/** Why there can be none here; null: there can. */
export function whyNoContainer(): string | null {
  if (process.platform !== 'linux') return 'namespaces are Linux'
  if (process.getuid?.() !== 0) return 'only root makes namespaces'
  if (spawnSync('busybox', ['true']).status !== 0) return 'there is no busybox (Debian: busybox)'
  if (spawnSync('unshare', ['--net', '--pid', '--fork', 'true']).status !== 0) return 'no namespaces may be made here'
  return null
}

/** The Node of that version, as npm has it; kept below .cache. Its path. */
export function nodeOf(version: string): string {
  const name = `node-linux-${process.arch}`
  const folder = fileURLToPath(new URL(`../../.cache/nodes/${version}`, import.meta.url))
  mkdirSync(folder, { recursive: true })
  const words = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline']
  execFileSync('npm', [...words, '--prefix', folder, `${name}@${version}`], { stdio: ['ignore', 'ignore', 'inherit'] })
  return join(folder, 'node_modules', name, 'bin/node')
}

/** Fills an empty folder with what the image has of Alpine, as far as Postern can tell: `node`, `sh`, `wget`, /dev/null. */
export function makeRoot(root: string, node: string): void {
  for (const folder of ['bin', 'proc', 'dev', 'etc', 'tmp']) mkdirSync(join(root, folder), { recursive: true })
  const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim()
  for (const [program, name] of [
    [node, 'node'],
    [busybox, 'busybox'],
  ] as const) {
    copyFileSync(program, join(root, 'bin', name))
    chmodSync(join(root, 'bin', name), 0o755)
    const libraries = spawnSync('ldd', [program], { encoding: 'utf8' }).stdout
    for (const [, path = ''] of libraries.matchAll(/(\/\S+) \(0x/g)) {
      mkdirSync(join(root, dirname(path)), { recursive: true })
      copyFileSync(path, join(root, path))
    }
  }
  for (const name of ['sh', 'wget', 'touch']) symlinkSync('busybox', join(root, 'bin', name))
  execFileSync('mknod', ['-m', '666', join(root, 'dev/null'), 'c', '1', '3'])
}

/** Copies what a stage copies, into a root. */
export function copyInto(root: string, from: string, to: string): void {
  cpSync(from, join(root, to), { recursive: true })
}

export interface ContainerSettings {
  readonly root: string
  /** `UID:GID`. */
  readonly user: string
  readonly folder: string
  readonly words: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** Started: the words run as process 1 of a network of their own. */
export class Container implements AsyncDisposable {
  readonly #settings: ContainerSettings
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  log = ''

  constructor(settings: ContainerSettings) {
    this.#settings = settings
    const { root, user, folder, words } = settings
    const inside = `cd ${folder} && exec "$@"`
    const outside = `busybox ip link set lo up && exec chroot --userspec=${user} ${root} /bin/sh -c '${inside}' -- "$@"`
    const flags = ['--net', '--pid', '--fork', `--mount-proc=${root}/proc`]
    this.#child = spawn('unshare', [...flags, '/bin/sh', '-c', outside, '--', ...words], {
      env: { ...settings.env, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#ended = once(this.#child, 'exit')
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.log += chunk.toString()))
  }

  /** Process 1, as it is called outside; null before it is there, and when it has ended. */
  get #first(): number | null {
    const { pid } = this.#child
    const children = this.hasEnded ? '' : readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return Number(children) || null
  }

  /** Resolves when its log matches. */
  async says(pattern: RegExp): Promise<void> {
    await until(() => pattern.test(this.log) || this.hasEnded)
    if (!pattern.test(this.log)) throw new Error(`it has ended: ${this.log}`)
  }

  /** Runs a line in the container, as HEALTHCHECK and `docker exec` do. Its exit code, and what it says. */
  run(
    line: string,
    env: Readonly<Record<string, string>> = {},
  ): { readonly code: number | null; readonly out: string } {
    const { root, user } = this.#settings
    const into = ['--target', String(this.#first), '--net', 'chroot', `--userspec=${user}`, root, '/bin/sh', '-c', line]
    const { status, stdout, stderr } = spawnSync('nsenter', into, {
      env: { ...this.#settings.env, ...env, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      encoding: 'utf8',
    })
    return { code: status, out: stdout + stderr }
  }

  /** As `docker stop` and `docker kill -s` do. */
  signal(signal: NodeJS.Signals): void {
    if (this.#first !== null) process.kill(this.#first, signal)
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** The exit code, when it has ended. */
  async end(): Promise<number | null> {
    await this.#ended
    return this.#child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Process 1 itself: whoever changes its user is spared by --kill-child.
    this.signal('SIGKILL')
    await this.#ended
  }
}
