import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  AT_TIMESTAMP,
  comparePositions,
  LATEST,
  type Position,
  SHARD_END,
  sequencePosition,
  TRIM_HORIZON,
} from '../checkpoints/position.js'
import type { NewLease } from './lease.js'
import { newRow, parseRow, type Row, updateExpressions } from './lease-row.js'
import {
  endChange,
  handOverChange,
  renewChange,
  requestHandoffChange,
  takeChange,
  withdrawHandoffChange,
} from './lease-writes.js'
import { aLease } from './testing/lease-rows.js'

const ARN = 'arn:aws:kinesis:eu-west-1:123456789012:stream/flights'
const STREAM = { name: 'flights', arn: ARN }
const ROW: Row = {
  leaseKey: { S: 's1' },
  leaseCounter: { N: '7' },
  checkpoint: { S: '42' },
  checkpointSubSequenceNumber: { N: '3' },
}
const LEASE = aLease('s1', { leaseCounter: 7, checkpoint: sequencePosition('42', 3), range: undefined })

describe('a row', () => {
  test.each<[string, Row, Partial<typeof LEASE>]>([
    ['with the least that KCL writes', {}, {}],
    ['without a sub-sequence number', { checkpointSubSequenceNumber: { NULL: true } }, { checkpoint: sequencePosition('42') }],
    ['with both owners', { leaseOwner: { S: 'b' }, checkpointOwner: { S: 'a' } }, { leaseOwner: 'b', checkpointOwner: 'a' }],
    ['that names its shard', { shardId: { S: 'shard' } }, { shardId: 'shard' }],
    ['of this stream', { swStream: { S: ARN }, entityType: { S: 'LEASE' } }, {}],
    ['of this stream, by its name', { swStream: { S: 'flights' } }, {}],
    ['with a time', { checkpoint: { S: 'LATEST' }, swStartAt: { N: '5' } }, { checkpoint: LATEST, startAt: 5 }],
    [
      'with relatives',
      { parentShardId: { SS: ['a', 'b'] }, childShardIds: { SS: ['c'] } },
      { parentShardIds: ['a', 'b'], childShardIds: ['c'] },
    ],
    [
      'with the whole hash space',
      { startingHashKey: { S: '0' }, endingHashKey: { S: `${MAX_HASH_KEY}` } },
      { range: { start: 0n, end: MAX_HASH_KEY } },
    ],
    ['with half of a range', { startingHashKey: { S: '0' } }, {}],
    ['with a range that is none', { startingHashKey: { S: '0' }, endingHashKey: { S: `${MAX_HASH_KEY + 1n}` } }, {}],
    [
      'with a prepared checkpoint',
      {
        ...{ pendingCheckpoint: { S: '43' }, pendingCheckpointSubSequenceNumber: { N: '7' } },
        pendingCheckpointState: { B: new Uint8Array([1, 2]) },
      },
      { pendingCheckpoint: { position: sequencePosition('43', 7), state: new Uint8Array([1, 2]) } },
    ],
    [
      'with one at the end of the shard, as KCL prepares it there',
      { pendingCheckpoint: { S: 'SHARD_END' }, pendingCheckpointSubSequenceNumber: { N: '0' } },
      { pendingCheckpoint: { position: SHARD_END, state: undefined } },
    ],
    [
      'with a number for its state, as KCL creates it',
      { pendingCheckpoint: { S: '43' }, pendingCheckpointState: { N: '3' } },
      { pendingCheckpoint: { position: sequencePosition('43'), state: undefined } },
    ],
    ['with none', { pendingCheckpoint: { NULL: true }, pendingCheckpointState: { B: new Uint8Array([1]) } }, {}],
    ['with a count of switches that is none', { ownerSwitchesSinceCheckpoint: { N: '-1' } }, {}],
  ])('%s', (_name, attributes, changes) => {
    expect(parseRow({ ...ROW, ...attributes }, STREAM)).toEqual({ kind: 'lease', lease: { ...LEASE, ...changes } })
  })

  test.each<[string, Row]>([
    ['a counter that is no number', { leaseCounter: { S: '7' } }],
    ['a counter below 0', { leaseCounter: { N: '-1' } }],
    ['a counter that cannot be counted on', { leaseCounter: { N: '9007199254740992' } }],
    ['a checkpoint that is no text', { checkpoint: { N: '42' } }],
    ['an empty checkpoint', { checkpoint: { S: '' } }],
    ['a checkpoint with leading zeros', { checkpoint: { S: '042' } }],
    ['a sentinel in the wrong case', { checkpoint: { S: 'latest' } }],
    ['the name of what every object has', { checkpoint: { S: 'constructor' } }],
    ['a sub-sequence number below 0', { checkpointSubSequenceNumber: { N: '-1' } }],
    ['a prepared checkpoint that is no position', { pendingCheckpoint: { S: 'soon' } }],
    ['a prepared checkpoint that is no text', { pendingCheckpoint: { N: '43' } }],
    ['a fraction of a sub-sequence number', { checkpointSubSequenceNumber: { N: '0.5' } }],
  ])('that cannot be used, and says what is wrong: %s', (_name, attributes) => {
    const [attribute, value] = Object.entries(attributes)[0]!
    const parsed = parseRow({ ...ROW, ...attributes }, STREAM)
    expect(parsed).toMatchObject({ kind: 'malformed', malformed: { leaseKey: 's1' } })
    const reason = parsed.kind === 'malformed' ? parsed.malformed.reason : ''
    expect(reason).toContain(JSON.stringify(value))
    expect(reason).toMatch(attribute.startsWith('checkpoint') ? 'checkpoint' : attribute)
  })

  test.each<[string, Row]>([
    ['another kind', { entityType: { S: 'WORKER_METRIC_STATS' } }],
    ['another kind, of another stream', { entityType: { S: 'X' }, swStream: { S: 'weather' } }],
    ['a lease in all but the key', { leaseKey: { N: '1' } }],
  ])('that is no lease: %s', (_name, attributes) => {
    expect(parseRow({ ...ROW, ...attributes }, STREAM)).toEqual({ kind: 'other' })
  })

  test('of another stream is that, also when it cannot be read', () => {
    const foreign = { ...ROW, swStream: { S: 'weather' }, checkpoint: { S: 'NOWHERE' } }
    expect(parseRow(foreign, STREAM)).toEqual({ kind: 'foreign', leaseKey: 's1', of: 'stream weather' })
  })

  test.each([
    ['another region', 'arn:aws:kinesis:us-east-1:123456789012:stream/flights'],
    ['another account', 'arn:aws:kinesis:eu-west-1:210987654321:stream/flights'],
  ])('of a stream with our name in %s is of another stream, unless nobody told us where ours is', (_name, arn) => {
    const row = { ...ROW, swStream: { S: arn } }
    expect(parseRow(row, STREAM)).toEqual({ kind: 'foreign', leaseKey: 's1', of: `stream ${arn}` })
    expect(parseRow(row, { name: 'flights', arn: undefined }).kind).toBe('lease')
    expect(parseRow(row, { name: 'lights', arn: undefined }).kind).toBe('foreign')
  })
})

const position: fc.Arbitrary<Position> = fc.oneof(
  fc.constantFrom(TRIM_HORIZON, LATEST, AT_TIMESTAMP, SHARD_END),
  fc.tuple(fc.bigInt(0n, 2n ** 186n), fc.nat()).map(([sequence, sub]) => sequencePosition(`${sequence}`, sub)),
)
const hashKey = fc.bigInt(0n, MAX_HASH_KEY)
const newLease: fc.Arbitrary<NewLease> = fc.record({
  leaseKey: fc.string({ minLength: 1 }),
  checkpoint: position,
  parentShardIds: fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 2 }),
  range: fc.option(
    fc.tuple(hashKey, hashKey).map(([a, b]) => (a < b ? { start: a, end: b } : { start: b, end: a })),
    { nil: undefined },
  ),
  startAt: fc.option(fc.maxSafeNat(), { nil: undefined }),
})

test('property: what is created is what is read, but for a range that KCL could not read', () => {
  const check = (lease: NewLease): void => {
    const { leaseKey, range, ...rest } = lease
    const readable = range !== undefined && range.start < range.end ? range : undefined
    expect(parseRow(newRow(lease, STREAM), STREAM)).toEqual({
      kind: 'lease',
      lease: aLease(leaseKey, { ...rest, range: readable }),
    })
    expect(parseRow(newRow(lease, { name: 'weather', arn: undefined }), STREAM)).toMatchObject({ kind: 'foreign', leaseKey })
  }
  fc.assert(fc.property(newLease, check), {
    examples: [[{ leaseKey: 's1', checkpoint: LATEST, parentShardIds: [], range: { start: 7n, end: 7n }, startAt: 0 }]],
  })
})

const text = fc.oneof(fc.string(), fc.constantFrom('LEASE', 'SHARD_END', ARN, 'flights', '0', '7', '-1', '1e3', '__proto__'))
const attribute: fc.Arbitrary<AttributeValue> = fc.oneof(
  text.map((S) => ({ S })),
  fc.oneof(fc.integer(), fc.double()).map((N) => ({ N: `${N}` })),
  fc.array(text, { minLength: 1 }).map((SS) => ({ SS })),
  fc.uint8Array().map((B) => ({ B })),
  fc.boolean().map((BOOL) => ({ BOOL })),
  fc.constant({ NULL: true as const }),
  text.map((S) => ({ M: { S: { S } } })),
  text.map((S) => ({ L: [{ S }] })),
)
const NAMES = [
  'leaseKey',
  'shardId',
  'leaseOwner',
  'checkpointOwner',
  'leaseCounter',
  'ownerSwitchesSinceCheckpoint',
  'checkpoint',
  'checkpointSubSequenceNumber',
  'parentShardId',
  'childShardIds',
  'startingHashKey',
  'endingHashKey',
  'entityType',
  'pendingCheckpoint',
  'pendingCheckpointSubSequenceNumber',
  'pendingCheckpointState',
  'streamName',
  'swStartAt',
  'swOwner',
  'swStream',
] as const

/** A good row, or none, with anything at all in place of some attributes. */
const anyRow: fc.Arbitrary<Row> = fc
  .tuple(
    fc.constantFrom(ROW, {}),
    fc.dictionary(fc.constantFrom(...NAMES), attribute, { maxKeys: 4 }),
    fc.dictionary(fc.string(), attribute),
  )
  .map(([base, wrong, extra]) => ({ ...extra, ...base, ...wrong }))

test('property: whatever stands in a row, it is a sound lease or it is said not to be one', () => {
  const kinds = new Set<string>()
  const check = (row: Row): void => {
    const parsed = parseRow(row, STREAM)
    kinds.add(parsed.kind)
    if (parsed.kind === 'malformed') expect(parsed.malformed.leaseKey).toBe(row.leaseKey?.S)
    if (parsed.kind !== 'lease') return
    const { lease } = parsed
    const numbers = [lease.leaseCounter, lease.ownerSwitchesSinceCheckpoint, lease.startAt ?? 0]
    expect(numbers.every((each) => Number.isSafeInteger(each) && each >= 0)).toBe(true)
    const owners = [lease.leaseOwner, lease.checkpointOwner, lease.shardwiseOwner].filter((each) => each !== undefined)
    const texts = [lease.leaseKey, lease.shardId, ...owners, ...lease.parentShardIds, ...lease.childShardIds]
    expect(texts.every((each) => typeof each === 'string')).toBe(true)
    expect(comparePositions(lease.checkpoint, lease.checkpoint)).toBe(0)
    // Unchanged by what we do not know of: nothing in the row but its own attributes has a say.
    const known = Object.fromEntries(NAMES.flatMap((name) => (Object.hasOwn(row, name) ? [[name, row[name]!]] : [])))
    expect(parseRow(known, STREAM)).toEqual(parsed)
  }
  fc.assert(fc.property(anyRow, check), { numRuns: 1_000 })
  expect([...kinds].sort()).toEqual(['foreign', 'lease', 'malformed', 'other'])
})

describe('a write, as DynamoDB is told', () => {
  const owned = aLease('s1', { leaseOwner: 'a', shardwiseOwner: 'a', leaseCounter: 7 })
  const asked = { ...owned, leaseOwner: 'b', checkpointOwner: 'a' }
  const at = sequencePosition('77', 2)
  const changes = {
    'take of a free lease': takeChange(aLease('s1'), 'b'),
    'take in a handoff': takeChange(asked, 'c'),
    renew: renewChange(owned, 'a', {}),
    'renew with a checkpoint': renewChange(owned, 'a', { checkpoint: at }),
    prepare: renewChange(owned, 'a', { pending: { position: at, state: new Uint8Array([1]) } }),
    'prepare without a state': renewChange(owned, 'a', { pending: { position: at, state: undefined } }),
    discard: renewChange(owned, 'a', { pending: null }),
    'hand over to nobody': handOverChange(owned, 'a', { to: undefined, checkpoint: at }),
    'hand over': handOverChange(asked, 'a', { to: 'b' }),
    'hand over to one that has not asked, by one that leaves': handOverChange(owned, 'a', {
      to: 'b',
      offer: true,
      leaving: true,
    }),
    'renew, leaving': renewChange(owned, 'a', { leaving: true }),
    end: endChange(owned, 'a', ['s2']),
    'end without children': endChange(owned, 'a', []),
    request: requestHandoffChange(owned, 'b'),
    withdraw: withdrawHandoffChange(asked, 'b'),
  }

  test.each(Object.entries(changes))(
    '%s: what it mentions is what it defines, and it names no attribute twice',
    (_name, change) => {
      const { UpdateExpression, ConditionExpression, ...defined } = updateExpressions(change)
      const mentioned = new Set(`${UpdateExpression} ${ConditionExpression}`.match(/[#:]\w+/g))
      const { ExpressionAttributeNames: names, ExpressionAttributeValues: values } = defined
      expect([...mentioned].sort()).toEqual([...Object.keys(names), ...Object.keys(values)].sort())
      const updated = UpdateExpression.match(/#\w+/g)!
      expect(updated).toHaveLength(new Set(updated).size)
      expect(ConditionExpression).toMatch(/^attribute_exists\(#leaseKey\) AND /)
      // An empty set is refused by DynamoDB.
      for (const { SS } of Object.values(values)) expect(SS).not.toEqual([])
    },
  )

  test('a checkpoint removes all of what was prepared, and so does discarding; nothing else does', () => {
    for (const [name, change] of Object.entries(changes)) {
      const removed = updateExpressions(change).UpdateExpression.split(' REMOVE ')[1] ?? ''
      const count = removed.match(/pendingCheckpoint/g)?.length ?? 0
      const all = change.set.checkpoint !== undefined || name === 'discard'
      expect([name, count]).toEqual([name, all ? 3 : name === 'prepare without a state' ? 1 : 0])
    }
  })

  test('what is prepared is in KCL’s attributes and types, the sub-sequence number included; a state of before does not stay', () => {
    const { UpdateExpression, ExpressionAttributeValues: values } = updateExpressions(changes.prepare)
    expect(UpdateExpression).not.toContain('REMOVE')
    expect(values).toMatchObject({
      ':new_pendingCheckpoint': { S: '77' },
      ':new_pendingCheckpointSubSequenceNumber': { N: '2' },
      ':new_pendingCheckpointState': { B: new Uint8Array([1]) },
    })
    expect(updateExpressions(changes['prepare without a state']).UpdateExpression).toMatch(/ REMOVE #pendingCheckpointState$/)
  })

  test('renew with a checkpoint, in full', () => {
    expect(updateExpressions(changes['renew with a checkpoint'])).toEqual({
      UpdateExpression:
        'SET #checkpoint = :new_checkpoint, #checkpointSubSequenceNumber = :new_checkpointSubSequenceNumber, ' +
        '#leaseCounter = :new_leaseCounter, #ownerSwitchesSinceCheckpoint = :new_ownerSwitchesSinceCheckpoint ' +
        'REMOVE #pendingCheckpoint, #pendingCheckpointSubSequenceNumber, #pendingCheckpointState',
      ConditionExpression:
        'attribute_exists(#leaseKey) AND #leaseCounter = :counter AND ' +
        '(#checkpointOwner = :actualOwner OR (attribute_not_exists(#checkpointOwner) AND #leaseOwner = :actualOwner))',
      ExpressionAttributeNames: Object.fromEntries(
        [
          'leaseKey',
          'checkpoint',
          'checkpointSubSequenceNumber',
          'leaseCounter',
          'ownerSwitchesSinceCheckpoint',
          'pendingCheckpoint',
          'pendingCheckpointSubSequenceNumber',
          'pendingCheckpointState',
          'checkpointOwner',
          'leaseOwner',
        ].map((name) => [`#${name}`, name]),
      ),
      ExpressionAttributeValues: {
        ':new_checkpoint': { S: '77' },
        ':new_checkpointSubSequenceNumber': { N: '2' },
        ':new_leaseCounter': { N: '8' },
        ':new_ownerSwitchesSinceCheckpoint': { N: '0' },
        ':counter': { N: '7' },
        ':actualOwner': { S: 'a' },
      },
    })
  })
})
