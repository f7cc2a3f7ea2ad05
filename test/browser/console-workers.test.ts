/** The console of several workers in a real browser. `npm run test:browser`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { browser } from '../../plugins/console/browser.fixture.ts'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { GatewayProcess } from '../slow/gateway-process.fixture.ts'
import { allServe, chat, settings, workers } from '../slow/workers.fixture.ts'
import { textOf } from './console.fixture.ts'

const rows = `document.querySelectorAll('#exchange-rows tr').length`

test('the console says whose exchanges it shows, and shows those of another worker', async () => {
  await using upstream = await fakeUpstream(json(200, { id: 'x' }))
  await using gateway = await GatewayProcess.begin(settings([upstream]))
  // One after the other on new connections: each worker has its turn.
  for (let at = 0; at < 3 * workers; at++) await (await chat(gateway.url, undefined, { connection: 'close' })).text()
  const served = (worker: number) =>
    gateway.lines.filter((line) => line.msg === 'exchange' && line.worker === worker).length
  await using chromium = await browser()
  const page = await chromium.open(`${gateway.adminUrl}/console`)
  await page.until(`!document.getElementById('worker-choice').hidden`)
  assert.equal(await page.evaluate(textOf('worker-of')), `of ${workers}, and what it has seen`)
  assert.equal(
    await page.evaluate(`[...document.getElementById('worker').options].map(({ value }) => value).join()`),
    '1,2,3',
  )
  const choose = (worker: number) =>
    page.evaluate(
      `(() => { const choice = document.getElementById('worker'); choice.value = '${worker}'; choice.dispatchEvent(new Event('change')) })()`,
    )
  for (const worker of [1, 2, 3, 1]) {
    await choose(worker)
    await page.until(`${rows} === ${served(worker)} && ${textOf('connection-text')} === 'live'`)
  }

  // Of one that is gone another takes its place.
  await choose(2)
  await page.until(`${rows} === ${served(2)}`)
  assert.deepEqual(await page.complaints(), [])
  const victim = (await allServe(gateway))[1]
  process.kill(victim?.pid ?? 0, 'SIGKILL')
  await allServe(gateway)
  await page.until(`${textOf('connection-text')} === 'live'`)
  await page.until(`document.getElementById('worker').options.length === ${workers}`)
  // Nothing but what was asked of the one who was gone: its stream was cut, and some answers are 503.
  const complaints = await page.complaints()
  assert.deepEqual(
    complaints.filter((said) => !/"source":"network".*\/console\/data\/[^"]*worker=2/.test(said)),
    [],
  )
})
