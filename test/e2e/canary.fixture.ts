/** Secrets that are planted, each a different one, and the search for them in whatever came out. */
import { randomBytes } from 'node:crypto'

/** Where a secret was planted, and the part of it that can be found again. */
export interface Planted {
  readonly place: string
  readonly core: string
  /** Whether it is what people said: kept by sinks for bodies, and by no other. */
  readonly isPrompt: boolean
  /** Whether an upstream has made it up: its answer is its own word to the client, in which nothing but our keys is hidden. */
  readonly isUpstreams: boolean
}

export class Garden {
  readonly planted: Planted[] = []

  /** A new secret for the place, as `shape` writes one. */
  plant(place: string, shape: (core: string) => string = (core) => core): string {
    return shape(this.#core(place, {}))
  }

  /** What an upstream gives away of its own. */
  upstreams(place: string, shape: (core: string) => string = (core) => core): string {
    return shape(this.#core(place, { isUpstreams: true }))
  }

  /** What somebody says to a model. */
  prompt(place: string): string {
    return this.#core(place, { isPrompt: true })
  }

  #core(place: string, { isPrompt = false, isUpstreams = false }: Partial<Planted>): string {
    if (this.planted.some((one) => one.place === place)) throw new Error(`${place} has its canary already`)
    // Letters and digits alone: no encoding changes them but base64.
    const core = `Kanari${randomBytes(9).toString('hex')}`
    this.planted.push({ place, core, isPrompt, isUpstreams })
    return core
  }
}

/** How credentials look. */
export const shapes = {
  openai: (core: string) => `sk-proj-${core}`,
  anthropic: (core: string) => `sk-ant-api03-${core}`,
  google: (core: string) => `AIzaSy${core}`,
  bearer: (core: string) => `Bearer ${core}`,
  basic: (core: string) => `Basic ${Buffer.from(`user:${core}`).toString('base64')}`,
  jwt: (core: string) => `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.${core}`,
  pem: (core: string) => `-----BEGIN PRIVATE KEY-----\n${core}\n-----END PRIVATE KEY-----`,
  aws: (core: string) => `aws_secret_access_key=${core}`,
  userinfo: (core: string) => `https://user:${core}@internal.example/path`,
  assigned: (core: string) => `password=${core}`,
}

/** What came out somewhere. */
export interface Sink {
  readonly name: string
  readonly text: string
  /** Whether it is there to keep what was said. */
  readonly keepsPrompts?: boolean
  /** Whether it is what the client is given of an upstream's answer. */
  readonly isClients?: boolean
}

/** Each secret that got out: its place, the sink, and what stands around it. */
export function leaks(sinks: readonly Sink[], planted: readonly Planted[]): string[] {
  return sinks.flatMap(({ name, text, keepsPrompts = false, isClients = false }) =>
    planted
      .filter(({ isPrompt, isUpstreams }) => !(isPrompt && keepsPrompts) && !(isUpstreams && isClients))
      .flatMap(({ place, core }) => {
        const at = spellings(core)
          .map((spelling) => text.toLowerCase().indexOf(spelling))
          .find((found) => found !== -1)
        return at === undefined ? [] : [`${place} in ${name}: …${text.slice(Math.max(0, at - 60), at + 60)}…`]
      }),
  )
}

/** A secret as it is, in hexadecimal, and in base64 at each of the three places at which it can begin. All in lower case. */
function spellings(core: string): string[] {
  const shifted = ['', 'x', 'xx'].map((before) => {
    const encoded = Buffer.from(before + core).toString('base64')
    // The first and the last characters depend on what stands beside.
    return encoded.slice(before.length === 0 ? 0 : 4, -4)
  })
  return [core, Buffer.from(core).toString('hex'), ...shifted].map((one) => one.toLowerCase())
}
