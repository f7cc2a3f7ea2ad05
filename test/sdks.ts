/** The official SDKs at a gateway, as an app would make them but for retries, which tests count themselves. */
import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import OpenAI from 'openai'
import type { GatewayOptions } from './harness.ts'

export const openai = (url: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-client', maxRetries: 0 })
export const anthropic = (url: string) => new Anthropic({ baseURL: url, apiKey: 'sk-client', maxRetries: 0 })
export const gemini = (url: string) => new GoogleGenAI({ apiKey: 'client', httpOptions: { baseUrl: url } })

export const providers = ['anthropic', 'openai', 'gemini']
export const say = [{ role: 'user' as const, content: 'What is a postern?' }]

/** All three providers before one upstream. */
export const before = (url: string, plugins: GatewayOptions['plugins'] = []): GatewayOptions => ({
  plugins: [...plugins, ...providers],
  upstreams: providers.map((provider) => ({ name: provider, provider, url, key: 'k' })),
})
