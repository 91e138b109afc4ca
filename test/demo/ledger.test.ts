import { describe, expect, test } from 'vitest'
import { copyHash, type DeliveredBatch, Ledger } from './ledger.js'
import { type DemoResult, passed } from './verdict.js'

type Delivery = readonly [row: number, origin: string, copy: number]

function batch(...deliveries: readonly Delivery[]): DeliveredBatch {
  return {
    shardId: 'shardId-000000000000',
    rows: Int32Array.from(deliveries, ([row]) => row),
    delays: Int32Array.from(deliveries, ([row]) => row * 10),
    origins: deliveries.map(([, origin]) => origin),
    copies: Uint32Array.from(deliveries, ([, , copy]) => copy),
  }
}

function ledgerOf(flights: number, ...deliveries: readonly Delivery[]): Ledger {
  const ledger = new Ledger(flights)
  for (const delivery of deliveries) ledger.record(batch(delivery))
  return ledger
}

describe('the ledger sees', () => {
  test.each<[string, readonly Delivery[], Partial<Ledger>]>([
    [
      'each row once, in order',
      [
        [0, 'ORD', 1],
        [1, 'LAX', 2],
        [2, 'ORD', 3],
      ],
      { delivered: 3, duplicates: 0, outOfOrder: 0 },
    ],
    [
      'a row that is missing',
      [
        [0, 'ORD', 1],
        [2, 'ORD', 3],
      ],
      { delivered: 2 },
    ],
    [
      'two rows of one key the wrong way round',
      [
        [2, 'ORD', 3],
        [0, 'ORD', 1],
      ],
      { delivered: 2, outOfOrder: 1 },
    ],
    [
      'two rows of two keys the other way round',
      [
        [1, 'LAX', 2],
        [0, 'ORD', 1],
      ],
      { delivered: 2, outOfOrder: 0 },
    ],
    [
      'the same copy again',
      [
        [0, 'ORD', 1],
        [0, 'ORD', 1],
      ],
      { delivered: 1, replayed: 1, resent: 0 },
    ],
    [
      'another copy of the same row',
      [
        [0, 'ORD', 1],
        [0, 'ORD', 9],
      ],
      { delivered: 1, replayed: 0, resent: 1 },
    ],
    [
      'an old row again, which is no disorder',
      [
        [0, 'ORD', 1],
        [2, 'ORD', 3],
        [0, 'ORD', 1],
      ],
      { outOfOrder: 0, duplicates: 1 },
    ],
    ['a row that was never put', [[7, 'ORD', 1]], { delivered: 0, unknown: 1 }],
  ])('%s', (_, deliveries, expected) => {
    expect(ledgerOf(3, ...deliveries)).toMatchObject(expected)
  })

  test('which rows are missing', () => {
    expect(ledgerOf(6, [0, 'ORD', 1], [3, 'ORD', 2]).missing(3)).toEqual([1, 2, 4])
  })

  test('the answer from first deliveries only', () => {
    const ledger = ledgerOf(3, [1, 'ORD', 1], [1, 'ORD', 1], [2, 'ORD', 2])
    expect(ledger.answer.busiest(1)).toEqual([{ origin: 'ORD', flights: 2, meanDelay: 15 }])
    expect(ledger.answer.equals(ledgerOf(3, [1, 'ORD', 1]).answer)).toBe(false)
    expect(ledger.answer.equals(ledgerOf(3, [2, 'ORD', 2], [1, 'ORD', 1]).answer)).toBe(true)
  })
})

test('copies differ by shard, sequence number and sub-sequence number', () => {
  const hashes = [copyHash('a', '1', 0), copyHash('a', '1', 1), copyHash('a', '2', 0), copyHash('b', '1', 0)]
  expect(new Set(hashes).size).toBe(4)
  expect(hashes).not.toContain(0)
})

describe('the verdict', () => {
  const good: DemoResult = {
    records: 10,
    acknowledged: 10,
    delivered: 10,
    lost: 0,
    duplicates: 3,
    duplicatesReplayed: 3,
    duplicatesResent: 0,
    outOfOrder: 0,
    answerMatches: true,
    seconds: 1,
    kinesisRecords: 2,
    putRecordsRequests: 2,
    workersStopped: 1,
    workersKilled: 1,
    splits: 1,
    merges: 1,
    polls: 40,
    subscriptions: 0,
  }

  test.each<[string, Partial<DemoResult>, boolean]>([
    ['all well, duplicates allowed', {}, true],
    ['one lost', { lost: 1, delivered: 9 }, false],
    ['one out of order', { outOfOrder: 1 }, false],
    ['another answer', { answerMatches: false }, false],
    ['one not acknowledged', { acknowledged: 9 }, false],
  ])('%s', (_, difference, verdict) => {
    expect(passed({ ...good, ...difference })).toBe(verdict)
  })
})
