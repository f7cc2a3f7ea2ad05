import type { Exchange } from 'postern/plugin'
import type { Claim, Dialect } from 'postern/provider'

/** What a path says, and the video (or character) that it is about. */
export interface VideoClaim extends Claim {
  /** As it stands in the path, not yet looked at; null where the path names none. */
  readonly video: string | null
}

/** What a path under the mount is, null where it is nothing of this API. `openai` says what chat and models are. */
export function claimVideo(
  method: string,
  path: string,
  headers: Parameters<Dialect['claims']>[2],
  openai: Dialect,
): VideoClaim | null {
  if (path.startsWith('/media/')) return claimMedia('media', path.slice('/media/'.length))
  if (path.startsWith('/media-signed/')) return claimMedia('media_signed', path.slice('/media-signed/'.length))
  const match = videos.exec(path)
  if (match) {
    const [, first, rest] = match
    return { ...claimJob(method, first, rest), path: path.startsWith('/v1/') ? path : `/v1${path}` }
  }
  const claim = openai.claims(method, path, headers)
  return claim && passedOn.has(claim.operation) ? { ...claim, video: null } : null
}

/** The claim of an exchange with this provider. */
export function claimOf({ facts }: Pick<Exchange, 'facts'>): VideoClaim {
  return facts.claim as VideoClaim // the gateway keeps what `claimVideo` has made, for every exchange that hooks here see
}

/** An id that can stand in a path, a key of the store and a signed text without being read as anything else. */
export function isVideoId(id: unknown): id is string {
  // OpenAI's are "video_" and 32 to 48 characters.
  return typeof id === 'string' && /^[A-Za-z0-9_-]{1,128}$/.test(id)
}

/** Some clients leave the version out, here as at the openai provider. */
const videos = /^(?:\/v1)?\/videos(?:\/([^/]+)(?:\/(.+))?)?$/

/** What this API has beside videos. */
const passedOn: ReadonlySet<string> = new Set(['chat.completions', 'models'])

function claimMedia(operation: string, id: string): VideoClaim {
  return isVideoId(id) ? { operation, path: `/v1/videos/${id}/content`, video: id } : { operation, video: id }
}

/** Words that stand where an id could, as OpenAI's SDK has them. */
const collections: Readonly<Record<string, string>> = { edits: 'videos.edit', extensions: 'videos.extend' }

/** `first` and `rest` are what follows `/videos/`. What nobody knows yet is passed on as `videos.other`. */
function claimJob(method: string, first: string | undefined, rest: string | undefined): VideoClaim {
  if (first === undefined) {
    return { operation: { POST: 'videos.create', GET: 'videos.list' }[method] ?? 'videos.other', video: null }
  }
  if (first === 'characters') {
    if (rest !== undefined)
      return { operation: method === 'GET' ? 'videos.characters.get' : 'videos.other', video: rest }
    return { operation: method === 'POST' ? 'videos.characters.create' : 'videos.other', video: null }
  }
  const operation = method === 'POST' && rest === undefined ? collections[first] : undefined
  if (operation !== undefined) return { operation, video: null }
  return { operation: ofOneVideo[`${method} ${rest ?? ''}`] ?? 'videos.other', video: first }
}

const ofOneVideo: Readonly<Record<string, string>> = {
  'GET ': 'videos.get',
  'DELETE ': 'videos.delete',
  'GET content': 'videos.content',
  'HEAD content': 'videos.content',
  'POST remix': 'videos.remix',
}
