/** What `npm run build` has made, run by itself on any Node. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Checks, explains, takes a plugin of somebody's, serves and stops, on that `node`; `app` is the folder of the bundle. Throws where it does not. */
export async function runBundle(node: string, app: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-runs-'))
  const program = join(app, 'bin/postern.js')
  try {
    const postern = (...words: string[]) => execFileSync(node, [program, ...words], { cwd: folder, encoding: 'utf8' })
    const { version } = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8')) as { version: string } // the build wrote it
    assert.equal(postern('--version').trim(), version)
    writeFileSync(
      join(folder, 'gateway.yaml'),
      'listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\nplugins: [security-headers, openai, anthropic, gemini, demo, sticky-session, concurrency, failover]\n',
    )
    assert.match(postern('check'), /gateway\.yaml is well: 8 plugins/)
    assert.match(postern('explain'), /rankUpstreams +demo ↓ sticky-session ↓ concurrency ↓ failover|rankUpstreams/)
    // A plugin of somebody's, with nothing installed around it.
    mkdirSync(join(folder, 'own'))
    writeFileSync(
      join(folder, 'own/index.mjs'),
      `import { definePlugin } from 'postern/plugin'
       export default definePlugin({ name: 'own', contract: '1.0', config: { type: 'object' }, setup: () => ({}) })`,
    )
    writeFileSync(join(folder, 'own.yaml'), 'plugins: [./own, openai]\n')
    assert.match(postern('check', '--config', 'own.yaml'), /is well: 2 plugins/)
    const child = spawn(node, [program, 'run'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
    const url = await new Promise<string>((resolve, reject) => {
      let log = ''
      child.stdout.on('data', (chunk: Buffer) => {
        log += chunk.toString()
        const told = /"url":"([^"]+)"/.exec(log)?.[1]
        if (told) resolve(told)
      })
      child.once('exit', () => reject(new Error(`it has ended: ${log}`)))
    })
    const ask = async (path: string, body: object) => {
      const answer = await fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', connection: 'close' },
        body: JSON.stringify(body),
      })
      assert.equal(answer.status, 200, await answer.clone().text())
      return answer.text()
    }
    const messages = [{ role: 'user', content: 'Hello' }]
    assert.match(await ask('/v1/chat/completions', { model: 'demo', messages }), /"chat\.completion"/)
    assert.match(await ask('/v1/messages', { model: 'demo', max_tokens: 9, stream: true, messages }), /message_stop/)
    child.kill('SIGTERM')
    const [code] = (await once(child, 'exit')) as [number | null]
    assert.equal(code, 0)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
