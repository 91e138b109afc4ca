import type { PlantedBug } from './planted-bug.js'

export const DELIVERY_BUGS: readonly PlantedBug[] = [
  {
    name: 'checkpoints before the delivery',
    edits: [
      {
        find: 'return { records, first: this.#prefix.append(records), millisBehindLatest, duplicates: 0 }',
        replace: `
    if (records.length > 0) this.#options.checkpoints.completed(records.at(-1)!, records.length)
    return { records, first: this.#prefix.append(records), millisBehindLatest, duplicates: 0 }`,
      },
    ],
    caughtBy: ['checkpoints never pass what is not completed'],
  },
  {
    name: 'checkpoints across a gap',
    edits: [
      {
        find: 'if (first !== this.#completed) {\n      this.#ahead',
        replace: 'if (first < this.#completed) {\n      this.#ahead',
      },
    ],
    // What counts the completed records refuses the next of them.
    caughtBy: ['checkpoints never pass what is not completed', 'no shard fails by itself'],
  },
  {
    name: 'resumes behind the aggregate whose first members are done',
    edits: [{ find: 'if (order === 0) return this.#completed.subSequenceNumber + 1', replace: 'if (order === 0) return count' }],
    caughtBy: [
      'checkpoints never pass what is not completed',
      'acknowledged records are delivered',
      'first deliveries come in the order in which they were written',
    ],
  },
  {
    name: 'takes a handler that failed for one that has handled its records',
    edits: [
      {
        find: 'checkpoints.inHand(undefined)\n    const span = this.#withoutCheckpointed(batch, failed)',
        replace:
          'checkpoints.inHand(undefined)\n    this.#handled(batch, failed.from, failed.to, duplicates)\n    const span = { ...failed, from: failed.to }',
      },
    ],
    caughtBy: [
      'checkpoints never pass what is not completed',
      'acknowledged records are delivered',
      'first deliveries come in the order in which they were written',
    ],
  },
  {
    name: 'handles records of one key side by side',
    edits: [{ find: 'waiting.push(item)\n    }', replace: 'return this.#give(item)\n    }' }],
    caughtBy: ['first deliveries come in the order in which they were written'],
  },
  {
    name: 'resolves LATEST again after a crash',
    edits: [
      {
        find: "return { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(startAt) }\n    case 'at-timestamp'",
        replace: "return { ShardIteratorType: 'LATEST' }\n    case 'at-timestamp'",
      },
    ],
    caughtBy: [
      'checkpoints never pass what is not completed',
      'acknowledged records are delivered',
      'first deliveries come in the order in which they were written',
    ],
  },
  {
    name: 'begins where the first iterator did when one has expired',
    edits: [
      {
        find: '{ ...stream, ShardId: shardId, ...place.start },',
        replace: '{ ...stream, ShardId: shardId, ...(this.first ??= place.start) },',
      },
    ],
    caughtBy: ['nothing comes twice without cause'],
  },
  {
    name: 'subscribes again at the tip of the shard',
    edits: [
      {
        find: 'StartingPosition: startingPosition(start) },',
        replace:
          "StartingPosition: startingPosition(start.ShardIteratorType === 'AFTER_SEQUENCE_NUMBER' ? { ShardIteratorType: 'LATEST' } : start) },",
      },
    ],
    caughtBy: [
      'checkpoints never pass what is not completed',
      'acknowledged records are delivered',
      'first deliveries come in the order in which they were written',
    ],
  },
  {
    name: 'fights for a subscription without asking whose lease it is',
    edits: [
      { find: 'if (taken) this.#contested = true', replace: '' },
      { find: "if (!(await isLeaseOurs(this.#options, 'revalidate', signal))) return undefined", replace: '' },
    ],
    caughtBy: ['only who has its lease subscribes to a shard'],
  },
  {
    name: 'leaves a timer behind',
    edits: [{ find: 'next!.cancel()\n  }', replace: '}' }],
    caughtBy: ['what stops leaves nothing behind'],
  },
  {
    name: 'reads without a bound',
    edits: [{ find: 'this.#half = bytes / 2', replace: 'this.#half = Number.POSITIVE_INFINITY' }],
    caughtBy: ['buffers keep their bounds'],
  },
  {
    name: 'begins handler calls of shards that are paused',
    edits: [{ find: 'return this.#all !== this.#except.has(shardId)', replace: 'return false' }],
    caughtBy: ['no handler starts while its shard is paused'],
  },
]
