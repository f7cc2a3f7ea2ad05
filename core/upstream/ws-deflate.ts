/**
 * permessage-deflate (RFC 7692), each message on its own. `ws` keeps the two zlib streams of a connection for as long as it is open,
 * context takeover or not, so they are made small: 2¹² · 4 + 2⁵ · 512 bytes to deflate, 32 KiB of window and 10 KiB of state to
 * inflate (zlib's own zconf.h), and two pieces of 16 KiB: 106 KiB for each connection that has had a message of 1 KiB both ways.
 */
import type { PerMessageDeflateOptions } from 'ws'

const alone = {
  clientNoContextTakeover: true,
  serverNoContextTakeover: true,
  /** Below this deflating costs more than it saves. In bytes. */
  threshold: 1024,
  /** At once, in the whole process: a burst does not take the thread pool. */
  concurrencyLimit: 10,
  zlibDeflateOptions: { memLevel: 5 },
} as const

/** What is offered to upstreams. Their own window may be as large as they like: at most 32 KiB. */
export const offered: PerMessageDeflateOptions = { ...alone, clientMaxWindowBits: 12 }

/** What clients are given. */
export const given: PerMessageDeflateOptions = { ...alone, serverMaxWindowBits: 12 }

/**
 * As much of a client's Sec-WebSocket-Extensions as can be taken up; undefined: nothing. An offer that has something wrong with it is
 * declined, and the connection goes on without (RFC 7692 §7.1); `ws` would refuse the whole handshake.
 */
export function acceptable(extensions: string | undefined): string | undefined {
  const offers = (extensions ?? '').split(',').map((offer) => offer.trim())
  const fit = offers.filter((offer) => {
    const [name = '', ...parameters] = offer.split(';').map((part) => part.trim())
    const names = parameters.map((parameter) => parameter.split('=', 1)[0])
    return (
      name === 'permessage-deflate' &&
      parameters.every((parameter) => known.test(parameter)) &&
      new Set(names).size === names.length
    )
  })
  return fit.length > 0 ? fit.join(',') : undefined
}

/** A smaller window for us than we have would be another stream for each client. */
const known =
  /^(?:(?:client|server)_no_context_takeover|client_max_window_bits(?:=(?:[89]|1[0-5]))?|server_max_window_bits=1[2-5])$/
