import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseExposition } from './metrics.fixture.ts'
import { openMetrics } from './metrics.ts'
import { processMetrics } from './metrics-process.ts'

/** What a rendering says, by name and the value of the one label. */
function told(text: string): Map<string, number> {
  const samples = [...parseExposition(text).values()].flatMap((family) => family.samples)
  return new Map(samples.map(({ name, labels, value }) => [[name, ...Object.values(labels)].join(' '), value]))
}

describe('the metrics of the process', () => {
  test('say what runs, since when, and what it takes', () => {
    const metrics = openMetrics()
    const running = processMetrics(metrics, { version: '1.2.3' })
    const says = told(metrics.render())
    running.close()
    assert.equal(says.get(`postern_build_info 1.2.3 ${process.version}`), 1)
    assert.ok(Math.abs(says.get('postern_uptime_seconds')! - process.uptime()) < 5)
    for (const kind of ['rss', 'heap_used', 'heap_total', 'external', 'array_buffers'])
      assert.ok(says.get(`postern_memory_bytes ${kind}`)! > 0, kind)
    assert.ok(says.get('postern_cpu_seconds_total user')! > 0)
  })

  test('show an event loop that was held up, once', async () => {
    const metrics = openMetrics()
    const running = processMetrics(metrics, { version: '1' })
    try {
      metrics.render()
      await sleep(30) // the monitor needs a turn to begin again
      const until = performance.now() + 300
      while (performance.now() < until);
      await sleep(30)
      const lag = told(metrics.render()).get('postern_event_loop_lag_seconds 1')!
      assert.ok(lag > 0.2, `${lag} s`)
    } finally {
      running.close()
    }
  })

  test('count CPU time up, and handles that have gone as 0', async () => {
    const metrics = openMetrics()
    const running = processMetrics(metrics, { version: '1' })
    try {
      const timer = setTimeout(() => {}, 60_000)
      const before = told(metrics.render())
      clearTimeout(timer)
      const after = told(metrics.render())
      assert.ok(after.get('postern_cpu_seconds_total user')! >= before.get('postern_cpu_seconds_total user')!)
      assert.equal(after.get('postern_handles Timeout'), before.get('postern_handles Timeout')! - 1)
    } finally {
      running.close()
    }
  })

  test('stand still when closed, and go on where they stood when declared again', () => {
    const metrics = openMetrics()
    processMetrics(metrics, { version: '1' }).close()
    assert.doesNotMatch(metrics.render(), /postern_memory_bytes\{/)
    const running = processMetrics(metrics, { version: '1' })
    assert.match(metrics.render(), /postern_memory_bytes\{/)
    running.close()
  })
})
