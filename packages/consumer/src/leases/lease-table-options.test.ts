import { InvalidOptionError } from '@shardwise/core/options'
import { expect, test } from 'vitest'
import { checkLeaseTableOptions, type LeaseTableOptions } from './lease-table-options.js'

test.each<{ given: LeaseTableOptions | undefined; expected: object }>([
  { given: undefined, expected: { create: true, billing: 'on-demand', tags: [], deletionProtection: false } },
  {
    given: { create: undefined, billing: undefined, tags: undefined, deletionProtection: undefined },
    expected: { create: true, billing: 'on-demand', tags: [], deletionProtection: false },
  },
  { given: { billing: { readCapacity: undefined } }, expected: { billing: { readCapacity: 10, writeCapacity: 10 } } },
  { given: { billing: { readCapacity: 5, writeCapacity: 1 } }, expected: { billing: { readCapacity: 5, writeCapacity: 1 } } },
  {
    given: { tags: { a: '', ['k'.repeat(128)]: 'v'.repeat(256) } },
    expected: {
      tags: [
        ['a', ''],
        ['k'.repeat(128), 'v'.repeat(256)],
      ],
    },
  },
  { given: { create: false, deletionProtection: true }, expected: { create: false, deletionProtection: true } },
])('$given', ({ given, expected }) => {
  expect(checkLeaseTableOptions(given)).toMatchObject(expected)
})

test.each<{ given: object; option: string; message: string }>([
  { given: { billing: 'PROVISIONED' }, option: 'leaseTableOptions.billing', message: "'on-demand' or {" },
  { given: { billing: null }, option: 'leaseTableOptions.billing', message: 'got null' },
  { given: { billing: { readCapacity: 0 } }, option: 'leaseTableOptions.billing.readCapacity', message: 'from 1' },
  { given: { billing: { writeCapacity: 1.5 } }, option: 'leaseTableOptions.billing.writeCapacity', message: '1.5' },
  { given: { billing: { read: 5 } }, option: 'leaseTableOptions.billing.read', message: 'readCapacity, writeCapacity' },
  { given: { tags: ['team'] }, option: 'leaseTableOptions.tags', message: 'an object of texts' },
  { given: { tags: { 'aws:team': 'x' } }, option: 'leaseTableOptions.tags', message: 'aws:' },
  { given: { tags: { '': 'x' } }, option: 'leaseTableOptions.tags', message: '1 to 128' },
  { given: { tags: { ['k'.repeat(129)]: 'x' } }, option: 'leaseTableOptions.tags', message: '1 to 128' },
  { given: { tags: { team: 5 } }, option: 'leaseTableOptions.tags.team', message: 'up to 256' },
  { given: { tags: { team: 'v'.repeat(257) } }, option: 'leaseTableOptions.tags.team', message: 'up to 256' },
  {
    given: { tags: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`t${i}`, ''])) },
    option: 'leaseTableOptions.tags',
    message: 'at most 50',
  },
  { given: { create: 'no' }, option: 'leaseTableOptions.create', message: 'true or false' },
  { given: { deletionProtection: 1 }, option: 'leaseTableOptions.deletionProtection', message: 'true or false' },
  { given: { pointInTimeRecovery: true }, option: 'leaseTableOptions.pointInTimeRecovery', message: 'no such option' },
])('refuses $given', ({ given, option, message }) => {
  const check = (): object => checkLeaseTableOptions(given as LeaseTableOptions)
  expect(check).toThrow(InvalidOptionError)
  expect(check).toThrow(expect.objectContaining({ option, message: expect.stringContaining(message) }))
})
