import { expect, test } from 'vitest'
import { decideRetry, failsAtOnce, type RetryDecision, spentBy } from './retry-policy.js'

const options = { baseMs: 100, maxMs: 1000 }

test.each<[string, { attempts: number; expiresAt: number }, boolean, number, number, RetryDecision]>([
  ['first wait', { attempts: 1, expiresAt: 9e9 }, true, 0, 0.5, { kind: 'retry', at: 50 }],
  ['no wait at the least', { attempts: 5, expiresAt: 9e9 }, true, 7, 0, { kind: 'retry', at: 7 }],
  ['doubles', { attempts: 3, expiresAt: 9e9 }, true, 0, 0.5, { kind: 'retry', at: 200 }],
  ['up to the cap', { attempts: 50, expiresAt: 9e9 }, true, 0, 0.5, { kind: 'retry', at: 500 }],
  ['a last attempt before the end', { attempts: 50, expiresAt: 100 }, true, 0, 0.5, { kind: 'retry', at: 50 }],
  ['the end', { attempts: 1, expiresAt: 100 }, true, 100, 0.5, { kind: 'expire' }],
  ['for good', { attempts: 1, expiresAt: 9e9 }, false, 0, 0.5, { kind: 'fail' }],
])('%s', (_, entry, retryable, now, random, decision) => {
  expect(decideRetry(entry, retryable, now, options, () => random)).toEqual(decision)
})

test.each<[string, number, number, 'time' | 'attempts' | undefined]>([
  ['it may go on', 2, 999, undefined],
  ['its time is over', 2, 1000, 'time'],
  ['its attempts are used up', 3, 999, 'attempts'],
  ['both: the time is what is named', 3, 1000, 'time'],
])('%s', (_, attempts, now, verdict) => {
  expect(spentBy({ attempts: attempts + 5, pardoned: 5, expiresAt: 1000 }, now, { baseMs: 1, maxMs: 1, maxAttempts: 3 })).toBe(
    verdict,
  )
})

test.each([
  ['ProvisionedThroughputExceededException', true],
  ['ProvisionedThroughputExceeded', true],
  ['ThrottlingException', false],
  ['KMSThrottlingException', false],
  ['InternalFailure', false],
])('failIfThrottled: %s ends the record: %s', (code, ends) => {
  expect([failsAtOnce(code, { failIfThrottled: true }), failsAtOnce(code, { failIfThrottled: false })]).toEqual([ends, false])
})
