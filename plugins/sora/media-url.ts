/** Finished videos in JSON answers get a URL that opens them without a key. */
import { applyPatch, setField } from 'postern/plugin'
import { jsonField } from 'postern/provider'
import { isVideoId } from './claims.ts'
import { itemsOf } from './items.ts'
import { defaultVariant } from './media.ts'
import type { Signer } from './sign.ts'

export interface MediaUrlOptions {
  readonly signer: Signer
  /** What stands before `/media-signed/`: the mount's prefix, with the public address where there is one. */
  readonly base: string
  /** How long a URL is good for, in ms. */
  readonly ttl: number
}

/** Adds URLs to the answer of an operation; undefined where there is nothing to add. Other bytes stay as they are. */
export function mediaUrlsFor(options: MediaUrlOptions): (operation: string, answer: Buffer) => Buffer | undefined {
  const { signer, base, ttl } = options

  function withUrl(video: Buffer): Buffer {
    const id = jsonField(video, 'id')
    if (!isVideoId(id) || jsonField(video, 'status') !== 'completed') return video
    const now = Math.floor(Date.now() / 1000)
    const gone = jsonField(video, 'expires_at')
    // The URL of a file that OpenAI will have deleted by then is good until then.
    const until = Math.min(now + Math.floor(ttl / 1000), typeof gone === 'number' ? Math.floor(gone) : Infinity)
    if (until <= now) return video
    const expires = String(until)
    const signature = signer.sign({ video: id, variant: defaultVariant, expires })
    const url = `${base}/media-signed/${id}?variant=${defaultVariant}&expires=${expires}&signature=${signature}`
    return applyPatch(video, [setField('media_url', url), setField('media_url_expires_at', until)])
  }

  function withUrls(list: Buffer): Buffer {
    const pieces: Buffer[] = []
    let read = 0
    for (const { start, end } of itemsOf(list)) {
      pieces.push(list.subarray(read, start), withUrl(list.subarray(start, end)))
      read = end
    }
    return read === 0 ? list : Buffer.concat([...pieces, list.subarray(read)])
  }

  return (operation, answer) => {
    // Most polls find a job that is still at work: those cost one look at the bytes.
    if (!tellsOfVideos.has(operation) || !answer.includes('"completed"')) return undefined
    const told = operation === 'videos.list' ? withUrls(answer) : withUrl(answer)
    return told === answer ? undefined : told
  }
}

const tellsOfVideos: ReadonlySet<string> = new Set([
  'videos.create',
  'videos.get',
  'videos.list',
  'videos.remix',
  'videos.edit',
  'videos.extend',
])
