import type { ConsumedRecord } from '@shardwise/consumer'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Item } from './dynamodb-expression.js'
import { usual } from './fleet-member.js'
import { fleetSettings } from './fleet-settings.js'
import { LeaseTruth } from './lease-truth.js'
import { RecordHandling, type Tenure } from './record-handling.js'
import { RecordLedger } from './record-ledger.js'
import { SimulatedProcess } from './simulated-process.js'
import { VirtualTime } from './virtual-time.js'

const SHARD = 'shardId-000000000000'
const RANGE = { StartingHashKey: '0', EndingHashKey: `${2n ** 128n - 1n}` }
const FIRST = 100
const signal = new AbortController().signal
let violations: string[]
let ledger: RecordLedger
let truth: LeaseTruth
let row: Item | undefined
let now: number

beforeEach(() => {
  violations = []
  row = undefined
  now = 0
  const violated = (what: string): void => void violations.push(what)
  ledger = new RecordLedger({
    ...{ listing: () => [{ ShardId: SHARD, HashKeyRange: RANGE }], now: () => 0, severalStreams: false, dropsDuplicates: false },
    ...{ decode: (bytes) => Buffer.from(bytes).toString(), violated },
  })
  ledger.opened('flights', 0)
  truth = new LeaseTruth({
    ...{ failoverTimeMs: 1_000, fastest: 1, now: () => now, isWell: () => false, createdAt: () => 0, violated },
    ...{ firstOpen: () => undefined, isJava: () => false, javaIsTakenFrom: false },
  })
})

/** Three records, each with its key, as they lie in the shard. */
function write(): void {
  for (let i = 0; i < 3; i++) {
    const given = { partitionKey: `k-${i}`, explicitHashKey: undefined, text: `p-${i} x`, hasHeaders: true, hasRecordId: true }
    ledger.put({ id: `p-${i}`, producer: 'p', stream: 'flights', given, key: `k-${i}`, rank: i, isOrdered: true, at: 0 })
    const written = { Records: [{ SequenceNumber: `${FIRST + i}`, ShardId: SHARD }] }
    const input = { StreamName: 'flights', Records: [{ PartitionKey: `k-${i}`, Data: Buffer.from(given.text) }] }
    ledger.written('flights', input, written, undefined)
  }
}

function landed(after: Item, expression: string, by: string): void {
  const before = row
  row = after
  const operation = before === undefined ? 'PutItem' : 'UpdateItem'
  truth.landed({ by, sentAt: now, operation, table: 't', key: SHARD, expression, before, after })
}

function taken(by: string, counter: number): void {
  if (row === undefined) landed({ leaseCounter: { N: '0' }, checkpoint: { S: 'TRIM_HORIZON' } }, '', by)
  const owner = { leaseOwner: { S: `${by}:1` } }
  landed({ ...row, ...owner, leaseCounter: { N: `${counter}` } }, 'SET #swOwner = :swOwner', by)
}

function checkpointed(by: string, counter: number, i: number): void {
  landed({ ...row, leaseCounter: { N: `${counter}` }, checkpoint: { S: `${FIRST + i}` } }, 'SET', by)
}

/** Whoever has it: nobody renews it any more. */
function die(): void {
  now += 1_000
}

function givenUp(by: string, counter: number): void {
  const { leaseOwner: _, ...free } = row!
  landed({ ...free, leaseCounter: { N: `${counter}` } }, 'SET', by)
}

function handlingOf(name: string, more: object = {}): RecordHandling {
  const time = new VirtualTime()
  const process = new SimulatedProcess(time, () => 0.99, { name, rate: 1, wallSkewMs: 0 })
  const settings = { ...fleetSettings(1), codec: 'bytes', checkpoint: 'auto', order: 'shard', handler: 'batch', ...more } as const
  const conduct = usual()
  const violated = (what: string): void => void violations.push(what)
  const handling = new RecordHandling({ process, time, settings, conduct, ledger, truth, violated, trace: () => {} })
  handling.worker = `${name}:1`
  return handling
}

function record(i: number, more: object = {}): ConsumedRecord<unknown> {
  const place = { sequenceNumber: `${FIRST + i}`, subSequenceNumber: 0, stream: 'flights', shardId: SHARD }
  const content = { data: Buffer.from(`p-${i} x`), partitionKey: `k-${i}`, headers: { put: `p-${i}` }, recordId: `id-${i}` }
  return { ...place, ...content, ...more } as unknown as ConsumedRecord<unknown>
}

function complete(handling: RecordHandling, generation: number, ...indexes: number[]): Tenure {
  const call = handling.begin(
    indexes.map((i) => record(i)),
    { shardId: SHARD, generation, signal },
  )
  call.complete()
  return call.tenure
}

describe('what a handler is given', () => {
  test.each<[string, object, RegExp]>([
    ['other data', { data: Buffer.from('p-1 x') }, /the data p-1 x/],
    ['another partition key', { partitionKey: 'l' }, /the partition key l/],
    ['an explicit hash key', { explicitHashKey: '1' }, /the explicit hash key 1/],
    ['no headers', { headers: {} }, /the headers of nobody/],
    ['headers of another', { headers: { put: 'p-1' } }, /the headers of p-1/],
    ['no id', { recordId: undefined }, /the id undefined/],
  ])('%s is seen', (_, more, said) => {
    write()
    taken('c0', 1)
    handlingOf('c0').begin([record(0, more)], { shardId: SHARD, generation: 1, signal })
    expect(violations).toEqual([expect.stringMatching(said)])
  })

  test.each(['auto', 'manual', 'two-phase'])('with checkpoints %s: again within one tenure is seen', (checkpoint) => {
    write()
    taken('c0', 1)
    const handling = handlingOf('c0', { checkpoint })
    complete(handling, 1, 0, 1)
    complete(handling, 1, 2)
    expect(violations).toEqual([])
    complete(handling, 1, 1)
    expect(violations).toEqual([expect.stringContaining('p-1 again within one tenure')])
  })

  test('after a death what the checkpoint covers does not come again, and what it does not cover may', () => {
    write()
    taken('c0', 1)
    complete(handlingOf('c0'), 1, 0, 1, 2)
    checkpointed('c0', 2, 1)
    die()
    taken('c1', 3)
    complete(handlingOf('c1'), 3, 2)
    expect(violations).toEqual([])
    die()
    taken('c2', 4)
    complete(handlingOf('c2'), 4, 1)
    expect(violations).toEqual([expect.stringContaining('which the checkpoint that its lease was taken with covers')])
  })

  test.each<[string, string, number[], Partial<Tenure>, number]>([
    ['nothing comes again', 'shard', [], {}, 1],
    ['nor with calls side by side', 'key', [], {}, 1],
    ['nor what is before one that was not completed', 'key', [2], {}, 1],
    ['but what is behind one that was not completed does', 'key', [0], {}, 0],
    ['by key and while it was paused: nobody closed the gaps', 'key', [], { wasHeld: true }, 0],
    ['but not by shard while it was paused', 'shard', [], { wasHeld: true }, 1],
    ['and when nobody knew any more whose the lease was', 'shard', [], { isInDoubt: true }, 0],
  ])('after a lease was given up %s', (_, order, open, how, seen) => {
    write()
    taken('c0', 1)
    const handling = handlingOf('c0', { order })
    for (const i of open) handling.begin([record(i)], { shardId: SHARD, generation: 1, signal })
    Object.assign(complete(handling, 1, 1), how)
    givenUp('c0', 2)
    taken('c1', 3)
    complete(handlingOf('c1', { order }), 3, 1)
    expect(violations).toHaveLength(seen)
  })
})

describe('the ledger', () => {
  test('knows no checkpoint where nothing was written', () => {
    write()
    expect(ledger.firstOpen(SHARD, `${FIRST + 1}/0`, undefined)?.put.id).toBe('p-0')
    expect(violations).toEqual([])
    ledger.firstOpen(SHARD, `${FIRST}/7`, undefined)
    expect(violations).toEqual([expect.stringContaining('where nothing was written')])
  })

  test('knows of which shard something has expired; an empty one may have gone as a whole', () => {
    const expired = (): boolean[] => [SHARD, 'shardId-000000000001'].map((shardId) => ledger.hasExpired('flights', shardId))
    write()
    expect(expired()).toEqual([false, false])
    ledger.expire(-1)
    expect(expired()).toEqual([false, true])
    ledger.expire(1)
    expect(expired()).toEqual([true, true])
  })
})
