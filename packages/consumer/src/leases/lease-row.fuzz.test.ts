import fc from 'fast-check'
import { afterEach, expect, it } from 'vitest'
import { parseLeader, parseWorker } from './kcl-evidence.js'
import { parseRow, type Row } from './lease-row.js'

const NAMES = [
  ...[
    'leaseKey',
    'leaseCounter',
    'leaseOwner',
    'checkpointOwner',
    'checkpoint',
    'checkpointSubSequenceNumber',
    'pendingCheckpoint',
  ],
  ...[
    'pendingCheckpointSubSequenceNumber',
    'pendingCheckpointState',
    'ownerSwitchesSinceCheckpoint',
    'parentShardId',
    'childShardIds',
  ],
  ...[
    'startingHashKey',
    'endingHashKey',
    'streamName',
    'swStream',
    'swStreamCreated',
    'swStartAt',
    'swOwner',
    'swNext',
    'swLeaver',
  ],
  ...['wid', 'lut', 'entityType', 'ownerName', 'recordVersionNumber', 'leaseDuration', '__proto__', 'constructor', 'toString'],
]
const text = fc.oneof(
  fc.constantFrom(
    '',
    'TRIM_HORIZON',
    'LATEST',
    'SHARD_END',
    'AT_TIMESTAMP',
    '7',
    '-1',
    '1e400',
    'NaN',
    '0x10',
    '9'.repeat(400),
    '\ud800',
    'shardId-000000000001',
  ),
  fc.constantFrom('a:123456789012:s:1:shardId-0', '123456789012:s:1:shardId-0', ':::', '__proto__', 'x'.repeat(100_000)),
  fc.string(),
)
/** As DynamoDB gives attributes, of any type, also of a newer one. */
const attribute = fc.oneof(
  text.map((S) => ({ S })),
  text.map((N) => ({ N })),
  fc.array(text, { maxLength: 5 }).map((SS) => ({ SS })),
  fc.uint8Array().map((B) => ({ B })),
  fc.constantFrom({ NULL: true }, { BOOL: false }, { M: { S: { S: 'x' } } }, { L: [] }, {}, { $unknown: ['X', 1] }),
)
const rows = fc
  .array(fc.tuple(fc.oneof(fc.constantFrom(...NAMES), fc.string()), attribute), { maxLength: 25 })
  // As JSON.parse makes it: a name of `__proto__` is a name.
  .map((pairs) => Object.fromEntries(pairs) as Row)
const good: Row = {
  leaseKey: { S: 'shardId-000000000001' },
  leaseCounter: { N: '7' },
  checkpoint: { S: 'TRIM_HORIZON' },
  checkpointSubSequenceNumber: { N: '0' },
}

afterEach(() => {
  expect(Reflect.get({}, 'S')).toBeUndefined()
})

it.each([
  ['one stream', { name: 'flights', arn: 'arn:aws:kinesis:eu-west-1:123456789012:stream/flights' }],
  ['several streams', undefined],
])('rows of any content are a lease, another application’s, or malformed: %s', (_, stream) => {
  fc.assert(
    fc.property(rows, fc.boolean(), (given, isNearly) => {
      const row = isNearly ? { ...good, ...given } : given
      const before = JSON.stringify(row)
      const parsed = parseRow(row, stream)
      expect(JSON.stringify(row)).toBe(before)
      expect(typeof parsed.kind).toBe('string')
      // A message goes into events and logs.
      if (parsed.kind !== 'lease') return
      const { lease } = parsed
      expect(typeof lease.leaseKey).toBe('string')
      expect(Number.isSafeInteger(lease.leaseCounter) && lease.leaseCounter >= 0).toBe(true)
      expect(Number.isSafeInteger(lease.ownerSwitchesSinceCheckpoint)).toBe(true)
      for (const name of [lease.leaseOwner, lease.checkpointOwner, lease.shardwiseOwner, lease.nextOwner]) {
        if (name !== undefined) expect(typeof name).toBe('string')
      }
      expect(Array.isArray(lease.parentShardIds) && Array.isArray(lease.childShardIds)).toBe(true)
      if (lease.range !== undefined) expect(lease.range.start >= 0n && lease.range.end < 2n ** 128n).toBe(true)
    }),
    { numRuns: 5000 },
  )
})

it('rows of Java’s workers and leaders likewise', () => {
  fc.assert(
    fc.property(rows, (row) => {
      for (const found of [parseLeader(row), parseWorker(row, 'wid'), parseWorker(row, 'leaseKey')]) {
        if (found !== undefined) expect(typeof found).toBe('object')
      }
    }),
    { numRuns: 5000 },
  )
})
