/** What `store: redis://…` says: which nodes, by which name and password, in the clear or over TLS. */

export interface RedisAddress {
  readonly nodes: readonly RedisNode[]
  readonly isCluster: boolean
  readonly isTls: boolean
  readonly username: string | null
  readonly password: string | null
  readonly db: number
  /** For the log: without name and password. */
  readonly shown: string
}

export interface RedisNode {
  readonly host: string
  readonly port: number
}

const shape = /^(rediss?)(\+cluster)?:\/\/(?:([^@/]*(?:@[^@/]*)*)@)?([^@/?#]+)(?:\/(\d*))?$/

/** Throws what is wrong with it and the cure, and never says the password. */
export function parseRedisAddress(address: string): RedisAddress {
  const [, scheme, cluster, credentials, hosts = '', path = ''] = shape.exec(address) ?? wrong(explanation)
  const isCluster = cluster !== undefined
  const nodes = hosts.split(',').map(parseNode)
  const db = path === '' ? 0 : Number(path)
  if (!isCluster && nodes.length > 1) wrong(`several nodes are a cluster: write ${scheme}+cluster://${hosts}`)
  if (isCluster && db !== 0) wrong(`a Redis Cluster has database 0 only: leave out /${db}`)
  return {
    nodes,
    isCluster,
    isTls: scheme === 'rediss',
    ...parseCredentials(credentials),
    db,
    shown: `${scheme}${cluster ?? ''}://${hosts}${db === 0 ? '' : `/${db}`}`,
  }
}

const explanation =
  'an address is redis://name:password@host:6379/0, rediss:// for TLS, or redis+cluster://host:6379,host:6379; ' +
  'a name or password with one of @ / : ? # % in it is percent-encoded'

function parseNode(text: string): RedisNode {
  const [, bracketed, plain, port] =
    /^(?:\[([\da-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text) ?? wrong(explanation)
  const number = port === undefined ? 6379 : Number(port)
  if (number < 1 || number > 65_535) wrong(`there is no port ${port}`)
  return { host: bracketed ?? plain ?? '', port: number }
}

function parseCredentials(text: string | undefined): Pick<RedisAddress, 'username' | 'password'> {
  if (text === undefined || text === '') return { username: null, password: null }
  const colon = text.indexOf(':')
  const [name, password] = colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)]
  return { username: decoded(name) || null, password: decoded(password) || null }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return wrong(explanation)
  }
}

function wrong(what: string): never {
  throw new Error(`store: ${what}`)
}
