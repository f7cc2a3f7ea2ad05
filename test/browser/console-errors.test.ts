/** Captured errors in the console, in a real browser. `npm run test:browser`. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { browser } from '../../plugins/console/browser.fixture.ts'
import { ask, scene, shoot, textOf } from './console.fixture.ts'

describe('captured errors in the console', () => {
  test('are shown as two where two are alike, however often it looks', async () => {
    await using it = await scene()
    const line = JSON.stringify({ at: new Date().toISOString(), exchange: 'same', message: 'alike', status: 500 })
    await writeFile(it.errors, `${line}\n${line}\n`)
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    await page.until(`document.querySelectorAll('#error-rows tr').length === 2`)
    await writeFile(it.errors, `${line}\n${line}\n${line.replace('alike', 'unlike').replace('same', 'other')}\n`)
    // What the page does when it is told a key, with all its parts.
    await page.evaluate(
      `document.getElementById('login-form').dispatchEvent(new Event('submit', { cancelable: true }))`,
    )
    await page.until(`${textOf('error-rows')}.includes('unlike')`)
    assert.equal(await page.evaluate(`document.querySelectorAll('#error-rows tr').length`), 3)
  })

  test('are shown as they are asked for, all of one, and the trail of its exchange', async () => {
    await using it = await scene()
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    await page.until(`${textOf('connection-text')} === 'live'`)
    // It comes by itself: the exchange ends while the page is open.
    await ask(it.gw, 'with-error')
    await page.until(`${textOf('error-rows')}.includes('recovered')`)
    await page.until(`document.querySelector('#error-chart svg rect') !== null`)
    assert.match(await page.evaluate(textOf('error-legend')), /upstream \(1\)/)
    assert.equal(await page.evaluate(`document.querySelectorAll('main img').length`), 0, 'text, not markup')

    await page.evaluate(`document.getElementById('error-upstream').value = 'nobody'`)
    await page.evaluate(`document.getElementById('error-filter').requestSubmit()`)
    await page.until(`document.querySelectorAll('#error-rows tr').length === 0`)
    await page.evaluate(`document.getElementById('error-upstream').value = ''`)
    await page.evaluate(`document.getElementById('error-filter').requestSubmit()`)
    const button = `document.querySelector('[aria-label^="Details of error"]')`
    await page.until(button)
    await page.evaluate(`${button}.focus()`)
    await page.press('Enter')
    await page.until(`document.getElementById('error').open`)
    const text = await page.evaluate<string>(textOf('error-body'))
    assert.match(text, /with-error/)
    assert.match(text, /bad: 429 after .* ms: no <img src=x/)
    await shoot(page, 'error')
    await page.evaluate(`document.querySelector('#error-body button').click()`)
    await page.until(`document.getElementById('explanation').open && !document.getElementById('error').open`)
    assert.match(await page.evaluate(textOf('explanation-body')), /good of bad, good .*: answered 200/)
    assert.deepEqual(await page.complaints(), [])
  })
})
