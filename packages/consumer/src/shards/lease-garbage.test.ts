import { ManualClock } from '@shardwise/core/clock'
import { type Random, seededRandom } from '@shardwise/core/random'
import type { Shard } from '@shardwise/core/shard-map'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { LATEST, type Position, SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { hasBegun, hasEnded, type Lease, type NewLease } from '../leases/lease.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import { MemoryLeaseStore } from '../leases/memory-lease-store.js'
import { aLease } from '../leases/testing/lease-rows.js'
import { FINISHED_LEASE_KEPT_MS, finishedLeases, LeaseGarbage } from './lease-garbage.js'
import { parentIds } from './shard-family.js'
import { missingLeases, parentsHaveEnded } from './shard-lineage.js'
import { RandomStream } from './testing/random-stream.js'

const BEGUN = sequencePosition('7')

function shard(shardId: string, parents: readonly string[] = [], closed = false): Shard {
  return {
    shardId,
    range: { start: 0n, end: 9n },
    startingSequenceNumber: '1',
    ...(parents[0] !== undefined && { parentShardId: parents[0] }),
    ...(parents[1] !== undefined && { adjacentParentShardId: parents[1] }),
    ...(closed && { endingSequenceNumber: '9' }),
  }
}

function row(
  leaseKey: string,
  checkpoint: Position,
  parentShardIds: readonly string[] = [],
  childShardIds: readonly string[] = [],
): Lease {
  return aLease(leaseKey, { checkpoint, parentShardIds, childShardIds })
}

const SPLIT: readonly Shard[] = [shard('p', [], true), shard('l', ['p']), shard('r', ['p'])]
const MERGE: readonly Shard[] = [shard('p', [], true), shard('q', [], true), shard('m', ['p', 'q'])]

describe('KCL scenario 22: the lease of a parent is deleted only when every child has progressed', () => {
  test.each<{ what: string; shards: readonly Shard[]; leases: Lease[]; finished: string[] }>([
    {
      what: 'both children have begun',
      shards: SPLIT,
      leases: [row('p', SHARD_END, [], ['l', 'r']), row('l', BEGUN, ['p']), row('r', SHARD_END, ['p'])],
      finished: ['p'],
    },
    {
      what: 'one child has not begun',
      shards: SPLIT,
      leases: [row('p', SHARD_END, [], ['l', 'r']), row('l', BEGUN, ['p']), row('r', TRIM_HORIZON, ['p'])],
      finished: [],
    },
    {
      what: 'one child has no lease yet',
      shards: SPLIT,
      leases: [row('p', SHARD_END, [], ['l', 'r']), row('l', BEGUN, ['p'])],
      finished: [],
    },
    {
      what: 'one child is known to the listing alone',
      shards: SPLIT,
      leases: [row('p', SHARD_END), row('l', BEGUN, ['p'])],
      finished: [],
    },
    {
      what: 'one child is known to its own row alone, and has not begun',
      shards: [shard('l', ['p'])],
      leases: [row('p', SHARD_END, [], ['l']), row('l', BEGUN, ['p']), row('r', TRIM_HORIZON, ['p'])],
      finished: [],
    },
    {
      what: 'not read to its end',
      shards: SPLIT,
      leases: [row('p', BEGUN), row('l', BEGUN, ['p']), row('r', BEGUN, ['p'])],
      finished: [],
    },
    {
      what: 'a child that is no longer listed and has no lease is gone',
      shards: [shard('p', [], true), shard('l', ['p'])],
      leases: [row('p', SHARD_END, [], ['l', 'r']), row('l', BEGUN, ['p'])],
      finished: ['p'],
    },
    {
      what: 'both parents of a merge',
      shards: MERGE,
      leases: [row('p', SHARD_END, [], ['m']), row('q', SHARD_END, [], ['m']), row('m', BEGUN, ['p', 'q'])],
      finished: ['p', 'q'],
    },
    {
      what: 'the children of a lease that is still there stay, though they are finished too',
      shards: [...SPLIT.slice(0, 1), shard('l', ['p'], true), shard('r', ['p']), shard('n', ['l'])],
      leases: [
        row('p', SHARD_END, [], ['l', 'r']),
        row('l', SHARD_END, ['p'], ['n']),
        row('r', TRIM_HORIZON, ['p']),
        row('n', BEGUN, ['l']),
      ],
      finished: [],
    },
    {
      what: 'garbage: the shard has left the stream without a child that anybody knows (ResourceNotFound)',
      shards: [shard('other')],
      leases: [row('p', SHARD_END), row('other', BEGUN)],
      finished: ['p'],
    },
    {
      what: 'no child is known, but the shard is listed: one may turn up',
      shards: [shard('p', [], true)],
      leases: [row('p', SHARD_END)],
      finished: [],
    },
    {
      what: 'a shard that has left the stream before it was read is not garbage: whoever takes it ends it',
      shards: [shard('other')],
      leases: [row('p', BEGUN)],
      finished: [],
    },
    {
      what: 'the row with the earliest starting time stays while a shard with a later one has not begun: it means the earliest too',
      shards: SPLIT,
      leases: [
        { ...row('p', SHARD_END, [], ['l', 'r']), startAt: 1_000 },
        row('l', BEGUN, ['p']),
        row('r', BEGUN, ['p']),
        { ...row('idle', LATEST), startAt: 2_000 },
      ],
      finished: [],
    },
    {
      what: 'and goes when that has the same',
      shards: SPLIT,
      leases: [
        { ...row('p', SHARD_END, [], ['l', 'r']), startAt: 2_000 },
        row('l', BEGUN, ['p']),
        row('r', BEGUN, ['p']),
        { ...row('idle', LATEST), startAt: 2_000 },
        { ...row('begun', BEGUN), startAt: 3_000 },
      ],
      finished: ['p'],
    },
  ])('$what', ({ shards, leases, finished }) => {
    expect(finishedLeases(leases, shards).map(({ leaseKey }) => leaseKey)).toEqual(finished)
  })
})

describe('collecting', () => {
  let clock: ManualClock
  let table: MemoryLeaseStore
  let events: LeaseEvent[]
  let garbage: LeaseGarbage

  beforeEach(async () => {
    clock = new ManualClock()
    table = new MemoryLeaseStore()
    events = []
    garbage = new LeaseGarbage({ store: table, clock, emit: (event) => events.push(event) })
    await finish('p', [], ['l', 'r'])
    await begin('l', ['p'])
    await begin('r', ['p'])
  })

  async function begin(leaseKey: string, parentShardIds: readonly string[]): Promise<Lease> {
    await table.create({ leaseKey, checkpoint: TRIM_HORIZON, parentShardIds, range: undefined, startAt: undefined })
    const taken = (await table.take((await table.read(leaseKey))!, 'w')).lease!
    return (await table.renew(taken, 'w', { checkpoint: BEGUN })).lease!
  }

  async function finish(leaseKey: string, parents: readonly string[], children: readonly string[]): Promise<void> {
    await table.end(await begin(leaseKey, parents), 'w', children)
  }

  async function collect(): Promise<void> {
    await garbage.collect((await table.list()).leases, SPLIT)
  }

  test('a row that has stood still for twenty minutes here, and not before', async () => {
    await collect()
    clock.advance(FINISHED_LEASE_KEPT_MS - 1)
    await collect()
    expect(await table.read('p')).toMatchObject({ checkpoint: SHARD_END })
    expect(events).toEqual([])
    clock.advance(1)
    await collect()
    expect(await table.read('p')).toBe(undefined)
    expect(events).toEqual([{ type: 'lease-deleted', leaseKey: 'p' }])
    await collect()
    expect(events).toHaveLength(1)
  })

  test('a row of a Java worker that goes on renewing it is left to it', async () => {
    for (let i = 0; i < 30; i++) {
      await collect()
      clock.advance(60_000)
      const seen = (await table.read('p'))!
      await table.take(seen, 'java')
    }
    expect(await table.read('p')).toMatchObject({ leaseOwner: 'java' })
  })

  test('reset by somebody between the scan and the delete: it stays', async () => {
    await collect()
    clock.advance(FINISHED_LEASE_KEPT_MS)
    const { leases } = await table.list()
    const taken = (await table.take((await table.read('p'))!, 'operator')).lease!
    await garbage.collect(leases, SPLIT)
    expect(await table.read('p')).toEqual(taken)
    expect(events).toEqual([])
  })

  test('two that collect: each row is deleted once, and the other one says nothing', async () => {
    const others: LeaseEvent[] = []
    const other = new LeaseGarbage({ store: table, clock, emit: (event) => others.push(event) })
    await collect()
    const { leases } = await table.list()
    await other.collect(leases, SPLIT)
    clock.advance(FINISHED_LEASE_KEPT_MS)
    await Promise.all([garbage.collect(leases, SPLIT), other.collect(leases, SPLIT)])
    expect([...events, ...others]).toEqual([{ type: 'lease-deleted', leaseKey: 'p' }])
  })

  test('a failure of the store is the caller’s to report', async () => {
    table.delete = () => Promise.reject(new Error('throttled'))
    await collect()
    clock.advance(FINISHED_LEASE_KEPT_MS)
    await expect(collect()).rejects.toThrow('throttled')
  })
})

/** Steps that a create may still be on its way after the listing that it was decided from. Rows at SHARD_END are kept for longer. */
const CREATES_LIVE = 12

/** A fleet reduced to what it does to the table: reads, ends shards, audits with listings that may be old, deletes, in any order. */
class Fleet {
  readonly stream: RandomStream
  readonly table = new Map<string, Lease>()
  readonly created: string[] = []
  readonly read: string[] = []
  readonly #random: Random
  readonly #kept: number
  readonly #creates: { readonly lease: NewLease; readonly step: number; readonly until: number }[] = []
  readonly #endedAt = new Map<string, number>()
  step = 0

  constructor(random: Random, kept: number) {
    this.#random = random
    this.#kept = kept
    this.stream = new RandomStream(random, 1 + Math.floor(random() * 3))
  }

  /** Decides now; the creates land some steps later. */
  audit(delay: number): void {
    const missing = missingLeases({
      shards: this.stream.listed,
      leases: [...this.table.values()],
      start: { kind: 'trim-horizon' },
    })
    for (const lease of missing)
      this.#creates.push({ lease, step: this.step, until: this.step + Math.floor(this.#random() * delay) })
  }

  pass(): void {
    this.step++
    for (const late of this.#creates.filter(({ until }) => until <= this.step)) {
      this.#creates.splice(this.#creates.indexOf(late), 1)
      this.#create(late.lease)
    }
  }

  #create(lease: NewLease): void {
    if (this.table.has(lease.leaseKey)) return
    this.created.push(lease.leaseKey)
    this.table.set(lease.leaseKey, aLease(lease.leaseKey, { ...lease, shardId: lease.leaseKey }))
  }

  /** Some worker reads something of some shard, to the end if it is closed. */
  work(): boolean {
    const ready = [...this.table.values()].filter(
      (each) => !hasEnded(each) && parentsHaveEnded(each, this.table) && this.#hasWork(each),
    )
    const lease = ready[Math.floor(this.#random() * ready.length)]
    if (lease === undefined) return false
    if (!hasBegun(lease)) {
      this.read.push(lease.shardId)
      this.table.set(lease.leaseKey, { ...lease, checkpoint: BEGUN })
      return true
    }
    const children = this.stream.shards.filter((each) => parentIds(each).includes(lease.shardId))
    for (const child of children) {
      if (parentIds(child).every((id) => this.table.has(id)))
        this.#create({
          leaseKey: child.shardId,
          checkpoint: TRIM_HORIZON,
          parentShardIds: parentIds(child),
          range: child.range,
          startAt: undefined,
        })
    }
    const childShardIds = children.map(({ shardId }) => shardId)
    this.table.set(lease.leaseKey, { ...lease, checkpoint: SHARD_END, childShardIds })
    this.#endedAt.set(lease.leaseKey, this.step)
    return true
  }

  #hasWork(lease: Lease): boolean {
    return !hasBegun(lease) || this.stream.get(lease.shardId).endingSequenceNumber !== undefined
  }

  collect(share = 0.7): void {
    for (const lease of finishedLeases([...this.table.values()], this.stream.listed)) {
      const old = this.step - this.#endedAt.get(lease.leaseKey)! > this.#kept
      if (old && this.#random() < share) this.table.delete(lease.leaseKey)
    }
  }

  /** Retention takes a shard that was read: its row may be there still, or not. */
  forget(): void {
    const done = this.stream.listed.filter(({ shardId }) => this.#endedAt.has(shardId))
    const shard = done[Math.floor(this.#random() * done.length)]
    if (shard !== undefined) this.stream.forget(shard.shardId)
  }
}

function history(seed: number, steps: number, kept: number): Fleet {
  const random = seededRandom(seed)
  const fleet = new Fleet(random, kept)
  for (let i = 0; i < steps; i++) {
    const chance = random()
    if (chance < 0.15) fleet.stream.reshard()
    else if (chance < 0.3) fleet.audit(CREATES_LIVE)
    else if (chance < 0.7) fleet.work()
    else if (chance < 0.9) fleet.collect()
    else fleet.forget()
    fleet.pass()
  }
  // Quiet: all that is left is read, and all that can be deleted goes.
  for (let quiet = 0; quiet < 400; quiet++) {
    if (quiet % 10 === 0) fleet.audit(1)
    if (!fleet.work()) fleet.collect(1)
    fleet.pass()
  }
  return fleet
}

describe('reads, ends, audits, deletions and retention in any order, on random trees', () => {
  test('every shard is read exactly once, parents first, no lease is created twice, and only open shards keep theirs', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 120 }), (seed, steps) => {
        const { read, created, table, stream } = history(seed, steps, CREATES_LIVE)
        expect([...read].sort()).toEqual(stream.shards.map(({ shardId }) => shardId).sort())
        expect(new Set(created).size).toBe(created.length)
        read.forEach((id, index) => {
          for (const parent of parentIds(stream.get(id))) expect(read.slice(0, index)).toContain(parent)
        })
        expect([...table.keys()].sort()).toEqual(stream.open.map(({ shardId }) => shardId).sort())
      }),
      { numRuns: 300 },
    )
  })

  test('deleted at once, a late create would read a shard again: what the twenty minutes are for', () => {
    const again = Array.from({ length: 300 }, (_, seed) => history(seed, 120, 0)).filter(
      ({ created }) => new Set(created).size < created.length,
    )
    expect(again.length).toBeGreaterThan(0)
  })
})
