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
    caughtAs: /acknowledged in an aggregate that readers by the KCL's rule drop/,
  },
  {
    name: 'believes its prediction where it does not know the shard',
    edits: [{ find: "return entry.isAggregate ? { kind: 'hold', shardId } :", replace: 'return' }],
    caughtAs: /acknowledged in an aggregate that readers by the KCL's rule drop/,
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
    caughtAs: /acknowledged in an aggregate that readers by the KCL's rule drop|first written after|never settled/,
  },
  {
    name: 'lets entries of one key overtake each other',
    edits: [{ find: 'last.behind = claim\n      place.blockedBy++', replace: 'last.behind = claim' }],
    caughtAs: /first written after|TypeError|negative/,
  },
  {
    name: 'has two entries of one shard under way where order is kept',
    edits: [{ find: 'if (unsettled > 0) return Number.POSITIVE_INFINITY', replace: '' }],
    caughtAs: /first written after/,
  },
  {
    name: 'starts a child’s lane while the parent’s is in flight',
    edits: [
      {
        find: 'return behind.length > 0 ? Number.POSITIVE_INFINITY : lane.notBefore',
        replace: 'return lane.notBefore',
      },
    ],
    caughtAs: /first written after/,
  },
  {
    name: 'takes an entry that was refused for one that was written',
    edits: [
      {
        find: "return { kind: 'refused', code: result.ErrorCode, message: result.ErrorMessage ?? 'no message' }",
        replace: "return { kind: 'delivered', shardId: 'shardId-000000000000', sequenceNumber: '1', placement: 'predicted' }",
      },
    ],
    caughtAs: /was acknowledged as .* and is not there/,
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
    caughtAs: /was acknowledged as .* and is not there/,
  },
  {
    name: 'says of a record with a lost answer that it was not written',
    edits: [
      {
        find: "entry.mayBeWritten ||= written === 'unknown'\n      entry.lastFailure = { code, message, cause }",
        replace: 'entry.lastFailure = { code, message, cause }',
      },
    ],
    caughtAs: /was said not to be written/,
  },
  {
    name: 'lets a record live for ever',
    edits: [
      {
        find: 'record.expiresAt = now + this.#settings.recordTtlMs',
        replace: 'record.expiresAt = now + this.#settings.recordTtlMs * 1e6',
      },
    ],
    caughtAs: /after it was put|do not close/,
  },
  {
    name: 'ends a flush with the next thing that happens',
    edits: [
      {
        find: 'while (this.#flushes.length > 0 && this.#outstanding.isSettled(this.#flushes[0]!.epoch))',
        replace: 'while (this.#flushes.length > 0)',
      },
    ],
    caughtAs: /flush ended before|stands still/,
  },
  {
    name: 'counts no record against its buffer',
    edits: [{ find: 'return this.#records < this.#maxRecords && this.#bytes + bytes <= this.#maxBytes', replace: 'return true' }],
    caughtAs: /buffers \d+ records, more than/,
  },
  {
    name: 'closes without waiting for what is buffered',
    edits: [{ find: 'do await streams.flush()\n    while (!this.#ledger.isEmpty)', replace: 'await Promise.resolve()' }],
    caughtAs: /never settled|timers behind/,
  },
]
