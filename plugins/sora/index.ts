import { refuse } from 'postern/plugin'
import { defineProvider } from 'postern/provider'
import { claimOf, claimVideo, isVideoId } from './claims.ts'
import { jobHooks } from './jobs.ts'
import { mediaUrlsFor } from './media-url.ts'
import { mediaHooks } from './media.ts'
import { options } from './options.ts'
import { signerOf } from './sign.ts'

/** OpenAI's video API: jobs that are asked where they were made, and media under signed URLs. */
export default defineProvider({
  name: 'sora',
  sharesState: 'store',
  description: "OpenAI's video API: jobs are asked where they were made, media can be opened with signed URLs.",
  url: 'https://api.openai.com',
  prefix: '/sora',
  options,
  speaks: ['openai'],
  dialect(_options, [openai]) {
    if (!openai) throw new Error('the openai provider, whose dialect it builds on, is not there')
    return { ...openai, claims: (method, path, headers) => claimVideo(method, path, headers, openai) }
  },
  bodyLimit: (options) => options.body_limit,
  hooks(context, { media_keys, media_ttl, job_ttl, public_url }, { as, prefix }) {
    const keys = media_keys.map((key) => key.reveal()).filter((key) => key !== '')
    const signer = keys.length > 0 ? signerOf(keys, as) : null
    const base = public_url.replace(/\/+$/, '') + prefix
    const withMediaUrls = signer && mediaUrlsFor({ signer, base, ttl: media_ttl })
    const media = mediaHooks(signer)
    return {
      ...media,
      ...jobHooks(context, job_ttl, as),
      onRequest(exchange) {
        const { video } = claimOf(exchange)
        if (video === null || isVideoId(video)) return media.onRequest(exchange)
        return refuse(400, 'INVALID_VIDEO_ID', 'A video id has 1 to 128 letters, digits, "_" and "-"')
      },
      editEvent: withMediaUrls ? (exchange, answer) => withMediaUrls(claimOf(exchange).operation, answer) : undefined,
    }
  },
})
