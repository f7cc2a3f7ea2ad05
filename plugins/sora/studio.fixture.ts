/** A scripted video API: one account, which knows the videos that were made there and no others. */
import type { ServerResponse } from 'node:http'

export interface Studio {
  /** For `fakeUpstream`. */
  readonly script: (asked: Request, response: ServerResponse) => void
  /** The job has ended well; `more` goes into what is told of it. */
  readonly finish: (id: string, more?: object) => void
  readonly videos: ReadonlyMap<string, object>
}

interface Request {
  readonly method: string
  readonly url: string
  readonly headers: { readonly [name: string]: string | string[] | undefined }
}

/** What every variant is made of, so that a piece of it shows where it is from. */
export const contentOf = (id: string, variant: string) => Buffer.from(`${variant} of ${id} `.repeat(400))

export function studio(account: string): Studio {
  const videos = new Map<string, object>()
  const characters = new Map<string, object>()

  function make(more: object = {}): object {
    const id = `video_${account}_${videos.size + 1}`
    const video = {
      id,
      object: 'video',
      model: 'sora-2',
      status: 'queued',
      progress: 0,
      created_at: 1_760_000_000,
      ...more,
    }
    videos.set(id, video)
    return video
  }

  return {
    videos,
    finish: (id, more = {}) => void videos.set(id, { ...videos.get(id), status: 'completed', progress: 100, ...more }),
    script(asked, response) {
      const { pathname, searchParams } = new URL(asked.url, 'http://studio')
      const [, , collection = '', id = '', rest = ''] = pathname.split('/')
      const route = `${asked.method} ${collection}${id === '' ? '' : '/:id'}${rest === '' ? '' : `/${rest}`}`
      const video = videos.get(id)
      if (route === 'POST videos') return tell(response, 200, make())
      if (route === 'GET videos') {
        return tell(response, 200, { object: 'list', data: [...videos.values()], has_more: false })
      }
      if (route === 'GET models')
        return tell(response, 200, { object: 'list', data: [{ id: 'sora-2', object: 'model' }] })
      if (route === 'POST chat/:id') return tell(response, 200, { choices: [{ message: { content: 'hello' } }] })
      if (id === 'edits' || id === 'extensions') return tell(response, 200, make())
      if (route === 'POST videos/:id' && id === 'characters') {
        const character = { id: `char_${account}`, name: 'Mossy', created_at: 1_760_000_000 }
        characters.set(character.id, character)
        return tell(response, 200, character)
      }
      if (id === 'characters' && characters.has(rest)) return tell(response, 200, characters.get(rest)!)
      if (!video) return tell(response, 404, { error: { message: `no video ${id} at ${account}`, code: 'not_found' } })
      if (route === 'GET videos/:id') return tell(response, 200, video)
      if (route === 'POST videos/:id/remix') return tell(response, 200, make({ remixed_from_video_id: id }))
      if (route === 'DELETE videos/:id') {
        videos.delete(id)
        return tell(response, 200, { id, object: 'video.deleted', deleted: true })
      }
      if (rest === 'content') return sendContent(response, asked, contentOf(id, searchParams.get('variant') ?? 'video'))
      return tell(response, 200, { asked: `${asked.method} ${asked.url}` })
    },
  }
}

function tell(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

function sendContent(response: ServerResponse, { method, headers }: Request, content: Buffer): void {
  const etag = `"${content.length}"`
  const head = { 'content-type': 'video/mp4', 'accept-ranges': 'bytes', etag, 'set-cookie': 'edge=1' }
  if (headers['if-none-match'] === etag) return void response.writeHead(304, head).end()
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(String(headers.range)) ?? []
  const piece = from === undefined ? content : content.subarray(Number(from), Number(to) + 1)
  const range = from === undefined ? {} : { 'content-range': `bytes ${from}-${to}/${content.length}` }
  response.writeHead(from === undefined ? 200 : 206, { ...head, ...range, 'content-length': piece.length })
  response.end(method === 'HEAD' ? undefined : piece)
}
