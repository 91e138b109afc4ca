import { expect, test } from 'vitest'
import { decideRetry, type RetryDecision } from './retry-policy.js'

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
