/** The upstream of the benchmarks: answers every request with the same kilobyte, as fast as Node can. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const body = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  model: 'gpt-bench',
  choices: [{ index: 0, message: { role: 'assistant', content: 'y'.repeat(700) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 500, completion_tokens: 175, total_tokens: 675 },
})
const headers = {
  'content-type': 'application/json',
  'content-length': String(body.length),
  'openai-processing-ms': '12',
  'openai-version': '2020-10-01',
  'x-ratelimit-limit-requests': '10000',
  'x-ratelimit-remaining-requests': '9999',
  'x-request-id': 'req_0123456789',
}

const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    response.writeHead(200, headers)
    response.end(body)
  })
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port })) // TCP
process.on('disconnect', () => process.exit())
