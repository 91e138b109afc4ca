import { ManualClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import type { Lease } from './lease.js'
import { MemoryLeaseStore } from './memory-lease-store.js'
import { FAILOVER_MS, HANDOFF_MS, TableWorker } from './testing/table-worker.js'

/*
 * What Amazon's library is tested for, in the order of its test classes (DynamoDBLeaseTakerTest, DynamoDBLeaseRenewerTest,
 * LeaseGracefulShutdownHandlerTest and others), asked of whole coordinators on one table.
 */

const at = (number: number): ReturnType<typeof sequencePosition> => sequencePosition(`${number}`)

let clock: ManualClock
let table: MemoryLeaseStore
let workers: TableWorker[]

beforeEach(() => {
  clock = new ManualClock()
  table = new MemoryLeaseStore()
  workers = []
})

afterEach(async () => {
  for (const worker of workers) worker.network.outage = undefined
  const stopped = Promise.all(workers.map((worker) => worker.coordinator.stop()))
  for (const worker of workers) worker.releaseAll()
  await clock.advanceAsync(FAILOVER_MS * 3)
  await stopped
  expect(clock.pendingTimers).toBe(0)
})

function worker(id: string, options?: { readonly drainMs?: number | undefined }): TableWorker {
  const made = new TableWorker(id, table, clock, options)
  workers.push(made)
  return made
}

/** Handlers that never return. */
const HANGS = { drainMs: undefined }

async function leases(count: number): Promise<void> {
  for (let i = 1; i <= count; i++) {
    const none = { range: undefined, startAt: undefined, streamId: undefined, streamCreatedAt: undefined }
    await table.create({ leaseKey: `s${i}`, checkpoint: TRIM_HORIZON, parentShardIds: [], ...none })
  }
}

async function row(leaseKey = 's1'): Promise<Lease> {
  return (await table.read(leaseKey))!
}

async function taken(by: string, leaseKey = 's1'): Promise<Lease> {
  return (await table.take(await row(leaseKey), by)).lease!
}

describe('KCL scenario 1: only a lease whose counter has stood still for the failover time is taken, and a tick starts the time again', () => {
  test('the owner renews once more, late', async () => {
    await leases(1)
    const theirs = await taken('other')
    const me = await worker('me').start()
    await clock.advanceAsync(FAILOVER_MS - 100)
    await table.renew(theirs, 'other', {})
    await clock.advanceAsync(FAILOVER_MS)
    expect(me.keys).toEqual([])
    await clock.advanceAsync(1_100)
    expect(me.keys).toEqual(['s1'])
  })
})

describe('KCL scenario 2: a new lease', () => {
  test('with an owner has the whole failover time from our first sight of it, one without is taken at once', async () => {
    await leases(2)
    await taken('other', 's1')
    const me = await worker('me').start()
    expect(me.keys).toEqual(['s2'])
    await clock.advanceAsync(FAILOVER_MS)
    expect(me.keys).toEqual(['s2'])
    await clock.advanceAsync(100)
    expect(me.keys).toEqual(['s1', 's2'])
  })
})

describe('KCL scenario 3: no more than the share, and nothing moves when counts are off by one', () => {
  test('of seven leases three workers take two or three each, and keep them', async () => {
    await leases(7)
    const all = [await worker('a').start(), await worker('b').start(), await worker('c').start()]
    await clock.advanceAsync(10_000)
    expect(all.map(({ keys }) => keys.length).sort()).toEqual([2, 2, 3])
    const before = all.map(({ keys }) => keys)
    await clock.advanceAsync(60_000)
    expect(all.map(({ keys }) => keys)).toEqual(before)
  })
})

describe('KCL scenario 4: only from the most loaded, and nobody asks while there are free leases', () => {
  test('a newcomer asks the one with the most; nothing is taken by force', async () => {
    await leases(6)
    const a = await worker('a').start()
    const b = await worker('b', HANGS).start()
    await clock.advanceAsync(5_000)
    expect([a.keys.length, b.keys.length]).toEqual([3, 3])
    await leases(9)
    await clock.advanceAsync(1_000)
    const counts = [a.keys.length, b.keys.length]
    expect(counts.reduce((sum, count) => sum + count)).toBe(9)
    const c = await worker('c').start()
    await clock.advanceAsync(5_000)
    expect(c.count('lease-requested')).toBe(3)
    const asked = c.events.flatMap((event) => (event.type === 'lease-requested' ? [event.from] : []))
    const most = counts[0]! > counts[1]! ? 'a' : 'b'
    expect(asked[0]).toBe(most)
    expect(a.count('lease-lost') + b.count('lease-lost')).toBe(0)
  })
})

describe('KCL scenario 5: what stays free for long is taken above the share too', () => {
  test('a member that takes nothing does not keep its share from being read', async () => {
    await leases(4)
    // A worker that renews what it has, and takes nothing more.
    let theirs = await taken('other', 's1')
    const renewing = async (): Promise<void> => {
      for (let i = 0; i < 8; i++) {
        await clock.advanceAsync(1_000)
        theirs = (await table.renew(theirs, 'other', {})).lease!
      }
    }
    const me = await worker('me').start()
    expect(me.keys.length).toBe(2)
    await renewing()
    expect(me.keys).toEqual(['s2', 's3', 's4'])
  })
})

describe('KCL scenario 6: two takers at the same counter', () => {
  test('exactly one wins, for every lease, and the other sees the winner', async () => {
    await leases(20)
    const [a, b] = [worker('a'), worker('b')]
    await Promise.all([a.start(), b.start()])
    await clock.advanceAsync(1)
    const both = [...a.keys, ...b.keys].sort()
    expect(new Set(both).size).toBe(20)
    expect(both).toHaveLength(20)
    expect(
      a.network.sent.filter((sent) => sent === 'take').length + b.network.sent.filter((sent) => sent === 'take').length,
    ).toBeGreaterThan(20)
    expect(a.count('lease-lost') + b.count('lease-lost')).toBe(0)
  })
})

describe('KCL scenario 7: the counter was moved by somebody else', () => {
  test('the lease is lost, and got again the old acquisition may not checkpoint', async () => {
    await leases(1)
    const me = await worker('me').start()
    const old = me.held.get('s1')!
    const theirs = await taken('thief')
    const checkpoint = old.checkpointNow(at(5)).catch((error: Error) => error.name)
    await clock.advanceAsync(0)
    expect(await checkpoint).toBe('LeaseLostError')
    await table.handOver(theirs, 'thief', { to: undefined })
    await clock.advanceAsync(3_000)
    const again = me.held.get('s1')!
    expect(again).not.toBe(old)
    expect(again.generation).toBeGreaterThan(old.generation)
    old.checkpoint(at(9))
    await expect(old.checkpointNow(at(9))).rejects.toThrow('another worker has taken it')
    expect((await row()).checkpoint).toEqual(TRIM_HORIZON)
    expect(again.isOurs()).toBe(true)
  })
})

describe('KCL scenario 8: a checkpoint and a renewal of one process never take each other for a thief (#537)', () => {
  test('any number of both, at any time, over a slow network that loses answers', async () => {
    await leases(1)
    const me = await worker('me').start()
    const lease = me.held.get('s1')!
    const random = seededRandom(5)
    let position = 0
    for (let i = 0; i < 300; i++) {
      for (let n = Math.floor(random() * 3); n > 0; n--) void lease.checkpointNow(at(++position))
      if (random() < 0.2) me.network.next('renew', random() < 0.5 ? 'unanswered' : 'lost')
      await clock.advanceAsync(random() * 1_500)
    }
    await clock.advanceAsync(FAILOVER_MS)
    expect(me.count('lease-lost')).toBe(0)
    expect((await row()).checkpoint).toEqual(at(position))
    expect(lease.isOurs()).toBe(true)
  })
})

describe('KCL scenario 9: a conditional write that had landed before its repetition failed', () => {
  test.each(['renew', 'handOver', 'take'] as const)('counts as done: %s', async (operation) => {
    await leases(1)
    const me = worker('me')
    me.network.next(operation, 'unanswered')
    await me.start()
    await clock.advanceAsync(FAILOVER_MS)
    expect(me.keys).toEqual(['s1'])
    if (operation === 'handOver') {
      void me.coordinator.stop()
      await clock.advanceAsync(1_000)
      expect((await row()).leaseOwner).toBe(undefined)
    }
    expect(me.count('lease-lost')).toBe(0)
  })
})

describe('KCL scenario 10: DynamoDB does not answer for longer than the failover time', () => {
  test('the owner stops processing before a peer begins', async () => {
    await leases(1)
    const a = await worker('a').start()
    const b = await worker('b').start()
    await clock.advanceAsync(6_000)
    a.network.outage = 'late'
    let stoppedAt: number | undefined
    while (b.keys.length === 0) {
      await clock.advanceAsync(10)
      if (a.keys.length === 0) stoppedAt ??= clock.now()
      expect(a.keys.length + b.keys.length).toBeLessThanOrEqual(1)
    }
    expect(clock.now() - stoppedAt!).toBeGreaterThan(FAILOVER_MS / 20)
    expect(clock.now() - stoppedAt!).toBeLessThan(3_000)
  })
})

describe('KCL scenario 11: a checkpoint that could not be written is not believed (#1788)', () => {
  test('it is pending until it has landed, and rejected when the lease went to another meanwhile', async () => {
    await leases(1)
    const me = await worker('me').start()
    const lease = me.held.get('s1')!
    me.network.outage = 'lost'
    let outcome = 'pending'
    void lease.checkpointNow(at(5)).then(
      () => {
        outcome = 'done'
      },
      (error: Error) => {
        outcome = error.name
      },
    )
    await clock.advanceAsync(2_000)
    expect([outcome, (await row()).checkpoint]).toEqual(['pending', TRIM_HORIZON])
    await taken('other')
    me.network.outage = undefined
    await clock.advanceAsync(FAILOVER_MS)
    expect([outcome, (await row()).checkpoint]).toEqual(['LeaseLostError', TRIM_HORIZON])
  })
})

describe('KCL scenario 12: graceful handoff', () => {
  test('the owner learns of it from a renewal, drains, checkpoints, and transfers; the next begins there', async () => {
    await leases(2)
    const a = await worker('a', { drainMs: 500 }).start()
    for (const lease of a.held.values()) lease.checkpoint(at(7))
    const b = await worker('b').start()
    await clock.advanceAsync(4_000)
    expect([a.keys.length, b.keys.length]).toEqual([1, 1])
    expect([...b.held.values()][0]).toMatchObject({ resumeFrom: at(7) })
    expect(a.count('lease-lost') + a.count('lease-handoff-forced')).toBe(0)
  })

  test('a handler that does not return: the time limit forces the transfer, at the completed record', async () => {
    await leases(2)
    const a = await worker('a', HANGS).start()
    const b = await worker('b').start()
    const asked = (await table.list()).leases.find((lease) => lease.leaseOwner === 'b')!.leaseKey
    a.held.get(asked)!.checkpoint(at(7))
    await clock.advanceAsync(HANDOFF_MS)
    expect(a.held.get(asked)!.signal.aborted).toBe(false)
    await clock.advanceAsync(3_000)
    expect(a.events.filter(({ type }) => type === 'lease-handoff-forced')).toMatchObject([
      { leaseKey: asked, to: 'b', waitedMs: HANDOFF_MS },
    ])
    expect(a.held.get(asked)!.signal.reason).toMatchObject({ name: 'LeaseLostError', owner: 'b' })
    expect(b.held.get(asked)).toMatchObject({ resumeFrom: at(7) })
    // The hung handler comes back to life: nothing that it does is written.
    await expect(a.held.get(asked)!.checkpointNow(at(9))).rejects.toThrow()
    expect((await row(asked)).checkpoint).toEqual(at(7))
  })

  test('the same request seen again and again starts no time anew', async () => {
    await leases(1)
    const a = await worker('a', HANGS).start()
    await table.requestHandoff(await row(), 'b')
    // Scans and renewals show it more than thirty times.
    await clock.advanceAsync(HANDOFF_MS + 5_000)
    expect(a.count('lease-handoff-forced')).toBe(1)
    expect((await row()).leaseOwner).toBe('b')
  })

  test('the owner’s process starts again in the middle (#1718): its new life does not own the lease, and the one that asked gets it', async () => {
    await leases(2)
    const a = await worker('a:1', HANGS).start()
    const b = await worker('b').start()
    const asked = (await table.list()).leases.find((lease) => lease.leaseOwner === 'b')!.leaseKey
    expect(await row(asked)).toMatchObject({ leaseOwner: 'b', checkpointOwner: 'a:1' })
    a.network.outage = 'late'
    const again = await worker('a:2').start()
    await clock.advanceAsync(FAILOVER_MS - 1_000)
    expect([...again.keys, ...b.keys]).toEqual([])
    await clock.advanceAsync(5_000)
    expect([...again.keys, ...b.keys].sort()).toEqual(['s1', 's2'])
    expect((await row(asked)).checkpointOwner).toBe(undefined)
  })

  test('the one that asked never takes it (#1765): after two scans it is anybody’s', async () => {
    await leases(2)
    const a = await worker('a').start()
    await table.requestHandoff(await row('s1'), 'gone')
    await clock.advanceAsync(1_000)
    expect(await row('s1')).toMatchObject({ leaseOwner: 'gone', checkpointOwner: undefined })
    await clock.advanceAsync(4_000)
    expect(a.keys).toEqual(['s1', 's2'])
  })

  test('the owner dies in the middle, and the one that asked as well: it expires', async () => {
    await leases(1)
    const theirs = await taken('dead')
    await table.requestHandoff(theirs, 'gone')
    const me = await worker('me').start()
    await clock.advanceAsync(FAILOVER_MS)
    expect(me.keys).toEqual([])
    await clock.advanceAsync(1_100)
    expect(me.keys).toEqual(['s1'])
    expect(await row()).toMatchObject({ checkpointOwner: undefined, nextOwner: undefined })
  })

  test('withdrawn after the drain has begun: given up to nobody, and taken by whoever is there', async () => {
    await leases(1)
    const a = await worker('a', { drainMs: 2_000 }).start()
    const asked = (await table.requestHandoff(await row(), 'b')).lease!
    await clock.advanceAsync(3_500)
    await table.withdrawHandoff(await row(), asked.leaseOwner!)
    await clock.advanceAsync(5_000)
    expect(a.keys).toEqual(['s1'])
    expect(a.held.get('s1')!.generation).toBeGreaterThan(1)
  })

  test('no renewal after the transfer (#1729)', async () => {
    await leases(1)
    const a = await worker('a').start()
    await table.requestHandoff(await row(), 'next')
    await clock.advanceAsync(1_000)
    let theirs = await row()
    expect(theirs).toMatchObject({ leaseOwner: 'next', checkpointOwner: undefined })
    const sent = a.network.sent.length
    theirs = (await table.take(theirs, 'next')).lease!
    for (let i = 0; i < 5; i++) {
      await clock.advanceAsync(3_000)
      theirs = (await table.renew(theirs, 'next', {})).lease!
    }
    expect(a.network.sent.slice(sent).filter((operation) => operation !== 'list')).toEqual([])
    expect(await row()).toMatchObject({ leaseOwner: 'next', leaseCounter: theirs.leaseCounter })
  })
})
