/** Where an operator has put a secret: never on the command line, which every user of the machine can read. */
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { Misuse, type Given, type Option } from './admin-words.ts'

export const secretOptions: Readonly<Record<string, Option>> = {
  'key-file': { value: 'PATH', says: 'Read the key from a file' },
  'key-env': { value: 'NAME', says: 'Read the key from an environment variable' },
  'key-stdin': { says: 'Read the key from the standard input' },
}

/** The key, without the line break at its end; null where none of the options was given. Throws Misuse. */
export async function readSecret(given: Given): Promise<string | null> {
  const [one, other] = Object.keys(secretOptions).filter((name) => given.has(name))
  if (one === undefined) return null
  if (other !== undefined) throw new Misuse(`--${one} and --${other} exclude each other.`)
  const key = (await read(one, given.text(one) ?? '')).replace(/\r?\n$/, '')
  if (key === '') throw new Misuse(`--${one}: there is nothing in it.`)
  if (/[^\x21-\x7e]/.test(key)) throw new Misuse(`--${one}: a key has neither spaces nor line breaks in it.`)
  return key
}

async function read(option: string, from: string): Promise<string> {
  if (option === 'key-stdin') return text(process.stdin)
  if (option === 'key-env') {
    const value = process.env[from]
    if (value === undefined) throw new Misuse(`--key-env: the environment variable ${from} is not set.`)
    return value
  }
  try {
    return await readFile(from, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw new Misuse(`--key-file: ${from} cannot be read (${code}).`)
  }
}
