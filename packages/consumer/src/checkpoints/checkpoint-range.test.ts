import { describe, expect, test } from 'vitest'
import { type CheckpointTarget, positionInRange } from './checkpoint-range.js'
import { type Position, SHARD_END, sequencePosition, TRIM_HORIZON } from './position.js'

const at = (sequenceNumber: string, subSequenceNumber = 0) => ({ sequenceNumber, subSequenceNumber })
const RANGE = {
  stream: 'flights',
  shardId: 's1',
  last: sequencePosition('10', 3),
  delivered: sequencePosition('12'),
  largest: sequencePosition('12', 5),
}

/** KCL's rule, scenario 27: last <= new <= largest. */
describe('a checkpoint', () => {
  test.each<[string, CheckpointTarget | undefined, Position]>([
    ['at the last one', at('10', 3), sequencePosition('10', 3)],
    ['one member further', at('10', 4), sequencePosition('10', 4)],
    ['in between', at('11'), sequencePosition('11')],
    ['at the largest', at('12', 5), sequencePosition('12', 5)],
    ['without a record: at what was delivered', undefined, sequencePosition('12')],
    ['at a position', sequencePosition('11', 2), sequencePosition('11', 2)],
    ['of a record of the shard', { ...at('11'), shardId: 's1' }, sequencePosition('11')],
    [
      'by the ARN of its stream',
      { ...at('11'), stream: 'arn:aws:kinesis:eu-west-1:123456789012:stream/flights' },
      sequencePosition('11'),
    ],
  ])('%s', (_name, record, position) => {
    expect(positionInRange(RANGE, record)).toEqual(position)
  })

  test.each<[string, CheckpointTarget, string]>([
    ['one member before the last', at('10', 2), 'must not lie before the last one, 10/3, got 10/2'],
    ['before the last, with fewer digits', at('9'), 'must not lie before the last one, 10/3, got 9/0'],
    ['one member beyond the largest', at('12', 6), 'must not lie beyond what may be completed, which ends at 12/5, got 12/6'],
    ['beyond, with more digits', at('100'), 'ends at 12/5, got 100/0'],
    ['of another shard', { ...at('11'), shardId: 's2' }, 'must be of a record of that shard, got one of s2 of flights'],
    ['of another stream', { ...at('11'), shardId: 's1', stream: 'weather' }, 'got one of s1 of weather'],
    ['a negative sub-sequence number', at('11', -1), 'from 0 up, got -1'],
    ['the end of the shard, which is not a record', SHARD_END, 'ends at 12/5, got SHARD_END'],
    ['the beginning', TRIM_HORIZON, 'before the last one, 10/3, got TRIM_HORIZON'],
    ['no sequence number', at('TRIM_HORIZON'), 'got "TRIM_HORIZON"'],
  ])('refused: %s', (_name, record, message) => {
    const check = (): unknown => positionInRange(RANGE, record)
    expect(check).toThrow(RangeError)
    expect(check).toThrow(message)
  })

  test('before anything was read, and at the end', () => {
    const fresh = { stream: 'flights', shardId: 's1', last: TRIM_HORIZON, delivered: TRIM_HORIZON, largest: TRIM_HORIZON }
    expect(positionInRange(fresh, undefined)).toEqual(TRIM_HORIZON)
    expect(positionInRange(fresh, TRIM_HORIZON)).toEqual(TRIM_HORIZON)
    expect(() => positionInRange(fresh, at('1'))).toThrow('ends at TRIM_HORIZON, got 1/0')
  })
})
