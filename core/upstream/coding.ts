/** Bodies as they were before they were compressed, where they are small. */
import * as zlib from 'node:zlib'
import type { Headers } from '../plugin.ts'

type Decode = (bytes: Buffer, options: { maxOutputLength: number }) => Buffer

/** zstd came with Node 22.15: before that what a client asks for in it travels unread. */
const decoders: Readonly<Partial<Record<string, Decode>>> = {
  gzip: zlib.gunzipSync,
  'x-gzip': zlib.gunzipSync,
  br: zlib.brotliDecompressSync,
  deflate: zlib.inflateSync,
  ...('zstdDecompressSync' in zlib && { zstd: zlib.zstdDecompressSync }),
}

/** Whether bodies with this `content-encoding` can be read. Several codings, one upon the other, are nobody's. */
export function isReadable(coding: Headers[string]): boolean {
  return Object.hasOwn(decoders, String(coding).toLowerCase())
}

/** What was compressed; null where that is more than `most` bytes, or cut off, or not what `coding` says. */
export function decode(bytes: Buffer, coding: Headers[string], most: number): Buffer | null {
  const name = String(coding).toLowerCase()
  const read = Object.hasOwn(decoders, name) ? decoders[name] : undefined
  try {
    return read?.(bytes, { maxOutputLength: most }) ?? null
  } catch {
    return null
  }
}
