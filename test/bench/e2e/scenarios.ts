/** What is asked of everybody. */
export interface Scenario {
  readonly title: string
  readonly connections: number
  /** Of the request's body, in bytes. */
  readonly body: number
  /** The answer is 50 events of 120 B. */
  readonly isStream?: true
  /** Each so many requests meet a 503 and have to be asked elsewhere. */
  readonly failEvery?: number
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  json: { title: '2 KB of JSON, 32 connections', connections: 32, body: 2048 },
  large: { title: '100 KB of JSON, 32 connections', connections: 32, body: 102_400 },
  stream: { title: 'Streams of 50 events of 120 B, 32 connections', connections: 32, body: 2048, isStream: true },
  single: { title: '2 KB of JSON, 1 connection', connections: 1, body: 2048 },
  many: { title: '2 KB of JSON, 256 connections', connections: 256, body: 2048 },
  failover: {
    title: '2 KB of JSON, 32 connections, every 10th request meets a 503',
    connections: 32,
    body: 2048,
    failEvery: 10,
  },
}
