/** A client of the gateway's WebSocket: some turns on one connection, one after the other. */
import { WebSocket } from 'ws'
import { codeIn, type Outcome } from './client.ts'
import { judge } from './judge.ts'
import { bodyOf, type Question } from './question.ts'

/** What ends a turn, well or not. */
const last = /^\{"type":"(?:response\.completed|response\.failed|response\.incomplete|error)"/

/** One outcome for each question that was asked: when a connection ends, those behind are not. Never rejects. */
export async function converse(url: string, key: string, questions: readonly Question[]): Promise<Outcome[]> {
  const ws = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/responses`, {
    headers: { authorization: `Bearer ${key}` },
  })
  const outcomes: Outcome[] = []
  let heard: string[] = []
  let code = ''
  let status = 0
  let wake = (): void => {}
  ws.on('message', (data: Buffer) => {
    heard.push(data.toString())
    if (last.test(heard.at(-1)!)) wake()
  })
  ws.on('error', (error) => (code = error.message))
  ws.on('close', (number: number) => {
    code ||= `closed with ${number}`
    wake()
  })
  await new Promise<void>((resolve) => ws.once('open', resolve).once('close', () => resolve()))
  for (const question of questions) {
    heard = []
    if (ws.readyState === ws.OPEN) {
      status = 200
      const ended = new Promise<void>((resolve) => (wake = resolve))
      ws.send(bodyOf(question))
      await ended
    }
    const text = heard.join('\n')
    const judged = judge(question, status, text)
    const end = judged.end === 'cut' && text === '' && status === 0 ? 'unreachable' : judged.end
    outcomes.push({ ...judged, end, question, status, code: codeIn(text) ?? code, text: text.slice(-600) })
    if (ws.readyState !== ws.OPEN) break
  }
  ws.terminate()
  return outcomes
}
