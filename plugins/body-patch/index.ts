import { applyPatch, definePlugin, reply, setField, type Body, type Exchange, type Reply } from 'postern/plugin'
import { jsonField } from 'postern/provider'
import { config } from './config.ts'
import { compileRule, type Rule } from './rule.ts'

declare module 'postern/plugin' {
  interface Facts {
    /** The model as the client named it, where another one was asked for. */
    client_model: string
  }
}

/** Edits request bodies in their bytes: what no rule names leaves as it came. */
export default definePlugin({
  name: 'body-patch',
  config,
  reads: ['provider', 'claim'],
  writes: ['model', 'client_model'],
  setup({ config }) {
    const rules = [
      compileRule(config, null, null),
      ...config.rules.map(({ when, unless, ...edits }) => compileRule(edits, when, unless)),
    ]
    const once = rules.filter((rule) => !rule.perAttempt)
    const perAttempt = rules.filter((rule) => rule.perAttempt)
    const mapsModels = rules.some((rule) => rule.mapsModels)
    return {
      onRequest: rules.some(({ names }) => names.length > 0) ? (exchange) => listModels(rules, exchange) : undefined,
      onBody(exchange) {
        const { facts, body } = exchange
        const asked = facts.model
        const model = apply(once, exchange, body, asked)
        if (model === asked || model === null) return
        facts.client_model = asked
        // From here on everyone, the choice of the upstream included, deals with the model that will be asked.
        facts.model = model
      },
      onUpstreamRequest(exchange, outgoing) {
        const { facts } = exchange
        if (outgoing.body.kind === 'json' && perAttempt.length > 0) {
          const model = apply(perAttempt, exchange, outgoing.body, facts.model)
          if (model !== facts.model) facts.client_model ??= facts.model
          renameInPath(outgoing, facts.claim?.model, model)
        } else renameInPath(outgoing, facts.claim?.model, facts.model)
      },
      editEvent: mapsModels
        ? ({ facts }, data) => (facts.client_model === null ? undefined : withModel(data, facts.client_model))
        : undefined,
    }
  },
})

/** Where models are mapped, the names that clients may use are the ones that are mapped. */
function listModels(
  rules: readonly Rule[],
  exchange: Exchange<'provider' | 'claim' | 'model', never>,
): Reply | undefined {
  const { claim, provider } = exchange.facts
  const spelt = provider?.dialect.models
  if (claim?.operation !== 'models' || exchange.method !== 'GET' || !spelt) return undefined
  const mapped = new Set(rules.filter((rule) => rule.concerns(exchange)).flatMap(({ names }) => names))
  if (mapped.size === 0) return undefined
  const { model } = claim
  if (model !== undefined && !mapped.has(model)) return undefined
  const told = model === undefined ? spelt.list([...mapped].map((id) => spelt.entry(id))) : spelt.entry(model)
  return reply(200, JSON.stringify(told), { 'content-type': 'application/json' })
}

type Holding = Parameters<Rule['holds']>[0]

/** Applies the rules that hold, in their order; returns the model that is asked for in the end. */
function apply(rules: readonly Rule[], exchange: Holding, body: Body, asked: string | null): string | null {
  const field = exchange.facts.provider?.dialect.fields.model
  let model = asked
  for (const rule of rules) {
    if (!rule.holds(exchange, body)) continue
    rule.apply(body)
    const mapped = model === null ? null : rule.modelFor(model)
    if (field === undefined) model = mapped ?? model
    else {
      if (mapped !== null) body.set(field, mapped)
      const now = body.get(field)
      model = typeof now === 'string' ? now : model
    }
  }
  return model
}

/** Where the API has the model in the path, it is asked for there. */
function renameInPath(outgoing: { path: string }, inPath: string | undefined, model: string | null): void {
  if (inPath === undefined || model === null || model === inPath) return
  outgoing.path = outgoing.path.replace(`/${inPath}`, () => `/${encodeURIComponent(model)}`)
}

/** Where the APIs say in their answers which model it was. */
const places = ['model', 'response.model', 'message.model', 'modelVersion']

/** The event with the client's name for the model, wherever it names one; undefined where it does not. */
function withModel(data: Buffer, model: string): Buffer | undefined {
  if (data[0] !== 0x7b || !data.includes('"model')) return undefined
  const edits = places
    .filter((place) => typeof jsonField(data, place) === 'string')
    .map((place) => setField(place, model))
  return edits.length > 0 ? applyPatch(data, edits) : undefined
}
