/** OpenTelemetry's words for generative AI (semantic conventions 1.41): what this gateway's words are called there. */

/** What operations of the dialects are called; any other keeps its own name, as the conventions allow. */
const operations: Readonly<Record<string, string>> = {
  'chat.completions': 'chat',
  responses: 'chat',
  messages: 'chat',
  realtime: 'chat',
  completions: 'text_completion',
  embeddings: 'embeddings',
  generateContent: 'generate_content',
  streamGenerateContent: 'generate_content',
  live: 'generate_content',
  embedContent: 'embeddings',
  batchEmbedContents: 'embeddings',
}

/** What mounts are usually called that the conventions have another name for. */
const providers: Readonly<Record<string, string>> = {
  gemini: 'gcp.gemini',
  vertex: 'gcp.vertex_ai',
  bedrock: 'aws.bedrock',
  azure: 'azure.ai.openai',
  mistral: 'mistral_ai',
  xai: 'x_ai',
  moonshot: 'moonshot_ai',
}

export function operationOf(operation: string): string {
  return operations[operation] ?? operation
}

export function providerOf(mount: string): string {
  return providers[mount] ?? mount
}

/** Methods of HTTP that have a name of their own there: what a client has made up has none. */
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])

export function methodOf(method: string): string {
  return methods.has(method) ? method : '_OTHER'
}
