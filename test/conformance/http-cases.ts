/** The table of requests, whole. */
import type { HttpCase } from './http-case.ts'
import { chunkCases } from './http-cases-chunks.ts'
import { connectionCases } from './http-cases-connection.ts'
import { framingCases } from './http-cases-framing.ts'
import { lineCases } from './http-cases-lines.ts'
import { targetCases } from './http-cases-target.ts'

/** Every case, by subject. */
export const httpCases: Readonly<Record<string, readonly HttpCase[]>> = {
  'Request line and header lines': lineCases,
  'Method, target and Host': targetCases,
  'Content-Length and Transfer-Encoding': framingCases,
  'Chunks and trailers': chunkCases,
  'The connection': connectionCases,
}
