import type { PlantedBug } from './planted-bug.js'

export const PRODUCER_BUGS: readonly PlantedBug[] = [
  {
    name: 'acknowledges per record and not per aggregate',
    edits: [
      {
        find: "if (entry.isAggregate && !entry.fits(shard.range)) return { kind: 'wrong-shard', shardId, placement }",
        replace: '',
      },
    ],
    caughtBy: ['acknowledged records are in aggregates that readers accept'],
  },
  {
    name: 'believes its prediction where it does not know the shard',
    edits: [{ find: "return entry.isAggregate ? { kind: 'hold', shardId } :", replace: 'return' }],
    caughtBy: ['acknowledged records are in aggregates that readers accept'],
  },
  {
    name: 'forgets the shard map at each refresh, with what is in flight',
    edits: [
      {
        find: 'this.#wanted.list = true\n      this.#wanted.closedToo ||= closedToo',
        replace: 'this.#directory = new ShardDirectory()\n      this.#wanted.list = true',
      },
      {
        find: "if (shard === undefined) {\n    return entry.isAggregate ? { kind: 'hold', shardId } :",
        replace: 'if (shard === undefined) {\n    return',
      },
    ],
    caughtBy: [
      'acknowledged records are in aggregates that readers accept',
      'of a key that is in order one entry is under way',
      'first copies are written in the order of the puts',
    ],
  },
  {
    name: 'lets entries of one key overtake each other',
    edits: [
      {
        find: 'else lane.blocked.push(entry)\n    this.#queued++',
        replace: 'else lane.queue.push(entry)\n    this.#queued++',
      },
    ],
    caughtBy: ['of a key that is in order one entry is under way', 'first copies are written in the order of the puts'],
  },
  {
    name: 'has two entries of one shard under way where order is kept',
    edits: [{ find: 'if (unsettled > 0) return Number.POSITIVE_INFINITY', replace: '' }],
    caughtBy: ['of a key that is in order one entry is under way', 'first copies are written in the order of the puts'],
  },
  {
    name: 'starts a child’s lane while the parent’s is in flight',
    edits: [
      {
        find: 'return behind.length > 0 ? Number.POSITIVE_INFINITY : lane.notBefore',
        replace: 'return lane.notBefore',
      },
    ],
    caughtBy: ['of a key that is in order one entry is under way', 'first copies are written in the order of the puts'],
  },
  {
    name: 'takes an entry that was refused for one that was written',
    edits: [
      {
        find: "return { kind: 'refused', code: result.ErrorCode, message: result.ErrorMessage ?? 'no message' }",
        replace: "return { kind: 'delivered', shardId: 'shardId-000000000000', sequenceNumber: '1', placement: 'predicted' }",
      },
    ],
    caughtBy: ['acknowledged records are where they were said to be'],
  },
  {
    name: 'acknowledges all members of an aggregate as its first',
    edits: [
      {
        find: 'record.succeed({ shardId, sequenceNumber, subSequenceNumber: i,',
        replace: 'record.succeed({ shardId, sequenceNumber, subSequenceNumber: 0,',
      },
      {
        find: 'subSequenceNumber: i, attempts: before',
        replace: 'subSequenceNumber: 0, attempts: before',
      },
    ],
    caughtBy: ['acknowledged records are where they were said to be'],
  },
  {
    name: 'says of a record with a lost answer that it was not written',
    edits: [
      {
        find: "entry.mayBeWritten ||= written === 'unknown'\n      entry.lastFailure = { code, message, cause }",
        replace: 'entry.lastFailure = { code, message, cause }',
      },
    ],
    caughtBy: ['what was said not to be written is not written'],
  },
  {
    name: 'lets a record live for ever',
    edits: [
      {
        find: 'record.expiresAt = now + this.#settings.recordTtlMs',
        replace: 'record.expiresAt = now + this.#settings.recordTtlMs * 1e6',
      },
    ],
    caughtBy: ['a put settles once, within its time'],
  },
  {
    name: 'sends what a flush is for, and does not wait for it',
    edits: [{ find: '      return streams.flush()', replace: '      void streams.flush()' }],
    caughtBy: ['a flush ends after what was put before it'],
  },
  {
    name: 'counts no record against its buffer',
    edits: [{ find: 'return this.#records < this.#maxRecords && this.#bytes + bytes <= this.#maxBytes', replace: 'return true' }],
    caughtBy: ['buffers keep their bounds'],
  },
  {
    name: 'closes without waiting for what is buffered',
    edits: [{ find: 'do await streams.flush()\n    while (!this.#ledger.isEmpty)', replace: 'await Promise.resolve()' }],
    caughtBy: ['a put settles once, within its time', 'what stops leaves nothing behind'],
  },
]
