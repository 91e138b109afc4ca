import { expect, it } from 'vitest'
import * as consumer from './index.js'

it('exports exactly this', () => {
  expect(Object.keys(consumer).sort()).toEqual([
    'Consumer',
    'ConsumerRanError',
    'ConsumerStartError',
    'ConsumerStoppingError',
    'FailedAtError',
    'LeaseLostError',
    'LeaseTableError',
    'MemoryLeaseStore',
    'bytes',
    'compressed',
    'encrypted',
    'json',
    'kmsDataKeys',
    'leaseTableDefinition',
    'stopOnSignals',
    'text',
  ])
})
