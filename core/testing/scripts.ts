/** What an upstream may do, and how scripts are put together: an answer, a stream, a delay, a fault. */
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Script } from './upstream.ts'

/** Answers with JSON. */
export function json(status: number, value: unknown, headers: Record<string, string> = {}): Script {
  return (_asked, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(value))
  }
}

/** Answers with a stream, `size` bytes at each write, each in a turn of its own. */
export function stream(bytes: Buffer, size: number): Script {
  return async (_asked, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let at = 0; at < bytes.length && !response.destroyed; at += size) {
      response.write(bytes.subarray(at, at + size))
      await new Promise((resolve) => setImmediate(resolve))
    }
    response.end()
  }
}

/** Answers with an error, in words that every API's client can read something into. */
export function failure(status: number, headers: Record<string, string> = {}): Script {
  return json(status, { type: 'error', error: { code: status, type: 'error', message: `scripted ${status}` } }, headers)
}

/** The same, `ms` milliseconds later. */
export function delay(ms: number, script: Script): Script {
  return async (asked, response, request) => {
    await sleep(ms)
    if (!response.destroyed) await script(asked, response, request)
  }
}

/** Breaks the connection off once `events` events of the script's stream have left; with 0, before its first byte. */
export function cut(events: number, script: Script): Script {
  return (asked, response, request) => {
    const [write, end] = [response.write.bind(response), response.end.bind(response)]
    let left = events
    const passing = (chunk: unknown) => {
      for (const event of String(chunk).split(/(?<=\n\n)/)) {
        if (event === '') continue
        if (left === 0) return void response.destroy()
        write(event, 'utf8')
        if (event.endsWith('\n\n')) left--
      }
    }
    response.write = (chunk: unknown) => {
      if (!response.destroyed) passing(chunk)
      return true
    }
    response.end = ((chunk?: unknown) => {
      if (chunk !== undefined && !response.destroyed) passing(chunk)
      // What has left arrives before the connection ends.
      if (left === 0 || events === 0) setImmediate(() => response.destroy())
      else if (!response.destroyed) end()
      return response
    }) as ServerResponse['end'] // the callers above give bytes and nothing else
    return script(asked, response, request)
  }
}

/** Takes the request and never says anything. */
export function hang(): Script {
  return () => {}
}

/** One script for each request, in this order; the last one for all that follow. */
export function inTurn(...scripts: readonly [Script, ...Script[]]): Script {
  let at = 0
  return (asked, response, request) => scripts[Math.min(at++, scripts.length - 1)]!(asked, response, request)
}
