import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A mistake in the product's source: exactly one place reads `find`, and would read `replace`. */
export interface PlantedBug {
  readonly name: string
  readonly find: string
  readonly replace: string
  /** What the simulation says of it. */
  readonly caughtAs: RegExp
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'the producer acknowledges per record and not per aggregate',
    find: "if (entry.isAggregate && !entry.fits(shard.range)) return { kind: 'wrong-shard', shardId, placement }",
    replace: '',
    caughtAs: /acknowledged in an aggregate that readers by the KCL's rule drop/,
  },
  {
    name: 'the producer believes its prediction where it does not know the shard',
    find: "return entry.isAggregate ? { kind: 'hold', shardId } :",
    replace: 'return',
    caughtAs: /acknowledged in an aggregate that readers by the KCL's rule drop/,
  },
  {
    name: 'the producer lets entries of one key overtake each other',
    find: 'last.behind = claim\n      place.blockedBy++',
    replace: 'last.behind = claim',
    caughtAs: /first written after|TypeError|negative/,
  },
  {
    name: 'the producer takes an entry that was refused for one that was written',
    find: "return { kind: 'refused', code: result.ErrorCode, message: result.ErrorMessage ?? 'no message' }",
    replace: "return { kind: 'delivered', shardId: 'shardId-000000000000', sequenceNumber: '1', placement: 'predicted' }",
    caughtAs: /was acknowledged as .* and is not there/,
  },
  {
    name: 'a checkpoint before the delivery',
    find: 'return { records, first: this.#prefix.append(records), millisBehindLatest, duplicates: 0 }',
    replace: `
    if (records.length > 0) this.#options.checkpoints.completed(records.at(-1)!, records.length)
    return { records, first: this.#prefix.append(records), millisBehindLatest, duplicates: 0 }`,
    caughtAs: /past .*, which is not completed/,
  },
  {
    name: 'renewals without a condition',
    find: `progress: LeaseRenewal): LeaseChange {
  return {
    leaseKey: lease.leaseKey,
    where: { leaseCounter: lease.leaseCounter, actualOwner: workerId },`,
    replace: `progress: LeaseRenewal): LeaseChange {
  return {
    leaseKey: lease.leaseKey,
    where: {},`,
    caughtAs: /moved the counter|went back|which .* has/,
  },
  {
    name: 'a take without the counter',
    find: 'where: { leaseCounter: lease.leaseCounter, leaseOwner: lease.leaseOwner, checkpointOwner: lease.checkpointOwner },',
    replace: 'where: { leaseOwner: lease.leaseOwner, checkpointOwner: lease.checkpointOwner },',
    caughtAs: /took|moved the counter|begins a handler call|still owns/,
  },
  {
    name: 'trust without an end',
    find: 'return elapsed < failoverTimeMs * (1 - MARGIN) &&',
    replace: 'return elapsed < failoverTimeMs * 1e6 &&',
    caughtAs: /begins a handler call/,
  },
  {
    name: 'trust that counts from the answer and not from the sending',
    find: 'this.#confirm(write.lease, firstSent ?? sent)',
    replace: 'this.#confirm(write.lease, momentOf(clock))',
    caughtAs: /begins a handler call/,
  },
  {
    name: 'a lease counts as expired before the failover time is over',
    find: 'known.counter === lease.leaseCounter && now - known.at > this.#patienceMs(lease)',
    replace: 'known.counter === lease.leaseCounter && now - known.at > this.#patienceMs(lease) / 2',
    caughtAs: /took .* from/,
  },
  {
    name: 'a write of unknown outcome is believed by the counter alone',
    find: 'const steps = found === undefined || !isHeldBy(found, workerId) ? undefined : found.leaseCounter - row.leaseCounter',
    replace: 'const steps = found === undefined ? undefined : found.leaseCounter - row.leaseCounter',
    caughtAs: /begins a handler call|moved the counter|never delivered|shares are unfair/,
  },
  {
    name: 'LATEST is resolved again after a crash',
    find: "return { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(startAt) }\n    case 'at-timestamp'",
    replace: "return { ShardIteratorType: 'LATEST' }\n    case 'at-timestamp'",
    caughtAs: /never delivered|which is not completed|before .*, which was written before it/,
  },
  {
    name: 'children before their parents',
    find: 'return parent === undefined || hasEnded(parent)\n  })',
    replace: 'return true\n  })',
    caughtAs: /of its ancestor|before .*, which was written before it/,
  },
  {
    name: 'no leases for children',
    find: 'if (await store.create(lease, { signal }))',
    replace: 'if (lease.leaseKey === undefined)',
    caughtAs: /do not cover all hash keys|never delivered|not covered/,
  },
  {
    name: 'a lease is given away without the last checkpoint',
    find: 'leaving: isLeaving, ...this.#unwritten() }',
    replace: 'leaving: isLeaving }',
    caughtAs: /again, which/,
  },
  {
    name: 'a handler that fails has handled its records',
    find: 'checkpoints.inHand(undefined)\n    const span = this.#withoutCheckpointed(batch, failed)',
    replace:
      'checkpoints.inHand(undefined)\n    this.#handled(batch, failed.from, failed.to, duplicates)\n    const span = { ...failed, from: failed.to }',
    caughtAs: /which is not completed|never delivered|before .*, which was written before it/,
  },
  {
    name: 'an iterator that expired begins where the first one did',
    find: "if (sequenceNumber !== undefined) this.#place = { kind: 'after', sequenceNumber }",
    replace: '',
    caughtAs: /again within one tenure/,
  },
  {
    name: 'records of one key side by side',
    find: 'waiting.push(item)\n    }',
    replace: 'return this.#give(item)\n    }',
    caughtAs: /before .*, which was written before it/,
  },
]

const packages = fileURLToPath(new URL('../../packages', import.meta.url))

/** Where the bug is planted. Throws unless it is exactly one place: the sources have changed, and so must the bug. */
export function placeOfBug({ name, find }: PlantedBug): string {
  const files = readdirSync(packages, { recursive: true, encoding: 'utf8' })
    .filter((file) => /^[a-z]+\/src\/.*\.ts$/.test(file) && !/\.test\.ts$|\/testing\//.test(file))
    .map((file) => join(packages, file))
  const places = files.flatMap((file) =>
    readFileSync(file, 'utf8')
      .split(find)
      .slice(1)
      .map(() => file),
  )
  if (places.length !== 1)
    throw new Error(`'${name}' can be planted in ${places.length} places, not in one: ${places.join(', ')}`)
  return places[0]!
}
