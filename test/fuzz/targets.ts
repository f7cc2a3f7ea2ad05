/** What can be fuzzed, in the order in which all are. */
import { answer } from './answer.ts'
import { json } from './json.ts'
import { request } from './request.ts'
import { sql } from './sql.ts'
import { sse } from './sse.ts'
import type { FuzzTarget } from './target.ts'
import { websocket } from './websocket.ts'
import { yaml } from './yaml.ts'

export const targets: readonly FuzzTarget[] = [request, answer, json, sse, websocket, yaml, sql]
