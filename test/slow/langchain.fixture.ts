/** LangChain as an app would have it, unmodified, in a process of its own: is told what to ask, tells what came of it. */
import type { ClientName, Outcome, Task } from './langchain-process.fixture.ts'

/** What is used of LangChain's messages. */
interface Message {
  readonly text: string
  readonly tool_calls?: readonly { readonly name: string; readonly args: object }[]
  readonly response_metadata: Readonly<Record<string, unknown>>
  readonly additional_kwargs: Readonly<Record<string, unknown>>
  readonly usage_metadata?: { readonly input_tokens: number; readonly output_tokens: number }
  concat(next: Message): Message
}

interface Model {
  invoke(ask: unknown): Promise<Message>
  stream(ask: unknown, options?: { readonly signal: AbortSignal }): Promise<AsyncIterable<Message>>
  bindTools(tools: readonly Tool[]): Model
}

interface Tool {
  invoke(call: unknown): Promise<unknown>
}

interface Client {
  readonly from: string
  readonly name: string
  readonly settings: (url: string) => object
}

/** How each is told where the gateway is; docs/clients.md says the same, and its code is run beside this. */
const clients: Readonly<Record<ClientName, Client>> = {
  ChatOpenAI: {
    from: '@langchain/openai',
    name: 'ChatOpenAI',
    settings: (url) => ({ configuration: { baseURL: `${url}/v1` } }),
  },
  'ChatOpenAI, Responses': {
    from: '@langchain/openai',
    name: 'ChatOpenAI',
    settings: (url) => ({ useResponsesApi: true, configuration: { baseURL: `${url}/v1` } }),
  },
  ChatAnthropic: {
    from: '@langchain/anthropic',
    name: 'ChatAnthropic',
    settings: (url) => ({ anthropicApiUrl: url }),
  },
  ChatGoogleGenerativeAI: {
    from: '@langchain/google-genai',
    name: 'ChatGoogleGenerativeAI',
    settings: (url) => ({ baseUrl: url }),
  },
  ChatGoogle: {
    from: '@langchain/google',
    name: 'ChatGoogle',
    settings: (url) => ({ endpoint: url }),
  },
}

const installed = process.argv[2] ?? '' // a file URL inside the folder where LangChain is installed
const load = async (name: string): Promise<Record<string, unknown>> => import(import.meta.resolve(name, installed))

// The SDK below ChatGoogleGenerativeAI leaves one behind where a stream is aborted; what the app was told is told all the same.
process.on('unhandledRejection', (error) => {
  if (!(error instanceof Error && /Error reading from the stream/.test(error.message))) throw error
})

process.on('message', (task: Task) => {
  void outcome(task).then((what) => process.send?.(what))
})

async function outcome(task: Task): Promise<Outcome> {
  try {
    return { ok: true, ...(await answered(task)) }
  } catch (error) {
    return { ok: false, ...described(error) }
  }
}

async function answered({ client, url, how, apiKey, maxRetries }: Task) {
  const { from, name, settings } = clients[client]
  // The classes of the packages that are asked for, whose types are not installed here.
  const Chat = (await load(from))[name] as new (options: object) => Model
  const model = new Chat({ model: 'scripted-1', apiKey, maxRetries, ...settings(url) })
  if (how === 'abort') return leaving(model)
  if (how === 'tools' || how === 'streamed tools') return withTool(model, how === 'streamed tools')
  const { message, pieces } = how === 'stream' ? await gathered(model) : { message: await model.invoke(ask), pieces: 1 }
  return told(message, pieces, message.tool_calls ?? [])
}

const ask = 'What is the weather in Rome?'

async function gathered(model: Model): Promise<{ message: Message; pieces: number }> {
  let message: Message | null = null
  let pieces = 0
  for await (const chunk of await model.stream(ask)) {
    if (chunk.text !== '') pieces++
    message = message ? message.concat(chunk) : chunk
  }
  if (!message) throw new Error('the stream had no message')
  return { message, pieces }
}

/** Leaves with the first piece of a stream; what an app can see of that is the outcome. */
async function leaving(model: Model): Promise<never> {
  const controller = new AbortController()
  for await (const { text } of await model.stream(ask, { signal: controller.signal }))
    if (text !== '') controller.abort()
  throw new Error('the stream has ended as if nobody had left')
}

/** The whole round: the model asks for the tool, the tool is called, the model is given what it said. */
async function withTool(model: Model, isStreamed: boolean) {
  const { tool } = (await load('@langchain/core/tools')) as {
    tool: (call: (given: { city: string }) => string, about: object) => Tool
  } // a package without types here
  const { HumanMessage } = (await load('@langchain/core/messages')) as {
    HumanMessage: new (text: string) => Message
  } // the same
  const weather = tool(({ city }) => `It is sunny in ${city}`, {
    name: 'weather',
    description: 'The weather of a city',
    schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  })
  const bound = model.bindTools([weather])
  const asking = isStreamed ? (await gathered(bound)).message : await bound.invoke(ask)
  const calls = asking.tool_calls ?? []
  const results = await Promise.all(calls.map((call) => weather.invoke({ ...call, type: 'tool_call' })))
  const last = await bound.invoke([new HumanMessage(ask), asking, ...results])
  return told(last, 1, calls)
}

function told(message: Message, pieces: number, calls: Message['tool_calls'] = []) {
  const { text, response_metadata, usage_metadata } = message
  // ChatAnthropic has it there where it streams.
  const { finish_reason, stop_reason, finishReason, status } = { ...message.additional_kwargs, ...response_metadata }
  return {
    text,
    pieces,
    calls: calls.map(({ name, args }) => ({ name, args })),
    usage: usage_metadata ?? null,
    finish: [finish_reason, stop_reason, finishReason, status].find((word) => typeof word === 'string') ?? null,
  }
}

/** What an app can see of the error. */
function described(error: unknown) {
  const seen: Record<string, unknown> = typeof error === 'object' && error !== null ? { ...error } : {}
  const { name, message } = error instanceof Error ? error : { name: 'none', message: String(error) }
  const status = seen.status ?? seen.statusCode
  return {
    name,
    message,
    status: typeof status === 'number' ? status : null,
    code: typeof seen.lc_error_code === 'string' ? seen.lc_error_code : null,
    retryAfterMs: typeof seen.retryAfterMs === 'number' ? seen.retryAfterMs : null,
  }
}
