import type { PlantedBug } from './planted-bug.js'

export const LEASE_BUGS: readonly PlantedBug[] = [
  {
    name: 'renews without a condition',
    edits: [
      {
        find: `progress: LeaseRenewal): LeaseChange {
  return {
    leaseKey: lease.leaseKey,
    where: { leaseCounter: lease.leaseCounter, actualOwner: workerId },`,
        replace: `progress: LeaseRenewal): LeaseChange {
  return {
    leaseKey: lease.leaseKey,
    where: {},`,
      },
    ],
    caughtBy: ['only its owner moves a lease’s counter', 'checkpoints are the owner’s, and never move back'],
  },
  {
    name: 'takes without the counter',
    edits: [
      {
        find: 'where: { leaseCounter: lease.leaseCounter, leaseOwner: lease.leaseOwner, checkpointOwner: lease.checkpointOwner },',
        replace: 'where: { leaseOwner: lease.leaseOwner, checkpointOwner: lease.checkpointOwner },',
      },
    ],
    caughtBy: [
      'no lease is taken from the living, or too early',
      'only its owner moves a lease’s counter',
      'no handler starts after its lease may have been taken',
      'callbacks come one at a time, in their order',
    ],
  },
  {
    name: 'creates a lease where there is one',
    edits: [
      {
        find: "Item: newRow(lease, this.#stream),\n      ConditionExpression: 'attribute_not_exists(leaseKey)',",
        replace: 'Item: newRow(lease, this.#stream),',
      },
    ],
    caughtBy: ['a row is made once, and deleted at the end of its shard'],
  },
  {
    name: 'trusts its lease without an end',
    edits: [
      {
        find: 'return elapsedMs(sent, at) < failoverTimeMs * (1 - MARGIN) &&',
        replace: 'return elapsedMs(sent, at) < failoverTimeMs * 1e6 &&',
      },
    ],
    caughtBy: ['no handler starts after its lease may have been taken', 'only who has its lease subscribes to a shard'],
  },
  {
    name: 'trusts its lease through a suspension of the machine',
    edits: [
      {
        find: 'return Math.max(to.now - from.now, to.wallTime - from.wallTime)',
        replace: 'return to.now - from.now',
      },
      { find: '(1 - MARGIN) && Math.abs(parted) < SUSPENSION_MS', replace: '(1 - MARGIN) && Math.abs(parted) >= 0' },
    ],
    caughtBy: ['no handler starts after its lease may have been taken', 'only who has its lease subscribes to a shard'],
  },
  {
    name: 'trusts its lease by the wall clock',
    edits: [
      {
        find: 'return Math.max(to.now - from.now, to.wallTime - from.wallTime)',
        replace: 'return to.wallTime - from.wallTime',
      },
      { find: '(1 - MARGIN) && Math.abs(parted) < SUSPENSION_MS', replace: '(1 - MARGIN) && Math.abs(parted) >= 0' },
    ],
    caughtBy: ['no handler starts after its lease may have been taken', 'only who has its lease subscribes to a shard'],
  },
  {
    name: 'trusts its lease from the answer and not from the sending',
    edits: [{ find: 'this.#confirm(write.lease, firstSent ?? sent)', replace: 'this.#confirm(write.lease, momentOf(clock))' }],
    caughtBy: ['no handler starts after its lease may have been taken', 'only who has its lease subscribes to a shard'],
  },
  {
    name: 'takes a lease for expired before the failover time is over',
    edits: [
      {
        find: 'known.counter === lease.leaseCounter && now - known.at > this.#patienceMs(lease)',
        replace: 'known.counter === lease.leaseCounter && now - known.at > this.#patienceMs(lease) / 2',
      },
    ],
    caughtBy: ['no lease is taken from the living, or too early'],
  },
  {
    name: 'takes a lease for expired by the wall clock',
    edits: [
      {
        find: 'view.scanned(listing, clock.now(), interval)',
        replace: 'view.scanned(listing, clock.wallTime(), interval)',
      },
      {
        find: 'const now = clock.now()\n    const { leases, observer, unsure, leavers, earliestStarts } = this.#view',
        replace: 'const now = clock.wallTime()\n    const { leases, observer, unsure, leavers, earliestStarts } = this.#view',
      },
      { find: 'if (this.#lastScanAt !== undefined && now - this.#lastScanAt > longestGapMs) this.reset()', replace: '' },
    ],
    caughtBy: ['no lease is taken from the living, or too early', 'all leases have owners, in fair shares'],
  },
  {
    name: 'believes a write of unknown outcome by the counter alone',
    edits: [
      {
        find: 'const steps = found === undefined || !isHeldBy(found, workerId) ? undefined : found.leaseCounter - row.leaseCounter',
        replace: 'const steps = found === undefined ? undefined : found.leaseCounter - row.leaseCounter',
      },
    ],
    caughtBy: [
      'no handler starts after its lease may have been taken',
      'only who has its lease subscribes to a shard',
      'only its owner moves a lease’s counter',
      'what stops leaves nothing behind',
    ],
  },
  {
    name: 'gives a lease away without the last checkpoint',
    edits: [{ find: 'leaving: isLeaving, ...this.#unwritten() }', replace: 'leaving: isLeaving }' }],
    caughtBy: ['nothing comes twice without cause'],
  },
  {
    name: 'hears no request for a handoff',
    edits: [
      { find: 'if (pendingHandoff(row)?.from !== this.#options.workerId) return', replace: 'if (row.leaseCounter >= 0) return' },
    ],
    caughtBy: ['who was asked for a lease gives it up', 'all leases have owners, in fair shares'],
  },
  {
    name: 'stops without looking for what names it',
    edits: [
      {
        find: 'while (this.#running.size > 0) await Promise.all(this.#running)\n    await this.#departure.cleanUp()',
        replace: 'while (this.#running.size > 0) await Promise.all(this.#running)',
      },
    ],
    caughtBy: ['no row names who has stopped'],
  },
  {
    name: 'reads children before their parents',
    edits: [{ find: 'return parent === undefined || parentHasEnded(lease, parent)\n  })', replace: 'return true\n  })' }],
    caughtBy: ['children come after their parents', 'first deliveries come in the order in which they were written'],
  },
  {
    name: 'creates no leases for children',
    edits: [{ find: 'if (await store.create(lease, { signal }))', replace: 'if (lease.leaseKey === undefined)' }],
    caughtBy: ['all leases have owners, in fair shares', 'acknowledged records are delivered'],
  },
]
