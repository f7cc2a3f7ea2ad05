/** What upstreams answer when they have had enough, and how long they should rest for it. */
import type { Headers } from './plugin.ts'

/** A Tuesday, noon in UTC, five in the morning at the Pacific coast. */
export const now = Date.UTC(2026, 2, 17, 12, 0, 0)
const inEpoch = (seconds: number) => String(now / 1000 + seconds)
const inIso = (seconds: number) => new Date(now + seconds * 1000).toISOString()
export const day = 86_400

/** What it is, the headers, the rest in seconds (null: none is told), and what else there is. */
export type Row = readonly [
  what: string,
  headers: Headers,
  rest: number | null,
  more?: { scope?: 'model'; status?: number; body?: unknown; source?: string },
]

/** By headers. */
export const byHeaders: Record<string, readonly Row[]> = {
  'Retry-After': [
    ['in seconds', { 'retry-after': '18' }, 18],
    ['in fractions of a second', { 'retry-after': '0.75' }, 0.75],
    ['with spaces around', { 'retry-after': ' 7 ' }, 7],
    ['as a date', { 'retry-after': 'Tue, 17 Mar 2026 12:00:30 GMT' }, 30],
    ['as a date of RFC 850', { 'retry-after': 'Tuesday, 17-Mar-26 12:01:00 GMT' }, 60],
    ['as a date of asctime', { 'retry-after': 'Tue Mar 17 12:00:05 2026' }, 5],
    ['as a date of asctime that is out of line', { 'retry-after': 'Sun Mar  22 12:00:05 2026' }, null],
    ['as a date of asctime early in a month', { 'retry-after': 'Thu Mar 19 12:00:00 2026' }, 2 * day],
    [
      'as a date, by the clock of the upstream',
      { 'retry-after': 'Tue, 17 Mar 2026 12:10:30 GMT', date: 'Tue, 17 Mar 2026 12:10:00 GMT' },
      30,
    ],
    [
      'as a date, by our clock where theirs is years out',
      { 'retry-after': 'Tue, 17 Mar 2026 12:00:30 GMT', date: 'Thu, 01 Jan 1970 00:00:00 GMT' },
      30,
    ],
    ['as a moment in seconds', { 'retry-after': inEpoch(90) }, 90],
    ['as a moment in ms', { 'retry-after': String(now + 45_000) }, 45],
    ['as an ISO date', { 'retry-after': inIso(12) }, 12],
    ['as a duration', { 'retry-after': '1m30s' }, 90],
    ['given twice', { 'retry-after': ['4', '9'] }, 4],
    ['of a month: believed for a week', { 'retry-after': String(30 * day) }, 7 * day],
    ['of a millisecond: the least there is', { 'retry-after': '0.001' }, 0.1],
    ['of zero: nothing to wait for', { 'retry-after': '0' }, null],
    ['of less than nothing', { 'retry-after': '-5' }, null],
    ['of a past date', { 'retry-after': 'Tue, 17 Mar 2026 11:59:30 GMT' }, null],
    ['of a past century', { 'retry-after': 'Sunday, 06-Nov-94 08:49:37 GMT' }, null],
    ['of a thousand years', { 'retry-after': 'Tue, 17 Mar 3026 12:00:00 GMT' }, null],
    ['that is a word', { 'retry-after': 'soon' }, null],
    ['that is empty', { 'retry-after': '' }, null],
    ['that is no number', { 'retry-after': 'NaN' }, null],
    ['that is without end', { 'retry-after': 'Infinity' }, null],
    ['in another number system', { 'retry-after': '0x10' }, null],
    ['in powers of ten', { 'retry-after': '1e3' }, null],
    ['of many digits', { 'retry-after': '9'.repeat(40) }, null],
    ['with a unit nobody knows', { 'retry-after': '5 parsecs' }, null],
    ['of a month that is none', { 'retry-after': 'Tue, 17 Foo 2026 12:00:30 GMT' }, null],
    ['of a 503', { 'retry-after': '30' }, 30, { status: 503 }],
    ['of a 500', { 'retry-after': '3' }, 3, { status: 500 }],
    ['of a 404 is not about limits', { 'retry-after': '30' }, null, { status: 404 }],
    ['of an answer that is none of errors', { 'retry-after': '30' }, null, { status: 200 }],
  ],
  'retry-after-ms': [
    ['in ms', { 'retry-after-ms': '1200' }, 1.2],
    ['goes before Retry-After, which is rounded', { 'retry-after-ms': '250', 'retry-after': '1' }, 0.25],
    ['that is garbage leaves Retry-After', { 'retry-after-ms': 'x', 'retry-after': '2' }, 2],
  ],
  'x-ratelimit': [
    [
      'whose requests are spent',
      { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s' },
      360,
      { scope: 'model' },
    ],
    [
      'whose tokens are spent',
      {
        'x-ratelimit-remaining-requests': '59',
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '20ms',
      },
      0.1,
      { scope: 'model', source: 'x-ratelimit-reset-tokens' },
    ],
    [
      'both of which are spent: the later one',
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '8.64s',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '1m2.5s',
      },
      62.5,
      { scope: 'model' },
    ],
    [
      'none of which is spent: the nearest',
      {
        'x-ratelimit-remaining-requests': '5',
        'x-ratelimit-reset-requests': '12ms',
        'x-ratelimit-remaining-tokens': '90',
        'x-ratelimit-reset-tokens': '3s',
      },
      0.1,
      { scope: 'model' },
    ],
    [
      'in hours',
      { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '1h1m1s' },
      3661,
      { scope: 'model' },
    ],
    [
      'as seconds',
      { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '10' },
      10,
      { scope: 'model' },
    ],
    ['as a moment in seconds', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inEpoch(20) }, 20],
    ['as a moment in ms', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(now + 5500) }, 5.5],
    ['as an ISO date', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inIso(33) }, 33],
    ['of the standard’s name', { 'ratelimit-remaining': '0', 'ratelimit-reset': '50' }, 50],
    ['that has passed', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inEpoch(-20) }, null],
    [
      'yields to Retry-After, and says that it is the model’s',
      { 'retry-after': '2', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s' },
      2,
      { scope: 'model', source: 'retry-after' },
    ],
    ['on a 503 is not what it is about', { 'x-ratelimit-reset-requests': '6m0s' }, null, { status: 503 }],
  ],
  'anthropic-ratelimit': [
    [
      'requests',
      { 'anthropic-ratelimit-requests-remaining': '0', 'anthropic-ratelimit-requests-reset': inIso(40) },
      40,
      { scope: 'model' },
    ],
    [
      'input tokens, while the others are not spent',
      {
        'anthropic-ratelimit-requests-remaining': '49',
        'anthropic-ratelimit-requests-reset': inIso(1),
        'anthropic-ratelimit-input-tokens-remaining': '0',
        'anthropic-ratelimit-input-tokens-reset': inIso(25),
        'anthropic-ratelimit-output-tokens-remaining': '8000',
        'anthropic-ratelimit-output-tokens-reset': inIso(90),
      },
      25,
      { scope: 'model', source: 'anthropic-ratelimit-input-tokens-reset' },
    ],
    [
      'tokens with a date that is none',
      { 'anthropic-ratelimit-tokens-remaining': '0', 'anthropic-ratelimit-tokens-reset': '2026-99-99T00:00:00Z' },
      null,
    ],
    [
      'unified, five hours rejected',
      {
        'anthropic-ratelimit-unified-status': 'rejected',
        'anthropic-ratelimit-unified-reset': inEpoch(7200),
        'anthropic-ratelimit-unified-5h-status': 'rejected',
        'anthropic-ratelimit-unified-5h-reset': inEpoch(7200),
        'anthropic-ratelimit-unified-5h-utilization': '1.0',
        'anthropic-ratelimit-unified-7d-status': 'allowed',
        'anthropic-ratelimit-unified-7d-reset': inEpoch(3 * day),
        'anthropic-ratelimit-unified-7d-utilization': '0.42',
      },
      7200,
    ],
    [
      'unified, seven days rejected, outweighs a short Retry-After',
      {
        'retry-after': '5',
        'anthropic-ratelimit-unified-7d-status': 'rejected',
        'anthropic-ratelimit-unified-7d-reset': inEpoch(3 * day),
      },
      3 * day,
    ],
    [
      'unified, all of it allowed: the windows are not why',
      {
        'anthropic-ratelimit-unified-status': 'allowed',
        'anthropic-ratelimit-unified-reset': inEpoch(7200),
        'anthropic-ratelimit-unified-5h-status': 'allowed_warning',
        'anthropic-ratelimit-unified-5h-reset': inEpoch(7200),
        'anthropic-ratelimit-unified-5h-utilization': '0.97',
      },
      null,
    ],
    [
      'unified, used up by its utilization alone',
      { 'anthropic-ratelimit-unified-5h-utilization': '1.03', 'anthropic-ratelimit-unified-5h-reset': inEpoch(600) },
      600,
    ],
    [
      'unified, half used in percent',
      { 'anthropic-ratelimit-unified-5h-utilization': '53', 'anthropic-ratelimit-unified-5h-reset': inEpoch(600) },
      null,
    ],
    ['unified, the reset alone', { 'anthropic-ratelimit-unified-reset': inEpoch(900) }, 900],
    [
      'unified, of one family of models',
      {
        'anthropic-ratelimit-unified-7d_opus-status': 'rejected',
        'anthropic-ratelimit-unified-7d_opus-reset': inEpoch(day),
      },
      day,
      { scope: 'model' },
    ],
    [
      'unified, no overage to be had',
      {
        'anthropic-ratelimit-unified-overage-status': 'rejected',
        'anthropic-ratelimit-unified-overage-reset': inEpoch(9 * day),
      },
      null,
    ],
  ],
  'x-codex': [
    [
      'the week is used up',
      {
        'x-codex-primary-used-percent': '40',
        'x-codex-primary-reset-after-seconds': '3600',
        'x-codex-secondary-used-percent': '100',
        'x-codex-secondary-reset-after-seconds': '200000',
      },
      200_000,
    ],
    [
      'five hours are used up',
      { 'x-codex-primary-used-percent': '100.0', 'x-codex-primary-reset-after-seconds': '3600' },
      3600,
    ],
    [
      'nothing is used up',
      { 'x-codex-primary-used-percent': '99', 'x-codex-primary-reset-after-seconds': '3600' },
      null,
    ],
  ],
}
