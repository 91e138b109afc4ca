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
    caughtAs: /past .*, which is not completed/,
  },
  {
    name: 'checkpoints across a gap',
    edits: [
      {
        find: 'if (first !== this.#completed) {\n      this.#ahead',
        replace: 'if (first < this.#completed) {\n      this.#ahead',
      },
    ],
    caughtAs: /past .*, which is not completed|cannot complete/,
  },
  {
    name: 'resumes behind the aggregate whose first members are done',
    edits: [{ find: 'if (order === 0) return this.#completed.subSequenceNumber + 1', replace: 'if (order === 0) return count' }],
    caughtAs: /which is not completed|never delivered|before .*, which was written before it/,
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
    caughtAs: /which is not completed|never delivered|before .*, which was written before it/,
  },
  {
    name: 'handles records of one key side by side',
    edits: [{ find: 'waiting.push(item)\n    }', replace: 'return this.#give(item)\n    }' }],
    caughtAs: /before .*, which was written before it/,
  },
  {
    name: 'resolves LATEST again after a crash',
    edits: [
      {
        find: "return { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(startAt) }\n    case 'at-timestamp'",
        replace: "return { ShardIteratorType: 'LATEST' }\n    case 'at-timestamp'",
      },
    ],
    caughtAs: /never delivered|which is not completed|before .*, which was written before it/,
  },
  {
    name: 'begins where the first iterator did when one has expired',
    edits: [{ find: "if (sequenceNumber !== undefined) this.#place = { kind: 'after', sequenceNumber }", replace: '' }],
    caughtAs: /again within one tenure/,
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
    caughtAs: /never delivered|which is not completed|before .*, which was written before it/,
  },
  {
    name: 'fights for a subscription without asking whose lease it is',
    edits: [
      { find: 'if (taken) this.#contested = true', replace: '' },
      { find: "if (!(await this.#ask('revalidate', signal))) return undefined", replace: '' },
    ],
    caughtAs: /subscribes to .*, whose lease/,
  },
  {
    name: 'leaves a timer behind',
    edits: [{ find: 'next!.cancel()\n    }', replace: '}' }],
    caughtAs: /timers behind/,
  },
]
