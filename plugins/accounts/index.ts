import { definePlugin, upstreamsWoken, type Plugin, type Upstream } from 'postern/plugin'
import { config } from './config.ts'
import { Directory, numberOf } from './directory.ts'
import { changeOf } from './health.ts'
import { Ranking } from './rank.ts'
import type { Reading } from './read.ts'
import { Roster } from './roster.ts'
import { sealerOf, type Sealer } from './seal.ts'
import { WriteBack } from './write-back.ts'

/** Upstreams from the accounts of the database. */
const accounts = definePlugin({
  name: 'accounts',
  config,
  mayRead: ['principal', 'model', 'provider'],
  needsDatabase: true,
  async setup(context) {
    const { config, database, log, store, signal } = context
    if (!database) throw new Error('it needs a database') // the loader has seen to it
    const directory = await context.shared(
      `directory ${numberOf(database)}`,
      () => new Directory(database, log),
      (open) => open.close(),
    )
    const roster = new Roster(
      {
        providers: config.providers,
        namedBy: config.named_by,
        taken: new Set(context.upstreams.map(({ name }) => name)),
        sealer: sealerFor(config),
        ungrouped: config.ungrouped,
        allowsPrivate: config.allow_private,
      },
      log,
    )
    const ranking = new Ranking(roster)
    const { health } = config
    const writeBack = health.enabled ? new WriteBack(context, health) : null
    let offered: readonly Upstream[] = []
    const take = (reading: Reading) => {
      const upstreams = roster.update(reading)
      // Mostly it is a rest or a use that has changed.
      if (upstreams.length === offered.length && upstreams.every((upstream, at) => upstream === offered[at])) return
      offered = upstreams
      context.offer(upstreams)
    }
    if (directory.reading) take(directory.reading)
    const endings = [
      directory.onReading(take),
      directory.onWoken((id) => {
        // In every process: each may have a store of its own.
        store.publish(upstreamsWoken, roster.nameOf(id)).catch((error: unknown) => {
          log.warn({ err: error, account: id }, 'the store could not be told that an account may be asked again')
        })
      }),
    ]
    signal.addEventListener('abort', () => endings.forEach((end) => end()), { once: true })
    context.every(config.refresh, () => directory.refresh())

    return {
      rankUpstreams: (exchange, candidates) => ranking.rank(exchange, candidates),
      onUpstreamResult(exchange, result) {
        const account = exchange.upstream && roster.accountOf(exchange.upstream)
        // Where the client has left, what came of that is no fault of anybody's.
        if (!account || !writeBack || exchange.error !== null) return undefined
        const now = Date.now()
        const change = changeOf(result, account, exchange.facts.model, health, now)
        if (change) writeBack.note(account.id, change)
        if (result.kind === 'response') writeBack.used(account.id, now)
        return undefined
      },
    }
  },
})

/** The plugin, and what seals credentials as it opens them: for commands, which are given the same configuration. */
const plugin: Plugin & { sealerFor(config: unknown): Sealer | null } = {
  ...accounts,
  // The loader has held it against the schema.
  sealerFor: (options) => sealerFor(options as { secrets: readonly { reveal(): string }[] }),
}

export default plugin

function sealerFor({ secrets }: { readonly secrets: readonly { reveal(): string }[] }): Sealer | null {
  const keys = secrets.map((secret) => secret.reveal()).filter((secret) => secret !== '')
  return keys.length > 0 ? sealerOf(keys) : null
}
