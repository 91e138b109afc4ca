import type { Shard } from '@shardwise/core/shard-map'
import { describe, expect, test } from 'vitest'
import { AT_TIMESTAMP, LATEST, SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import type { Lease } from '../leases/lease.js'
import { aLease } from '../leases/testing/lease-rows.js'
import { formerLeases, latestCreation } from './former-leases.js'

const RANGE = { start: 0n, end: 9n }

/** 0 was split into 1 and 2; 3 is a shard of its own. */
const SHARDS: readonly Shard[] = [
  { shardId: '0', range: RANGE, startingSequenceNumber: '100', endingSequenceNumber: '200' },
  { shardId: '1', range: RANGE, startingSequenceNumber: '200', parentShardId: '0' },
  { shardId: '2', range: RANGE, startingSequenceNumber: '200', parentShardId: '0' },
  { shardId: '3', range: RANGE, startingSequenceNumber: '100' },
]
const NOW = 5_000

function former(leases: readonly Lease[], createdAt: number | undefined = NOW): { ids: string[]; certain: boolean } {
  const found = formerLeases(leases, SHARDS, createdAt)
  return { ids: found.leases.map(({ shardId }) => shardId), certain: found.certain }
}

describe('rows of ours', () => {
  test.each<[string, Partial<Lease>, string[]]>([
    ['of this stream, whatever stands in them', { streamCreatedAt: NOW, checkpoint: SHARD_END }, []],
    ['of a later stream, which we do not know yet', { streamCreatedAt: NOW + 1_000, checkpoint: SHARD_END }, []],
    ['of this stream, by a protocol that rounds otherwise', { streamCreatedAt: NOW - 1_000, checkpoint: SHARD_END }, []],
    ['of an earlier one', { streamCreatedAt: NOW - 2_000, checkpoint: sequencePosition('150') }, ['3']],
    ['of an earlier one, at its beginning', { streamCreatedAt: NOW - 2_000, checkpoint: LATEST }, ['3']],
  ])('%s', (_name, changes, ids) => {
    expect(former([aLease('3', changes)])).toEqual({ ids, certain: true })
  })

  test('say nothing by their date where the service does not tell one', () => {
    const rows = [aLease('3', { streamCreatedAt: 1_000, checkpoint: sequencePosition('150') })]
    expect(formerLeases(rows, SHARDS, undefined).leases).toEqual([])
  })

  test('the latest stream that any row knows of is the present one', () => {
    const rows = [aLease('1', { streamCreatedAt: 7_000 }), aLease('2', { streamCreatedAt: 6_000 }), aLease('3')]
    expect(latestCreation(rows, 5_000)).toBe(7_000)
    expect(latestCreation(rows, 8_000)).toBe(8_000)
    expect(latestCreation(rows, undefined)).toBe(7_000)
    expect(latestCreation([aLease('3')], undefined)).toBe(undefined)
  })
})

describe('rows that KCL made', () => {
  test.each<[string, Lease, boolean]>([
    ['at a record of the shard', aLease('3', { checkpoint: sequencePosition('150') }), false],
    ['at its very first record', aLease('3', { checkpoint: sequencePosition('100') }), false],
    ['before its first record', aLease('3', { checkpoint: sequencePosition('99') }), true],
    ['at the end of a closed shard', aLease('0', { checkpoint: SHARD_END }), false],
    ['at the end of an open one', aLease('3', { checkpoint: SHARD_END }), true],
    ['with the shard’s hash range', aLease('3', { range: RANGE }), false],
    ['with another', aLease('3', { range: { start: 0n, end: 8n } }), true],
    ['without any', aLease('3', { range: undefined }), false],
    ['of a shard that is not listed (any more)', aLease('7', { checkpoint: SHARD_END }), false],
    ['that have not begun', aLease('3', { checkpoint: LATEST }), false],
  ])('%s', (_name, lease, is) => {
    expect(former([lease])).toEqual({ ids: is ? [lease.shardId] : [], certain: !is })
  })

  test('one that gives itself away makes those doubtful that say too little', () => {
    const rows = [
      aLease('3', { checkpoint: SHARD_END }),
      aLease('0', { checkpoint: SHARD_END }),
      aLease('1', { checkpoint: AT_TIMESTAMP }),
      aLease('2', { checkpoint: sequencePosition('250') }),
      aLease('7', { checkpoint: sequencePosition('250') }),
    ]
    expect(former(rows)).toEqual({ ids: ['3', '0', '1', '7'], certain: false })
    expect(former(rows.slice(1))).toEqual({ ids: [], certain: true })
  })

  test('a row of ours of an earlier stream does as well, and rows of ours of this one stay', () => {
    const rows = [
      aLease('3', { streamCreatedAt: NOW - 2_000, checkpoint: SHARD_END }),
      aLease('0', { checkpoint: TRIM_HORIZON }),
      aLease('1', { streamCreatedAt: NOW }),
    ]
    expect(former(rows)).toEqual({ ids: ['3', '0'], certain: false })
  })
})

test('the end of a shard that is open in the listing, but has children there, is its end', () => {
  const shards = SHARDS.map(({ endingSequenceNumber: _, ...shard }) => shard)
  expect(formerLeases([aLease('0', { checkpoint: SHARD_END })], shards, NOW).leases).toEqual([])
})
