/** Who calls: what a key stands for, once it was verified. Holds nothing secret, so it may be logged. */

declare module '../plugin.ts' {
  interface Facts {
    /** Who calls. Null until a plugin has verified it. */
    principal: Principal
  }
}

export interface Principal {
  /** Names the key in logs and in the store: its name in gateway.yaml, or `key:17` for one of the database. */
  readonly id: string
  readonly name: string
  /** Ids in the database; null for what gateway.yaml names. */
  readonly keyId: number | null
  readonly userId: number | null
  readonly groupId: number | null
  /** The group, by its name. */
  readonly group: string | null
  /** Exchanges at the same time; null: as many as the plugin concurrency allows by default. */
  readonly concurrency: number | null
  /** How it pays. */
  readonly billing: 'none' | 'balance' | 'subscription'
  /** What its prices are multiplied with: a decimal number as text. */
  readonly rateMultiplier: string
}
