/** W3C Trace Context: whose trace an exchange belongs to, and what its upstreams are told. */
import { randomFillSync } from 'node:crypto'

export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** Of the exchange's own span: 16 hexadecimal digits. */
  readonly spanId: string
  /** Empty where the exchange begins the trace. */
  readonly parentId: string
  readonly isSampled: boolean
  /** The bits of the flags that are passed on. */
  readonly flags: number
  /** Goes with the client's trace only. */
  readonly state: string | null
  /** A trace that this one does not continue, and that has caused it. */
  readonly link: Parent | null
}

export interface Parent {
  readonly traceId: string
  readonly spanId: string
  readonly flags: number
}

export interface TraceRules {
  readonly follow_parent: boolean
  readonly sample_ratio: number
}

const sampled = 0x01
/** Level 2: the right half of the trace id is random, so that everybody samples the same traces by it. */
const random = 0x02

/** The context of an exchange whose client sent these headers. */
export function contextOf(
  traceparent: string | string[] | undefined,
  tracestate: string | string[] | undefined,
  rules: TraceRules,
): TraceContext {
  const parent = parse(traceparent)
  const spanId = newId(8)
  if (parent && rules.follow_parent) {
    const isSampled = (parent.flags & sampled) !== 0
    const state = tracestate === undefined ? null : String(tracestate)
    const { traceId } = parent
    return {
      traceId,
      spanId,
      parentId: parent.spanId,
      isSampled,
      flags: parent.flags & (sampled | random),
      state,
      link: null,
    }
  }
  const traceId = newId(16)
  const isSampled = isChosen(traceId, rules.sample_ratio)
  return {
    traceId,
    spanId,
    parentId: '',
    isSampled,
    flags: (isSampled ? sampled : 0) | random,
    state: null,
    link: parent,
  }
}

/** The header for an upstream: `spanId` is that of the attempt. */
export function traceparentOf({ traceId, flags }: TraceContext, spanId: string): string {
  return `00-${traceId}-${spanId}-0${flags.toString(16)}`
}

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** Null where the header is absent or none; a version that is not known yet is read as far as it is. */
export function parse(header: string | string[] | undefined): Parent | null {
  const [, version, traceId = '', spanId = '', flags = '', more] = pattern.exec(String(header ?? '').trim()) ?? []
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return null
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null
  return { traceId, spanId, flags: Number.parseInt(flags, 16) }
}

/** 52 of the 56 random bits decide, the highest first, as the specification's thresholds are compared. */
export function isChosen(traceId: string, ratio: number): boolean {
  return Number.parseInt(traceId.slice(18, 31), 16) >= (1 - ratio) * 2 ** 52
}

/** Random bytes are taken from a stock: one call of the system for two hundred ids. */
const stock = Buffer.allocUnsafe(4096)
let used = stock.length

/** A random id that is not all zeros. */
export function newId(bytes: 8 | 16): string {
  if (used + bytes > stock.length) {
    randomFillSync(stock)
    used = 0
  }
  const id = stock.toString('hex', used, used + bytes)
  used += bytes
  return /[1-9a-f]/.test(id) ? id : newId(bytes)
}
