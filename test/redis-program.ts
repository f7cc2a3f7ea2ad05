/** Where the Redis server of the tests is: on PATH, or fetched. */
import { execFile } from 'node:child_process'
import { constants, globSync } from 'node:fs'
import { access, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface RedisProgram {
  readonly path: string
  /** What it must find in its environment to start. */
  readonly env: NodeJS.ProcessEnv
}

let found: Promise<RedisProgram> | null = null

/** `redis-server` or `valkey-server`. Rejects with the cure where there is none and none can be fetched. */
export function redisProgram(): Promise<RedisProgram> {
  found ??= find()
  return found
}

async function find(): Promise<RedisProgram> {
  const there = await onPath()
  if (there) return there
  const problems: string[] = []
  for (const fetch of [install, unpack]) {
    try {
      const fetched = await fetch()
      if (fetched) return fetched
    } catch (error) {
      problems.push(error instanceof Error ? error.message.trim() : String(error))
    }
  }
  throw new Error(
    [
      'These tests need a real Redis and there is none. Cure: install redis-server or valkey-server so that it is on PATH.',
    ]
      .concat(problems)
      .join('\n'),
  )
}

async function onPath(): Promise<RedisProgram | null> {
  const folders = (process.env.PATH ?? '').split(delimiter)
  for (const name of ['redis-server', 'valkey-server']) {
    for (const folder of folders) {
      const file = join(folder, name)
      if (await isProgram(file)) return { path: file, env: process.env }
    }
  }
  return null
}

/** Debian, and we are root. The server is not started as a service: the tests start their own. */
async function install(): Promise<RedisProgram | null> {
  if (process.getuid?.() !== 0) return null
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  await run('apt-get', ['update'], { env })
  await run('apt-get', ['install', '--yes', '--no-install-recommends', 'redis-server'], { env })
  return onPath()
}

/** The server and what it links to that a bare Debian lacks. There, `redis-server` is a link to a file of redis-tools. */
const packages = ['redis-server', 'redis-tools', 'libatomic1', 'libjemalloc2', 'liblzf1']

/** Debian, and we are not root: the packages are unpacked into a folder that later runs find again. */
export async function unpack(): Promise<RedisProgram | null> {
  const cache = join(tmpdir(), `postern-redis-${process.getuid?.() ?? 0}`)
  const there = await unpacked(cache)
  if (there) return there
  const folder = await mkdtemp(`${cache}-`)
  const root = join(folder, 'root')
  try {
    await run('apt-get', ['download', ...packages], { cwd: folder })
    for (const file of await readdir(folder)) await run('dpkg', ['-x', join(folder, file), root])
    // Another run may have been faster: its folder is as good.
    await rename(root, cache).catch(() => null)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return unpacked(cache)
}

async function unpacked(root: string): Promise<RedisProgram | null> {
  const path = join(root, 'usr/bin/redis-server')
  if (!(await isProgram(path))) return null
  const folders = globSync(['usr/lib/*-linux-gnu*', 'lib/*-linux-gnu*'], { cwd: root }).map((folder) =>
    join(root, folder),
  )
  return { path, env: { ...process.env, LD_LIBRARY_PATH: folders.join(delimiter) } }
}

async function isProgram(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}
