import type { HashKeyRange } from '@shardwise/core/hash-key'
import type { PutRecordsResult } from '@shardwise/core/kinesis-port'
import type { Shard } from '@shardwise/core/shard-map'
import { describe, expect, test } from 'vitest'
import type { Entry } from './entry.js'
import { settle } from './settlement.js'
import { aggregateOf, entryOf, shardOf } from './testing/records.js'

// A parent of 0 to 99 that was split at 50.
const ranges: Record<string, HashKeyRange> = {
  parent: { start: 0n, end: 99n },
  left: { start: 0n, end: 49n },
  right: { start: 50n, end: 99n },
}
const known = (shardId: string): Shard | undefined => ranges[shardId] && shardOf(shardId, ranges[shardId])
const written = (ShardId: string): PutRecordsResult => ({ ShardId, SequenceNumber: '1' })
const delivered = (shardId: string, placement: string): object => ({ kind: 'delivered', shardId, sequenceNumber: '1', placement })

const [parent, left] = [shardOf('parent', ranges.parent), shardOf('left', ranges.left)]

describe('settle', () => {
  test.each<[string, Entry, PutRecordsResult, object]>([
    ['aggregate in the predicted shard', aggregateOf(parent, '10', '90'), written('parent'), delivered('parent', 'predicted')],
    ['aggregate in a child that holds all', aggregateOf(parent, '10', '49'), written('left'), delivered('left', 'elsewhere')],
    ['at the very edges of the child', aggregateOf(parent, '50', '99'), written('right'), delivered('right', 'elsewhere')],
    [
      'one member outside: all go again',
      aggregateOf(parent, '10', '20', '50'),
      written('left'),
      { kind: 'wrong-shard', shardId: 'left', placement: 'elsewhere' },
    ],
    [
      'the first inside, the last too, the middle not',
      aggregateOf(parent, '10', '60', '20'),
      written('left'),
      { kind: 'wrong-shard', shardId: 'left', placement: 'elsewhere' },
    ],
    [
      'in a shard that cannot have got its key',
      aggregateOf(left, '10', '20'),
      written('right'),
      { kind: 'wrong-shard', shardId: 'right', placement: 'keys-ignored' },
    ],
    ['aggregate in an unknown shard', aggregateOf(parent, '10', '20'), written('new'), { kind: 'hold', shardId: 'new' }],
    [
      'in a shard that has the predicted name in another stream',
      aggregateOf(shardOf('left', { start: 0n, end: 99n }), '10', '90'),
      written('left'),
      { kind: 'wrong-shard', shardId: 'left', placement: 'elsewhere' },
    ],
    // What a plain record may do, an aggregate may not, and be it of one.
    ['envelope of one in a child that holds it', aggregateOf(parent, '10'), written('left'), delivered('left', 'elsewhere')],
    [
      'envelope of one in a shard that cannot have got its key',
      aggregateOf(left, '10'),
      written('right'),
      { kind: 'wrong-shard', shardId: 'right', placement: 'keys-ignored' },
    ],
    ['envelope of one in an unknown shard', aggregateOf(parent, '10'), written('new'), { kind: 'hold', shardId: 'new' }],
    [
      'plain in the predicted shard',
      entryOf(parent, { explicitHashKey: '10' }),
      written('parent'),
      delivered('parent', 'predicted'),
    ],
    ['plain elsewhere', entryOf(parent, { explicitHashKey: '10' }), written('left'), delivered('left', 'elsewhere')],
    ['plain in an unknown shard', entryOf(parent, { explicitHashKey: '10' }), written('new'), delivered('new', 'elsewhere')],
    [
      'plain in a shard that cannot have got its key',
      entryOf(left, { explicitHashKey: '10' }),
      written('right'),
      delivered('right', 'keys-ignored'),
    ],
    ['without a prediction', entryOf(undefined), written('any'), delivered('any', 'predicted')],
    [
      'refused',
      entryOf(left),
      { ErrorCode: 'InternalFailure', ErrorMessage: 'm' },
      { kind: 'refused', code: 'InternalFailure', message: 'm' },
    ],
    ['no number, no error', entryOf(left), { ShardId: 'left' }, { kind: 'unclear' }],
    ['nothing at all', entryOf(left), {}, { kind: 'unclear' }],
    ['empty strings', entryOf(left), { ShardId: '', SequenceNumber: '' }, { kind: 'unclear' }],
  ])('%s', (_, entry, result, verdict) => {
    expect(settle(entry, result, known)).toEqual(verdict)
  })
})
