/** OpenAI's API: its routes, its errors, its models and embeddings. Answers with text: openai-chat, openai-responses. */
import { listOf, tokensIn } from './json.ts'
import { models } from './knobs.ts'
import { chat } from './openai-chat.ts'
import { responses } from './openai-responses.ts'
import { base64Of, vectorOf } from './vector.ts'
import { born, Complaint, jsonAnswer, modelOf, type Answer, type Ask, type Voice } from './voice.ts'

export const openai: Voice = {
  model: (ask) => (typeof ask.body.model === 'string' ? ask.body.model : ''),

  answer(ask, wish) {
    const path = ask.path.replace(/^\/v1(?=\/)/, '')
    switch (`${ask.method} ${path}`) {
      case 'POST /chat/completions':
        return chat(ask.body, wish, failure)
      case 'POST /responses':
        return responses(ask.body, wish, failure)
      case 'POST /embeddings':
        return embeddings(ask)
      case 'GET /models':
        return jsonAnswer(JSON.stringify({ object: 'list', data: models.map(describe) }), failure)
    }
    const id = /^\/models\/([^/]+)$/.exec(path)?.[1]
    if (ask.method === 'GET' && id !== undefined) return oneModel(id)
    throw new Complaint(404, `Invalid URL (${ask.method} ${ask.path})`)
  },

  complain(status, message) {
    const [type, code] = kinds.get(status) ?? (status >= 500 ? ['server_error', null] : ['invalid_request_error', null])
    return JSON.stringify({ error: { message, type, param: null, code } })
  },

  headers: (id) => ({ 'x-request-id': id, 'openai-version': '2020-10-01', 'openai-processing-ms': '1' }),
}

/** Type and code of the statuses that have their own. */
const kinds = new Map<number, readonly [string, string | null]>([
  [401, ['invalid_request_error', 'invalid_api_key']],
  [403, ['invalid_request_error', 'unsupported_country_region_territory']],
  [429, ['requests', 'rate_limit_exceeded']],
])

const failure = openai.complain(500, 'The demo was asked to fail: the server had an error while answering.', '')

function describe(id: string): object {
  return { id, object: 'model', created: born.getTime() / 1000, owned_by: 'postern-demo' }
}

function oneModel(id: string): Answer {
  if (!models.includes(id)) throw new Complaint(404, `The model '${id}' does not exist. The demo has 'demo'.`)
  return jsonAnswer(JSON.stringify(describe(id)), failure)
}

const mostInputs = 2048
const mostDimensions = 3072

function embeddings({ body }: Ask): Answer {
  const model = modelOf(body)
  const dimensions = body.dimensions ?? 1536
  if (
    typeof dimensions !== 'number' ||
    !Number.isInteger(dimensions) ||
    dimensions < 1 ||
    dimensions > mostDimensions
  ) {
    throw new Complaint(400, `dimensions: a whole number from 1 to ${mostDimensions} is required.`)
  }
  const inputs = inputsOf(body.input)
  if (inputs.length === 0 || inputs.length > mostInputs) {
    throw new Complaint(400, `input: text, tokens, or a list of up to ${mostInputs} of them is required.`)
  }
  const data = inputs.map((input, index) => {
    const vector = vectorOf(typeof input === 'string' ? input : JSON.stringify(input), dimensions)
    const embedding = body.encoding_format === 'base64' ? base64Of(vector) : [...vector]
    return { object: 'embedding', index, embedding }
  })
  // A list of token numbers is as many tokens as it has numbers.
  const tokens = inputs.reduce<number>((sum, input) => sum + (Array.isArray(input) ? input.length : tokensIn(input)), 0)
  const usage = { prompt_tokens: tokens, total_tokens: tokens }
  return jsonAnswer(JSON.stringify({ object: 'list', data, model, usage }), failure)
}

/** One text, several, one list of tokens, or several. */
function inputsOf(input: unknown): readonly unknown[] {
  if (typeof input === 'string') return [input]
  const list = listOf(input)
  return typeof list[0] === 'number' ? [list] : list
}
