import { resolve } from 'node:path'
import { fromUnits, toUnits } from 'postern/access'
import { definePlugin, janitor, refuse, reply } from 'postern/plugin'
import type { Usage } from 'postern/provider'
import { Admission } from './admission.ts'
import { config } from './config.ts'
import { Meter } from './meter.ts'
import { metricsOf } from './metrics.ts'
import { openLedger, openTotals } from './open.ts'
import { readPrices, shippedPrices } from './prices.ts'
import { reports } from './report.ts'
import { ownName, rowOf } from './row.ts'
import { unpricedModels } from './unpriced.ts'
import { chargeOf } from './write.ts'

/** Counts what exchanges use and cost, and bills it. On the path of a request it waits for nothing. */
export default definePlugin({
  name: 'usage',
  sharesState: 'database',
  config,
  mayRead: ['principal', 'provider', 'claim', 'model', 'usage'],
  writes: ['usage_meter'],
  async setup(context) {
    const { config, database, log } = context
    if (config.keep < week) throw new Error('keep must be a week at least: write 7d or more')
    const prices = await readPrices(config.prices === '' ? shippedPrices : resolve(config.prices), config.default_price)
    const ledger = await openLedger(context)
    const totals = await openTotals(context)
    if (database)
      janitor(
        context,
        database,
        tables.map((table) => ({ table, column: 'created_at', keep: config.keep })),
      )
    const warn = unpricedModels(log)
    const metrics = metricsOf(context.metrics)
    if (ledger) {
      const stop = context.metrics.onRender(() => metrics.waiting.set(ledger.length))
      context.signal.addEventListener('abort', stop, { once: true })
    }
    const report = reports(database, totals, log)
    const { reserve } = config
    const admission = new Admission(database ? await context.access() : null, prices, {
      output: reserve.output,
      fixed: toUnits(reserve.fixed),
      most: toUnits(reserve.most),
    })

    return {
      onRequest(exchange) {
        exchange.facts.usage_meter = new Meter()
        if (config.path === '' || exchange.path !== config.path || exchange.method !== 'GET') return
        const { principal } = exchange.facts
        if (!principal) return refuse(401, 'API_KEY_REQUIRED', 'API key is required')
        return report(principal).then(
          (told) => reply(200, JSON.stringify(told), jsonHeaders),
          (error: unknown) => {
            log.warn({ err: error }, 'what a caller has left could not be read')
            return refuse(503, 'BILLING_UNAVAILABLE', unavailable)
          },
        )
      },
      onBody: (exchange) => admission.admit(exchange, exchange.facts.usage_meter!, exchange.body),
      onUpstreamRequest(exchange) {
        // A body that is not held had no onBody.
        const meter = exchange.facts.usage_meter!
        return meter.reserved === null ? admission.admit(exchange, meter, exchange.body) : undefined
      },
      onResponse(exchange, head) {
        // What is made here has its bytes already.
        if (head.body === null) exchange.facts.usage_meter!.begin(head, exchange)
      },
      onEvent(exchange, data) {
        const meter = exchange.facts.usage_meter!
        const dialect = exchange.facts.provider?.dialect
        if (!meter.see(data, dialect?.firstEvent) || !ledger) return
        // Before the client sees this event: what it has received to its end has been written down, whatever happens next.
        const usage: Usage = { ...(exchange.facts.usage ?? noUsage) }
        dialect?.usage(data, usage)
        const row = rowOf(exchange, meter, usage, prices, ownName())
        if (isWorthNoting(row.total_cost)) meter.early = ledger.note(row, meter.standing)
      },
      onEnd(exchange) {
        const meter = exchange.facts.usage_meter
        // A plugin above has refused it before it got here.
        if (meter === null) return
        const { standing, early } = meter
        const { usage, claim, model } = exchange.facts
        const reserved = meter.reserved ?? 0n
        const isAnswered = exchange.attempt > 0 && meter.status > 0 && meter.status < 400
        const isPlain = exchange.method !== 'POST' || model === null || free.has(claim?.operation ?? '')
        if (!early && !isTold(usage) && (!isAnswered || isPlain)) {
          standing?.settle(reserved, 0n)
          return
        }
        const row = rowOf(exchange, meter, usage, prices, early?.row.id ?? ownName())
        warn(row)
        metrics.cost.with({ provider: row.provider }).inc(Number(row.total_cost))
        metrics.rows.with({ priced: row.priced_as === null ? 'no' : 'yes' }).inc()
        standing?.settle(reserved, chargeOf(row))
        totals?.add(row)
        if (!ledger) return
        if (early) ledger.amend(early, row)
        return ledger.settle(early ?? ledger.note(row, standing))
      },
    }
  },
})

const week = 7 * 86_400_000
/** The memory of what was billed lasts as long as the rows: whoever reads a journal before that bills nothing twice. */
const tables = ['usage_logs', 'usage_billing_dedup']
const noUsage: Usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 }
const jsonHeaders = { 'content-type': 'application/json', 'cache-control': 'no-store' }
const unavailable = 'Billing service temporarily unavailable. Please retry later.'

/** What the APIs do not charge for. */
const free = new Set(['models', 'count_tokens', 'countTokens'])

function isTold(usage: Usage | null): boolean {
  return usage !== null && usage.input + usage.output + usage.cacheRead + usage.cacheWrite > 0
}

function isWorthNoting(cost: string): boolean {
  return cost !== fromUnits(0n)
}
