/** The console in a real browser. `npm run test:browser`. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { browser } from '../../plugins/console/browser.fixture.ts'
import { ask, focused, scene, shoot, textOf } from './console.fixture.ts'

describe('the console', () => {
  test('shows every part, what happens while it is open, and breaks no rule of its policy', async () => {
    await using it = await scene()
    await ask(it.gw, 'first')
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    await page.until(`${textOf('exchange-rows')}.includes('/v1/chat/completions')`)
    await page.until(`${textOf('upstream-rows')}.includes('good')`)
    assert.equal(await page.evaluate(`document.querySelectorAll('#exchange-rows tr').length`), 1)

    await ask(it.gw, 'second', '<img src=x onerror=alert(1)>')
    await page.until(`document.querySelectorAll('#exchange-rows tr').length === 2`)
    await page.until(`${textOf('exchange-rows')}.includes('<img src=x')`)
    assert.equal(await page.evaluate(`document.querySelectorAll('main img').length`), 0, 'text, not markup')

    await page.until(`${textOf('gate-rows')}.includes('session_hash_dual_write_old')`)
    await page.until(`${textOf('runs')}.includes('plugins:')`)
    await page.until(`document.querySelector('#chart svg rect') !== null`)
    await writeFile(it.gw.file, 'plugins: [nobody-knows]\nlisten: 127.0.0.1:0\n')
    await it.gw.sidecar.reload()
    await page.until(`${textOf('problems')}.includes('nobody-knows')`)
    assert.match(await page.evaluate(textOf('tile-configuration')), /refused/)
    await page.until(`${textOf('tile-upstreams')} === '1 of 2'`)
    await shoot(page)
    assert.deepEqual(await page.complaints(), [])
    // They would be heard of.
    const style = `document.head.append(Object.assign(document.createElement('style'), { textContent: 'p { color: red }' }))`
    await page.evaluate(style)
    await page.until(`refused.some((one) => one.startsWith('style-src'))`)
    await assert.rejects(page.evaluate(`document.body.innerHTML = '<p>markup</p>'`), /TrustedHTML/)
  })

  test('explains an exchange, and gives the keyboard back where it was', async () => {
    await using it = await scene()
    await ask(it.gw, 'explain-me')
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    const button = `document.querySelector('[aria-label="Explain exchange explain-me"]')`
    await page.until(button)
    await page.evaluate(`${button}.focus()`)
    await page.press('Enter')
    await page.until(`document.getElementById('explanation').open`)
    const text = await page.evaluate<string>(textOf('explanation-body'))
    assert.match(text, /POST \/v1\/chat\/completions from 127\.0\.0\.1/)
    assert.match(text, /bad of bad, good .*: answered 429/)
    assert.match(text, /good of bad, good .*: answered 200/)
    await shoot(page, 'explained')
    await page.press('Escape')
    await page.until(`!document.getElementById('explanation').open`)
    // Rows are kept, not made anew, whatever has happened meanwhile.
    await ask(it.gw, 'another')
    await page.until(`document.querySelectorAll('#exchange-rows tr').length === 2`)
    assert.equal(await focused(page), 'Explain exchange explain-me')
    assert.deepEqual(await page.complaints(), [])
  })

  test('sets an upstream aside, and lets it be asked again', async () => {
    await using it = await scene()
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    const button = (name: string) => `document.querySelector('[aria-label="${name}"]')`
    await page.until(button('Set good aside'))
    await page.evaluate(`${button('Set good aside')}.click()`)
    await page.until(`${textOf('action')}.startsWith('good is set aside until')`)
    await page.until(button('Let good be asked again'))
    assert.match(await page.evaluate(textOf('upstream-rows')), /good\s+openai\s+set aside until/)
    await ask(it.gw, 'while-aside')
    await page.until(`${textOf('exchange-rows')}.includes('429')`)
    await page.evaluate(`${button('Let good be asked again')}.click()`)
    await page.until(button('Set good aside'))
    await ask(it.gw, 'after')
    await page.until(`${textOf('exchange-rows')}.includes('200')`)
    await page.evaluate(`document.getElementById('session').value = 'address@x:openai:0123'`)
    await page.evaluate(`document.getElementById('flush-form').requestSubmit()`)
    await page.until(`${textOf('flushed')}.startsWith('0 let go')`)
    assert.deepEqual(await page.complaints(), [])
  })

  test('ends the rest of an upstream, by keyboard alone', async () => {
    await using it = await scene()
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    await page.until(`${textOf('connection-text')} === 'live'`)
    await ask(it.gw, 'meets-the-limit')
    await ask(it.gw, 'passes-it-over')
    const button = `document.querySelector('[aria-label="Let bad be asked again"]')`
    await page.until(button)
    assert.match(await page.evaluate(textOf('upstream-rows')), /bad\s+openai\s+is resting until/)
    await page.evaluate(`document.getElementById('minutes').focus()`)
    // The table itself can be scrolled; its first button is next.
    for (let step = 0; step < 2; step++) await page.press('Tab')
    assert.equal(await focused(page), 'Let bad be asked again')
    await page.press('Enter')
    await page.until(`${textOf('action')} === 'bad is asked again.'`)
    await page.until(`document.querySelector('[aria-label="Set bad aside"]')`)
    assert.equal(await focused(page), 'Set bad aside', 'the keyboard stays where it was')
    await ask(it.gw, 'asks-it-again', 'gpt-5', 'another')
    const told = (await (await fetch(`${it.gw.adminUrl}/explain/asks-it-again`)).json()) as Record<string, unknown> // as it tells
    assert.equal((told.attempts as { upstream: string }[])[0]?.upstream, 'bad')
    assert.deepEqual(await page.complaints(), [])
  })

  test('is walked through by keyboard in the order in which it is read', async () => {
    await using it = await scene()
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    await page.until(`document.querySelectorAll('#upstream-rows tr').length === 2`)
    const order: string[] = []
    for (let step = 0; step < 19; step++) {
      await page.press('Tab')
      order.push(await focused(page))
    }
    const scrolls = await page.evaluate<string[]>(
      `[...document.querySelectorAll('#exchanges .scroll, #upstreams .scroll')].map((one) => one.innerText)`,
    )
    const header = 'Skip to the exchanges,Exchanges,Upstreams,Sessions,Usage,Errors,Gates,Configuration'.split(',')
    const exchanges = ['only-failed', 'pause', 'find', 'Explain', scrolls[0]]
    const upstreams = ['minutes', scrolls[1], 'Set bad aside', 'Set good aside']
    assert.deepEqual(order, [...header, ...exchanges, ...upstreams, 'session', 'Let it go'])
    await page.evaluate(`document.querySelector('.skip').focus()`)
    await page.press('Enter')
    await page.until(`document.activeElement.id === 'main'`)
  })

  test('names its parts for those who do not see them', async () => {
    await using it = await scene()
    await ask(it.gw, 'x')
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    await page.until(`document.querySelectorAll('#exchange-rows tr').length === 1`)
    const unnamed = `[...document.querySelectorAll('button, input, select, a, section, [role=region], nav, [role=img]')]
      .filter((one) => !one.closest('[hidden]') && !(one.ariaLabel || one.labels?.length || one.innerText?.trim() ||
        document.getElementById(one.getAttribute('aria-labelledby') ?? '')?.innerText))
      .map((one) => one.outerHTML)`
    assert.deepEqual(await page.evaluate(unnamed), [])
    assert.equal(
      await page.evaluate(`[...document.querySelectorAll('thead th')].every((one) => one.scope === 'col')`),
      true,
    )
    const landmarks = `[...document.querySelectorAll('header, nav, main')].map((one) => one.localName)`
    assert.deepEqual(await page.evaluate(landmarks), ['header', 'nav', 'main'])
    assert.equal(
      await page.evaluate(`document.querySelector('#announcement[aria-live=polite]').innerText !== ''`),
      true,
    )
    assert.equal(await page.evaluate(`document.documentElement.lang`), 'en')
  })

  test('fits a narrow screen: only tables and texts scroll sideways', async () => {
    await using it = await scene()
    await ask(it.gw, 'x')
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    await page.resize(360, 780)
    await writeFile(it.gw.file, `plugins: [nobody-knows]\nlisten: "${'very-'.repeat(60)}long:0"\n`)
    await it.gw.sidecar.reload()
    await page.until(`${textOf('problems')}.includes('nobody-knows')`)
    // A scroll bar may take some of it.
    assert.ok((await page.evaluate<number>(`document.documentElement.scrollWidth`)) <= 360)
  })

  test('asks for the key where there is one, and forgets it with the page', async () => {
    await using it = await scene('an-admin-key-of-some-length')
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    const open = `!document.getElementById('login').hidden`
    await page.until(`${open} && document.activeElement.id === 'key'`)
    assert.equal(await page.evaluate(textOf('exchange-rows')), '')
    // One that was asked with the wrong key is refused only when the page has the right one.
    await page.evaluate(`window.late = Promise.withResolvers(); window.wasLate = false; const go = window.fetch
      window.fetch = async (path, options) => {
        const isLate = path.includes('gates') && String(options?.headers?.authorization).includes('wrong')
        if (isLate) await window.late.promise
        const answer = await go(path, options)
        if (isLate) setTimeout(() => (window.wasLate = true), 100)
        return answer
      }`)
    await page.type('a-wrong-key')
    await page.press('Enter')
    await page.until(`${open} && document.getElementById('key').value === ''`)
    await page.until(`document.activeElement.id === 'key'`)
    await page.type('an-admin-key-of-some-length')
    await page.press('Enter')
    await page.until(`${textOf('connection-text')} === 'live'`)
    await page.until(`${textOf('upstream-rows')}.includes('good')`)
    await page.evaluate(`window.late.resolve()`)
    await page.until('window.wasLate')
    assert.equal(await page.evaluate(open), false)
    assert.equal(await page.evaluate(`localStorage.length + sessionStorage.length + document.cookie.length`), 0)
    await page.evaluate(`location.reload()`)
    await page.until(`${open} && document.activeElement.id === 'key'`)
  })

  test('goes on after a reload of the configuration, without being loaded again', async () => {
    await using it = await scene()
    await using chromium = await browser()
    const page = await chromium.open(`${it.gw.adminUrl}/console`)
    await page.until(`${textOf('connection-text')} === 'live'`)
    await it.gw.sidecar.reload()
    await ask(it.gw, 'after-reload')
    await page.until(`document.querySelectorAll('#exchange-rows tr').length === 1`)
  })
})
