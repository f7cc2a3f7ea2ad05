/** Google's Gemini API: generated content, counted tokens, embeddings, models. */
import { isObject, lastSaid, listOf, objectOf, textOf, tokensIn, type JsonObject } from './json.ts'
import { models, type Wish } from './knobs.ts'
import { speak, type Speech, type Tool, type Turn } from './speech.ts'
import { vectorOf } from './vector.ts'
import { Complaint, jsonAnswer, newId, type Answer, type Ask, type Voice } from './voice.ts'

export const gemini: Voice = {
  model: (ask) => (ask.method === 'POST' ? routeOf(ask.path).model : ''),

  answer(ask, wish) {
    const { model, action } = routeOf(ask.path)
    if (ask.method === 'POST' && action !== '' && model === '') {
      throw new Complaint(400, 'The path names no model. Try models/demo.')
    }
    switch (`${ask.method} ${action}`) {
      case 'POST generateContent':
        return json(wholeOf(ask.body, model, wish))
      case 'POST streamGenerateContent':
        return stream(ask, model, wish)
      case 'POST countTokens':
        return json(countOf(ask.body))
      case 'POST embedContent':
        return json({ embedding: embeddingOf(ask.body) })
      case 'POST batchEmbedContents':
        return json({ embeddings: batchOf(ask.body) })
      case 'GET list':
        return json({ models: models.map(describe) })
      case 'GET model':
        if (!models.includes(model)) throw new Complaint(404, `models/${model} is not found. The demo has models/demo.`)
        return json(describe(model))
    }
    throw new Complaint(404, `Not found: ${ask.method} ${ask.path}`)
  },

  complain: (status, message) => pretty({ error: errorOf(status, message) }),

  headers: () => ({ vary: 'Origin, X-Origin, Referer', 'server-timing': 'gfet4t7; dur=1' }),
}

const statuses = new Map([
  [400, 'INVALID_ARGUMENT'],
  [401, 'UNAUTHENTICATED'],
  [403, 'PERMISSION_DENIED'],
  [404, 'NOT_FOUND'],
  [429, 'RESOURCE_EXHAUSTED'],
  [503, 'UNAVAILABLE'],
  [504, 'DEADLINE_EXCEEDED'],
  [529, 'UNAVAILABLE'],
])

function errorOf(status: number, message: string): object {
  const error = { code: status, message, status: statuses.get(status) ?? (status >= 500 ? 'INTERNAL' : 'UNKNOWN') }
  // Google tells the time to wait in the body, too.
  const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '1s' }
  return status === 429 ? { ...error, details: [retry] } : error
}

const failure = { error: errorOf(503, 'The model is overloaded: the demo was asked to fail.') }

/** What a path asks for: `list`, `model`, or the action after the colon; empty where it is none of these. */
function routeOf(path: string): { model: string; action: string } {
  const [, rest] = /^\/v1(?:beta|alpha)?\/models(?:\/(.*))?$/.exec(decoded(path)) ?? []
  if (rest === undefined) return { model: '', action: path.endsWith('/models') ? 'list' : '' }
  const colon = rest.lastIndexOf(':')
  if (colon === -1) return { model: rest, action: 'model' }
  return { model: rest.slice(0, colon), action: rest.slice(colon + 1) }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw new Complaint(400, 'The path holds a % that does not begin an escape.')
  }
}

/** Google indents its JSON, in the streamed array as well; only server-sent events have it on one line. */
function pretty(value: object): string {
  return JSON.stringify(value, null, 2)
}

function json(value: object): Answer {
  return jsonAnswer(`${pretty(value)}\n`, pretty(failure))
}

function turnOf(body: JsonObject): Turn {
  const contents = Array.isArray(body.contents) ? listOf(body.contents) : [body.contents]
  const config = objectOf(body.generationConfig)
  const calling = objectOf(objectOf(body.toolConfig).functionCallingConfig)
  const only = listOf(calling.allowedFunctionNames)[0]
  const last = listOf(objectOf(contents.at(-1)).parts)
  const answered = last.some((part) => isObject(part) && part.functionResponse !== undefined)
  return {
    said: lastSaid(contents, 'parts'),
    tools: listOf(body.tools).flatMap(toolsOf),
    choice: answered || calling.mode === 'NONE' ? 'none' : typeof only === 'string' ? { name: only } : null,
    schema:
      config.responseMimeType === 'application/json'
        ? (config.responseJsonSchema ?? config.responseSchema ?? { type: 'object', properties: {} })
        : null,
    limit: typeof config.maxOutputTokens === 'number' ? config.maxOutputTokens : null,
  }
}

function toolsOf(tool: unknown): Tool[] {
  return listOf(objectOf(tool).functionDeclarations).flatMap((declaration) => {
    const { name, parameters, parametersJsonSchema } = objectOf(declaration)
    return typeof name === 'string' ? [{ name, parameters: parametersJsonSchema ?? parameters }] : []
  })
}

function inputTokens(body: JsonObject): number {
  return tokensIn(body.contents, body.systemInstruction, body.tools)
}

/** What each chunk of one answer repeats. */
interface Repeated {
  readonly input: number
  readonly modelVersion: string
  readonly responseId: string
}

function repeatedOf(body: JsonObject, model: string): Repeated {
  return { input: inputTokens(body), modelVersion: model, responseId: newId('') }
}

function chunkOf(repeated: Repeated, part: object, finishReason: string | undefined, output: number): object {
  const { input, modelVersion, responseId } = repeated
  return {
    candidates: [{ content: { parts: [part], role: 'model' }, finishReason, index: 0 }],
    usageMetadata: {
      promptTokenCount: input,
      candidatesTokenCount: output,
      totalTokenCount: input + output,
      promptTokensDetails: [{ modality: 'TEXT', tokenCount: input }],
    },
    modelVersion,
    responseId,
  }
}

function partOf(speech: Speech): object {
  return speech.kind === 'text' ? { text: speech.text } : { functionCall: { name: speech.name, args: speech.input } }
}

function finishOf(speech: Speech): string {
  return speech.kind === 'text' && speech.cut ? 'MAX_TOKENS' : 'STOP'
}

function wholeOf(body: JsonObject, model: string, wish: Wish): object {
  const speech = speak(turnOf(body), wish)
  return chunkOf(repeatedOf(body, model), partOf(speech), finishOf(speech), speech.tokens)
}

/** With `alt=sse` events, without it one array that grows. */
function stream(ask: Ask, model: string, wish: Wish): Answer {
  const chunks = chunksOf(repeatedOf(ask.body, model), speak(turnOf(ask.body), wish))
  const rest = { status: 200, whole: false }
  if (ask.query.get('alt') === 'sse') {
    return { ...rest, type: 'text/event-stream', frames: events(chunks), failure: event(failure) }
  }
  return {
    ...rest,
    type: 'application/json; charset=UTF-8',
    frames: array(chunks),
    failure: `[${pretty(failure)}\n]\n`,
  }
}

/** The tokens said so far grow from chunk to chunk; a call comes in one piece. */
function* chunksOf(repeated: Repeated, speech: Speech): Generator<object> {
  const count = speech.kind === 'call' ? 1 : speech.pieces.length
  for (let at = 1; at <= count; at++) {
    const last = at === count
    const part = speech.kind === 'call' ? partOf(speech) : { text: speech.pieces[at - 1] }
    yield chunkOf(repeated, part, last ? finishOf(speech) : undefined, Math.ceil((speech.tokens * at) / count))
  }
}

function event(chunk: object): string {
  return `data: ${JSON.stringify(chunk)}\r\n\r\n`
}

function* events(chunks: Iterable<object>): Generator<string> {
  for (const chunk of chunks) yield event(chunk)
}

function* array(chunks: Iterable<object>): Generator<string> {
  let before = '['
  for (const chunk of chunks) {
    yield `${before}${pretty(chunk)}\n`
    before = ',\r\n'
  }
  yield ']\n'
}

function countOf(body: JsonObject): object {
  const totalTokens = inputTokens(isObject(body.generateContentRequest) ? body.generateContentRequest : body)
  return { totalTokens, promptTokensDetails: [{ modality: 'TEXT', tokenCount: totalTokens }] }
}

const mostDimensions = 3072
const mostTexts = 250

function embeddingOf(request: JsonObject): object {
  const dimensions = request.outputDimensionality ?? mostDimensions
  if (
    typeof dimensions !== 'number' ||
    !Number.isInteger(dimensions) ||
    dimensions < 1 ||
    dimensions > mostDimensions
  ) {
    throw new Complaint(400, `outputDimensionality: a whole number from 1 to ${mostDimensions} is required.`)
  }
  return { values: [...vectorOf(textOf(objectOf(request.content).parts), dimensions)] }
}

function batchOf(body: JsonObject): readonly object[] {
  const requests = listOf(body.requests)
  if (requests.length > mostTexts) throw new Complaint(400, `requests: at most ${mostTexts} are allowed.`)
  return requests.map((request) => embeddingOf(objectOf(request)))
}

function describe(id: string): object {
  return {
    name: `models/${id}`,
    version: '001',
    displayName: `Postern ${id}`,
    description: "Postern's demo upstream: no model, no network.",
    inputTokenLimit: 1_048_576,
    outputTokenLimit: 65_536,
    supportedGenerationMethods: ['generateContent', 'countTokens', 'embedContent'],
  }
}
