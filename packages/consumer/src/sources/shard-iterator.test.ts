import { describe, expect, it } from 'vitest'
import { AT_TIMESTAMP, LATEST, SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { type IteratorStart, iteratorStart, type Place } from './shard-iterator.js'

const T = Date.UTC(2026, 0, 1)

describe('iteratorStart', () => {
  it.each<{ name: string; place: Place; start: IteratorStart }>([
    {
      name: 'a checkpoint, which may be in mid-aggregate: AT, never AFTER',
      place: { kind: 'start', position: sequencePosition('49', 3), startAt: undefined },
      start: { ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber: '49' },
    },
    {
      name: 'a fetched record',
      place: { kind: 'after', sequenceNumber: '50' },
      start: { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: '50' },
    },
    {
      name: 'trim horizon',
      place: { kind: 'start', position: TRIM_HORIZON, startAt: undefined },
      start: { ShardIteratorType: 'TRIM_HORIZON' },
    },
    { name: 'an expired place', place: { kind: 'oldest' }, start: { ShardIteratorType: 'TRIM_HORIZON' } },
    {
      name: 'latest, as fixed in the lease',
      place: { kind: 'start', position: LATEST, startAt: T },
      start: { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(T) },
    },
    {
      name: 'latest of a lease that KCL made',
      place: { kind: 'start', position: LATEST, startAt: undefined },
      start: { ShardIteratorType: 'LATEST' },
    },
    {
      name: 'a timestamp',
      place: { kind: 'start', position: AT_TIMESTAMP, startAt: T },
      start: { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(T) },
    },
    {
      name: 'a timestamp of a lease that KCL made, and nobody knows which',
      place: { kind: 'start', position: AT_TIMESTAMP, startAt: undefined },
      start: { ShardIteratorType: 'TRIM_HORIZON' },
    },
  ])('$name', ({ place, start }) => {
    expect(iteratorStart(place)).toEqual(start)
  })

  it('refuses a shard that has ended', () => {
    expect(() => iteratorStart({ kind: 'start', position: SHARD_END, startAt: undefined })).toThrow(TypeError)
  })
})
