/** The fields of the metadata, the headers that existing apps know them by, and how their values are spelt there. */

/** What is known of a request beside its facts: one object per exchange, null where nobody has learned it. */
export interface Metadata {
  /** One token asked of a haiku model and no stream: a client that only wants to know whether it gets an answer. */
  is_max_tokens_one_haiku_request: boolean | null
  /** Whether the model was asked to think. */
  thinking_enabled: boolean | null
  /** The upstream the session was held at when the exchange began. */
  prefetched_sticky_account_id: string | null
  prefetched_sticky_group_id: string | null
  /** The only upstream was asked again after it had failed. */
  single_account_retry: boolean | null
  /** How often another upstream was asked. */
  account_switch_count: number | null
}
export type Field = keyof Metadata

interface Row {
  readonly header: string
  readonly kind: 'boolean' | 'number' | 'string'
}

/** The six fields that apps have read so far. */
export const fields: Readonly<Record<Field, Row>> = {
  is_max_tokens_one_haiku_request: { header: 'x-is-max-tokens-one-haiku-request', kind: 'boolean' },
  thinking_enabled: { header: 'x-thinking-enabled', kind: 'boolean' },
  prefetched_sticky_account_id: { header: 'x-prefetched-sticky-account-id', kind: 'string' },
  prefetched_sticky_group_id: { header: 'x-prefetched-sticky-group-id', kind: 'string' },
  single_account_retry: { header: 'x-single-account-retry', kind: 'boolean' },
  account_switch_count: { header: 'x-account-switch-count', kind: 'number' },
}

export const names = Object.keys(fields) as Field[] // the keys of the table above

export function noMetadata(): Metadata {
  return {
    is_max_tokens_one_haiku_request: null,
    thinking_enabled: null,
    prefetched_sticky_account_id: null,
    prefetched_sticky_group_id: null,
    single_account_retry: null,
    account_switch_count: null,
  }
}

/** What a header says of a field; null where it says nothing that the field could hold. */
export function parse(field: Field, header: string): boolean | number | string | null {
  const text = header.trim()
  const { kind } = fields[field]
  if (kind === 'boolean')
    return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : null
  if (kind === 'number') return /^\d{1,9}$/.test(text) ? Number(text) : null
  return /^[\x21-\x7e]{1,256}$/.test(text) ? text : null
}
