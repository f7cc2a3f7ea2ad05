/** What seals credentials: the plugin that opens them, with the secrets that gateway.yaml gives it. */
import type { Config } from '../config/load.ts'

/** As the plugin `accounts` has it. */
export interface Sealer {
  seal(accountId: number, credentials: { readonly key: string }): Buffer
  open(accountId: number, sealed: Buffer): { readonly key: string }
  isOld(sealed: Buffer): boolean
}

/** Throws where no plugin of the file has secrets to seal with. */
export function sealerIn({ file, plugins }: Config): Sealer {
  for (const { plugin, config } of plugins) {
    if (!canSeal(plugin)) continue
    const sealer = plugin.sealerFor(config)
    if (sealer) return sealer
    throw new Error(
      `${file}: ${plugin.name} has no secrets to seal credentials with. Add secrets: ["\${ACCOUNTS_SECRET}"]`,
    )
  }
  throw new Error(`${file} does not list the plugin accounts, whose secrets seal credentials`)
}

interface Sealing {
  readonly name: string
  /** Null where its options have no secrets. */
  sealerFor(config: unknown): Sealer | null
}

function canSeal(plugin: object): plugin is Sealing {
  return 'sealerFor' in plugin && typeof plugin.sealerFor === 'function'
}
