import { ManualClock } from '@shardwise/core/clock'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { EventLoopWatch } from './event-loop-watch.js'
import type { Lease } from './lease.js'
import type { LeaseEvent } from './lease-event.js'
import { LeaseTenure } from './lease-tenure.js'
import { MemoryLeaseStore } from './memory-lease-store.js'
import { type Fault, FaultyLeaseStore } from './testing/faulty-lease-store.js'
import { momentOf } from './trust-window.js'

const FAILOVER = 9_000
const TICK = 3_000
const HANDOFF = 20_000
const at = (number: number): ReturnType<typeof sequencePosition> => sequencePosition(`${number}`)

let clock: ManualClock
let table: MemoryLeaseStore
let network: FaultyLeaseStore
let events: LeaseEvent[]
let tenure: LeaseTenure
let running: Promise<void>
let departure: { isLeaving: boolean; successorOf: () => string | undefined }
let blocked: number[]
let createChildren: (children: readonly ChildShard[]) => Promise<readonly string[]>

beforeEach(async () => {
  clock = new ManualClock()
  table = new MemoryLeaseStore()
  network = new FaultyLeaseStore(table)
  events = []
  blocked = []
  departure = { isLeaving: false, successorOf: () => undefined }
  createChildren = async (children) => children.map(({ ShardId }) => ShardId!)
  await table.create({ leaseKey: 's1', checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined })
  const lease = (await table.take(await row(), 'me')).lease!
  tenure = new LeaseTenure({
    store: network.store,
    lease,
    startAt: undefined,
    sent: momentOf(clock),
    workerId: 'me',
    failoverTimeMs: FAILOVER,
    clock,
    random: () => 0.5,
    departure,
    loopWatch: new EventLoopWatch(FAILOVER, (blockedMs) => blocked.push(blockedMs)),
    handoffTimeoutMs: HANDOFF,
    createChildren: (_lease, children) => createChildren(children),
    emit: (event) => events.push(event),
  })
  running = tenure.run()
})

/** However a test ends: the tenure ends too, and leaves nothing on the clock. */
afterEach(async () => {
  network.outage = undefined
  void tenure.release()
  await clock.advanceAsync(FAILOVER * 2)
  await running
  expect(clock.pendingTimers).toBe(0)
})

async function row(): Promise<Lease> {
  return (await table.read('s1'))!
}

/** As a fetch loop would see it: what a promise has come to. */
function watch<T>(promise: Promise<T>): { outcome: unknown } {
  const seen: { outcome: unknown } = { outcome: 'pending' }
  promise.then(
    (value) => {
      seen.outcome = value ?? 'done'
    },
    (error: Error) => {
      seen.outcome = error.name
    },
  )
  return seen
}

async function stolen(): Promise<void> {
  await table.take(await row(), 'thief')
}

describe('renewal', () => {
  test('one write a third of the failover time, which carries the newest checkpoint', async () => {
    tenure.checkpoint(at(5))
    tenure.checkpoint(at(7))
    tenure.checkpoint(at(6))
    await clock.advanceAsync(TICK - 1)
    expect(network.sent).toEqual([])
    await clock.advanceAsync(1)
    expect(network.sent).toEqual(['renew'])
    expect(await row()).toMatchObject({ leaseCounter: 2, checkpoint: at(7) })
    await clock.advanceAsync(TICK * 2)
    expect(network.sent).toHaveLength(3)
    expect(await row()).toMatchObject({ leaseCounter: 4, checkpoint: at(7), leaseOwner: 'me' })
  })

  test('a checkpoint now is written at once, and a renewal follows a tick later', async () => {
    const landing = watch(tenure.checkpointNow(at(5)))
    await clock.advanceAsync(0)
    expect(landing.outcome).toBe('done')
    expect(await row()).toMatchObject({ leaseCounter: 2, checkpoint: at(5) })
    await tenure.checkpointNow(at(4))
    await clock.advanceAsync(TICK - 1)
    expect(network.sent).toEqual(['renew'])
    await clock.advanceAsync(1)
    expect(network.sent).toEqual(['renew', 'renew'])
  })

  test('only records are checkpoints', () => {
    expect(() => tenure.checkpoint(SHARD_END)).toThrow('endShard')
  })

  test('taken by another: the signal says so, and nothing is written any more', async () => {
    await stolen()
    const landing = watch(tenure.checkpointNow(at(5)))
    await clock.advanceAsync(0)
    expect(landing.outcome).toBe('LeaseLostError')
    expect(tenure.signal.reason).toMatchObject({ name: 'LeaseLostError', leaseKey: 's1', owner: 'thief' })
    expect(tenure.isOurs()).toBe(false)
    expect(await tenure.revalidate()).toBe(false)
    tenure.checkpoint(at(9))
    await expect(tenure.checkpointNow(at(9))).rejects.toThrow('another worker has taken it')
    await expect(tenure.endShard([])).rejects.toThrow('another worker has taken it')
    await clock.advanceAsync(TICK * 5)
    expect(network.sent).toHaveLength(1)
    expect(await row()).toMatchObject({ leaseOwner: 'thief', checkpoint: TRIM_HORIZON })
    expect(events.map((event) => event.type)).toContain('lease-lost')
  })
})

describe('unknown outcomes', () => {
  test('the request was lost: sent again, with the same counter', async () => {
    network.next('renew', 'lost')
    tenure.checkpoint(at(5))
    await clock.advanceAsync(TICK + 100)
    expect(network.sent).toEqual(['renew', 'renew'])
    expect(await row()).toMatchObject({ leaseCounter: 2, checkpoint: at(5) })
  })

  test('the answer was lost: the row shows that it landed, and the trust counts from the first sending', async () => {
    network.next('renew', 'unanswered')
    const landing = watch(tenure.checkpointNow(at(5)))
    await clock.advanceAsync(100)
    expect(landing.outcome).toBe('done')
    expect(await row()).toMatchObject({ leaseCounter: 2, checkpoint: at(5) })
    expect(tenure.signal.aborted).toBe(false)
  })

  test('an earlier attempt landed, with an older checkpoint: the newer one is sent from there', async () => {
    network.next('renew', 'unanswered')
    tenure.checkpoint(at(5))
    await clock.advanceAsync(TICK)
    const landing = watch(tenure.checkpointNow(at(6)))
    await clock.advanceAsync(100)
    expect(landing.outcome).toBe('done')
    expect(await row()).toMatchObject({ leaseCounter: 3, checkpoint: at(6) })
  })

  test('a hanging call ends after a tick; when it lands in the end it changes nothing', async () => {
    network.next('renew', 'late')
    tenure.checkpoint(at(5))
    await clock.advanceAsync(TICK * 2 + 100)
    tenure.checkpoint(at(8))
    await clock.advanceAsync(TICK)
    const before = await row()
    expect(before).toMatchObject({ checkpoint: at(8) })
    await network.deliverLate()
    expect(await row()).toEqual(before)
  })

  test('taken while the outcome was unknown, and handed back to us: another generation, lost', async () => {
    network.next('renew', 'lost')
    await clock.advanceAsync(TICK)
    await stolen()
    const theirs = await row()
    await table.requestHandoff(theirs, 'me')
    await table.handOver(theirs, 'thief', { to: 'me' })
    expect(await row()).toMatchObject({ leaseOwner: 'me', leaseCounter: 3 })
    await clock.advanceAsync(100)
    expect(tenure.signal.aborted).toBe(true)
  })

  test('a refusal without such an attempt is a loss, even if the row names us', async () => {
    await stolen()
    await table.requestHandoff(await row(), 'me')
    const theirs = await row()
    await table.handOver(theirs, 'thief', { to: 'me' })
    await clock.advanceAsync(TICK)
    expect(tenure.signal.aborted).toBe(true)
  })

  test('throttled: certainly not written, tried again with a growing pause', async () => {
    network.next('renew', 'throttled', 'throttled', 'throttled')
    await clock.advanceAsync(TICK + 400)
    expect(network.sent).toHaveLength(4)
    expect(await row()).toMatchObject({ leaseCounter: 2 })
    expect(events).toMatchObject(
      Array(3).fill({ type: 'lease-store-failed', operation: 'renew', failure: { kind: 'throttled' } }),
    )
  })
})

test('a table that refuses the renewal eleven times has not cost the lease: attempts do not grow rare while it is trusted', async () => {
  network.next('renew', ...Array<Fault>(11).fill('throttled'))
  await clock.advanceAsync(FAILOVER * 0.9 - 1)
  expect(events.map(({ type }) => type)).toEqual(Array(11).fill('lease-store-failed'))
  expect([network.sent.length, (await row()).leaseCounter]).toEqual([12, 2])
})

describe('prepare and commit', () => {
  const state = new Uint8Array([1, 2])
  const prepared = (number: number) => ({ position: at(number), state })

  test('prepared at once, the checkpoint stays; committed at once, nothing is pending', async () => {
    const preparing = watch(tenure.checkpointNow(TRIM_HORIZON, prepared(5)))
    await clock.advanceAsync(0)
    expect(preparing.outcome).toBe('done')
    expect(await row()).toMatchObject({ leaseCounter: 2, checkpoint: TRIM_HORIZON, pendingCheckpoint: prepared(5) })
    const committing = watch(tenure.checkpointNow(at(5)))
    await clock.advanceAsync(0)
    expect(committing.outcome).toBe('done')
    expect(await row()).toMatchObject({ leaseCounter: 3, checkpoint: at(5), pendingCheckpoint: undefined })
    await clock.advanceAsync(TICK)
    expect(await row()).toMatchObject({ leaseCounter: 4, checkpoint: at(5), pendingCheckpoint: undefined })
  })

  test('a checkpoint that is remembered removes what was prepared, with the next renewal', async () => {
    await Promise.all([tenure.checkpointNow(TRIM_HORIZON, prepared(5)), clock.advanceAsync(0)])
    tenure.checkpoint(at(3))
    expect((await row()).pendingCheckpoint).toEqual(prepared(5))
    await clock.advanceAsync(TICK)
    expect(await row()).toMatchObject({ checkpoint: at(3), pendingCheckpoint: undefined })
  })

  test('the answer to the commit was lost: the row shows that it landed, and it is not sent again', async () => {
    await Promise.all([tenure.checkpointNow(TRIM_HORIZON, prepared(5)), clock.advanceAsync(0)])
    network.next('renew', 'unanswered')
    const committing = watch(tenure.checkpointNow(at(5)))
    await clock.advanceAsync(100)
    expect(committing.outcome).toBe('done')
    expect(await row()).toMatchObject({ leaseCounter: 3, checkpoint: at(5), pendingCheckpoint: undefined })
  })

  test('prepare landed without an answer, and was committed meanwhile: the commit is sent from there', async () => {
    network.next('renew', 'unanswered')
    const preparing = watch(tenure.checkpointNow(TRIM_HORIZON, prepared(5)))
    await clock.advanceAsync(0)
    const committing = watch(tenure.checkpointNow(at(5)))
    await clock.advanceAsync(100)
    expect([preparing.outcome, committing.outcome]).toEqual(['done', 'done'])
    expect(await row()).toMatchObject({ leaseCounter: 3, checkpoint: at(5), pendingCheckpoint: undefined })
  })

  test('prepare, commit, prepare: a late packet of the first leaves the second alone', async () => {
    network.next('renew', 'late')
    const first = watch(tenure.checkpointNow(TRIM_HORIZON, prepared(5)))
    await clock.advanceAsync(TICK + 100)
    expect(first.outcome).toBe('done')
    await Promise.all([tenure.checkpointNow(at(5)), clock.advanceAsync(0)])
    await Promise.all([tenure.checkpointNow(at(5), prepared(9)), clock.advanceAsync(0)])
    const before = await row()
    expect(before).toMatchObject({ checkpoint: at(5), pendingCheckpoint: prepared(9) })
    await network.deliverLate()
    expect(await row()).toEqual(before)
  })

  test('discarded while the outcome of prepare was unknown: done only once the row cannot become pending any more', async () => {
    network.next('renew', 'late')
    void tenure.checkpointNow(TRIM_HORIZON, prepared(5))
    await clock.advanceAsync(0)
    const discarding = watch(tenure.checkpointNow(TRIM_HORIZON))
    await table.requestHandoff(await row(), 'peer')
    await clock.advanceAsync(TICK - 1)
    expect(discarding.outcome).toBe('pending')
    await clock.advanceAsync(200)
    expect(discarding.outcome).toBe('done')
    const before = await row()
    await network.deliverLate()
    expect(await row()).toEqual(before)
    expect(before.pendingCheckpoint).toBe(undefined)
  })

  test('discarded twice meanwhile: the second is not done before the first', async () => {
    network.next('renew', 'late')
    const first = watch(tenure.checkpointNow(TRIM_HORIZON, prepared(5)))
    const discarded = watch(tenure.checkpointNow(TRIM_HORIZON))
    const again = watch(tenure.checkpointNow(TRIM_HORIZON))
    await clock.advanceAsync(TICK - 1)
    expect([first, discarded, again].map(({ outcome }) => outcome)).toEqual(['pending', 'pending', 'pending'])
    await clock.advanceAsync(TICK)
    expect([first, discarded, again].map(({ outcome }) => outcome)).toEqual(['done', 'done', 'done'])
    await network.deliverLate()
    expect((await row()).pendingCheckpoint).toBeUndefined()
  })

  test('prepared while a renewal is under way: done with the write after it, not before', async () => {
    const answers: (() => void)[] = []
    const renew = table.renew.bind(table)
    table.renew = async (...args) => {
      const write = await renew(...args)
      await new Promise<void>((resolve) => answers.push(resolve))
      return write
    }
    const first = watch(tenure.checkpointNow(at(3)))
    await clock.advanceAsync(0)
    const second = watch(tenure.checkpointNow(at(3), prepared(5)))
    answers[0]!()
    await clock.advanceAsync(0)
    expect([first.outcome, second.outcome, answers.length]).toEqual(['done', 'pending', 2])
    answers[1]!()
    await clock.advanceAsync(0)
    expect(second.outcome).toBe('done')
    table.renew = renew
  })

  test('nobody waits for a checkpoint beyond the failover time when the lease is to be given up and the table is away', async () => {
    network.outage = 'lost'
    const checkpointing = watch(tenure.checkpointNow(at(5)))
    await clock.advanceAsync(FAILOVER * 3)
    expect(checkpointing.outcome).toBe('pending')
    tenure.requestDrain()
    await clock.advanceAsync(TICK + 100)
    expect(checkpointing.outcome).toBe('LeaseLostError')
    const preparing = watch(tenure.checkpointNow(at(5), prepared(6)))
    await clock.advanceAsync(TICK + 100)
    expect(preparing.outcome).toBe('LeaseLostError')
  })

  test('what was replaced before it was written counts as landed with what took its place', async () => {
    const first = watch(tenure.checkpointNow(TRIM_HORIZON, prepared(5)))
    const second = watch(tenure.checkpointNow(TRIM_HORIZON, prepared(6)))
    await clock.advanceAsync(0)
    expect([first.outcome, second.outcome]).toEqual(['done', 'done'])
    expect(network.sent).toEqual(['renew'])
    expect((await row()).pendingCheckpoint).toEqual(prepared(6))
  })

  test('lost: the new owner has found what was prepared, and neither prepare nor commit lands any more', async () => {
    await Promise.all([tenure.checkpointNow(TRIM_HORIZON, prepared(5)), clock.advanceAsync(0)])
    await stolen()
    const committing = watch(tenure.checkpointNow(at(5)))
    await clock.advanceAsync(0)
    expect(committing.outcome).toBe('LeaseLostError')
    await expect(tenure.checkpointNow(at(5), prepared(6))).rejects.toThrow('another worker has taken it')
    expect(await row()).toMatchObject({ leaseOwner: 'thief', checkpoint: TRIM_HORIZON, pendingCheckpoint: prepared(5) })
  })

  test('given up: what is prepared goes to the next owner in the same write', async () => {
    const preparing = watch(tenure.checkpointNow(TRIM_HORIZON, prepared(5)))
    void tenure.release()
    await clock.advanceAsync(0)
    expect(preparing.outcome).toBe('done')
    expect(await row()).toMatchObject({ leaseOwner: undefined, pendingCheckpoint: prepared(5) })
    expect(network.sent).toEqual(['release'].map(() => 'handOver'))
    await expect(tenure.checkpointNow(at(5))).rejects.toThrow('given up before this checkpoint')
  })

  test('what an owner before us has prepared is there from the start', async () => {
    expect(tenure.pendingCheckpoint).toBe(undefined)
    const mine = await row()
    await table.renew(mine, 'me', { pending: prepared(5) })
    const lease = (await table.take(await row(), 'next')).lease!
    const next = new LeaseTenure({
      ...{ store: table, lease, startAt: undefined, sent: momentOf(clock), workerId: 'next', failoverTimeMs: FAILOVER },
      ...{ clock, random: () => 0.5, createChildren: async () => [], emit: () => {} },
      ...{ departure, loopWatch: new EventLoopWatch(FAILOVER, () => {}), handoffTimeoutMs: HANDOFF },
    })
    expect(next.pendingCheckpoint).toEqual(prepared(5))
    const run = next.run()
    await clock.advanceAsync(TICK)
    expect((await row()).pendingCheckpoint).toEqual(prepared(5))
    void next.release()
    await clock.advanceAsync(0)
    await run
  })
})

describe('trust', () => {
  test('ends by itself when renewals fail: nothing may be delivered, though nobody has taken the lease', async () => {
    network.outage = 'lost'
    await clock.advanceAsync(8_099)
    expect([tenure.isOurs(), tenure.isOurs(momentOf(clock))]).toEqual([true, true])
    await clock.advanceAsync(1)
    expect([tenure.isOurs(), tenure.isOurs(momentOf(clock))]).toEqual([false, false])
    expect(tenure.isLate()).toBe(true)
    expect(tenure.signal.aborted).toBe(false)
    await clock.advanceAsync(TICK)
    expect(events.filter((event) => event.type === 'lease-in-doubt')).toHaveLength(1)
  })

  test('counts from the sending of the write, not from its answer', async () => {
    network.next('renew', 'unanswered')
    await clock.advanceAsync(TICK)
    // The retry, 37 ms later, finds that the first attempt has landed.
    await clock.advanceAsync(100)
    network.outage = 'lost'
    await clock.advanceAsync(8_099 - 100)
    expect(tenure.isOurs()).toBe(true)
    await clock.advanceAsync(1)
    expect(tenure.isOurs()).toBe(false)
  })

  test('a slow answer does not lengthen it', async () => {
    let answer: () => void = () => {}
    const renew = table.renew.bind(table)
    table.renew = async (...args) => {
      const write = await renew(...args)
      await new Promise<void>((resolve) => {
        answer = resolve
      })
      return write
    }
    await clock.advanceAsync(TICK + 2_000)
    answer()
    await clock.advanceAsync(0)
    network.outage = 'lost'
    await clock.advanceAsync(8_099 - 2_000)
    expect(tenure.isOurs()).toBe(true)
    await clock.advanceAsync(1)
    expect(tenure.isOurs()).toBe(false)
  })

  test('comes back by revalidation, without a loss, when nobody had the lease', async () => {
    network.outage = 'lost'
    await clock.advanceAsync(20_000)
    const answer = watch(tenure.revalidate())
    network.outage = undefined
    await clock.advanceAsync(TICK)
    expect(answer.outcome).toBe(true)
    expect(tenure.isOurs()).toBe(true)
    expect(tenure.signal.aborted).toBe(false)
    const words = events.map(({ type }) => type).filter((type) => type !== 'lease-store-failed')
    expect(words).toEqual(['lease-in-doubt', 'lease-confirmed'])
  })

  test('the answer that shows an old attempt landed does not end the doubt, the renewal after it does', async () => {
    network.next('renew', 'unanswered')
    network.outage = 'lost'
    await clock.advanceAsync(20_000)
    network.outage = undefined
    await clock.advanceAsync(TICK)
    expect(tenure.isOurs()).toBe(true)
    expect(events.filter(({ type }) => type === 'lease-confirmed')).toHaveLength(1)
  })

  test('does not come back when somebody had it', async () => {
    network.outage = 'lost'
    await clock.advanceAsync(20_000)
    await stolen()
    network.outage = undefined
    const answer = watch(tenure.revalidate())
    await clock.advanceAsync(TICK)
    expect(answer.outcome).toBe(false)
    expect(tenure.signal.aborted).toBe(true)
  })

  test('is confirmed by a renewal although it is trusted, and refused when somebody has taken it', async () => {
    const first = watch(tenure.confirm())
    await clock.advanceAsync(0)
    expect([first.outcome, network.sent]).toEqual([true, ['renew']])
    await stolen()
    expect(tenure.isOurs()).toBe(true)
    const second = watch(tenure.confirm())
    await clock.advanceAsync(0)
    expect(second.outcome).toBe(false)
    expect(tenure.signal.aborted).toBe(true)
  })

  test('after a suspension: the wall clock has run on, so ask first', async () => {
    clock.jumpWallTime(60_000)
    expect(tenure.isOurs()).toBe(false)
    const answer = watch(tenure.revalidate())
    await clock.advanceAsync(0)
    expect(answer.outcome).toBe(true)
    expect(network.sent).toEqual(['renew'])
    expect(tenure.isOurs()).toBe(true)
    expect(await tenure.revalidate()).toBe(true)
    expect(network.sent).toEqual(['renew'])
  })
})

describe('giving up', () => {
  test('release writes the last checkpoint and leaves the lease free', async () => {
    tenure.checkpoint(at(5))
    const released = watch(tenure.release())
    expect(tenure.isOurs()).toBe(false)
    await clock.advanceAsync(0)
    expect(released.outcome).toBe('done')
    expect(tenure.vacated.aborted).toBe(true)
    expect(tenure.signal.aborted).toBe(false)
    expect(await row()).toMatchObject({ leaseOwner: undefined, leaseCounter: 2, checkpoint: at(5) })
    expect(events).toEqual([{ type: 'lease-released', leaseKey: 's1', to: undefined }])
    await tenure.release()
  })

  test('a request for a handoff, seen in a renewal, drains; release hands over', async () => {
    await table.requestHandoff(await row(), 'next')
    await clock.advanceAsync(TICK)
    expect(tenure.drain.aborted).toBe(true)
    expect(tenure.isOurs()).toBe(true)
    tenure.checkpoint(at(5))
    void tenure.release()
    await clock.advanceAsync(0)
    expect(await row()).toMatchObject({ leaseOwner: 'next', checkpointOwner: undefined, checkpoint: at(5) })
  })

  test('a request that arrives with the release is honoured', async () => {
    await table.requestHandoff(await row(), 'next')
    void tenure.release()
    await clock.advanceAsync(0)
    expect(await row()).toMatchObject({ leaseOwner: 'next', checkpointOwner: undefined })
  })

  test('a sight of an earlier handoff, from before this lease was taken: nobody waits for it', async () => {
    const before = { ...(await row()), leaseCounter: 0, leaseOwner: 'next', nextOwner: 'next', checkpointOwner: 'me' }
    tenure.observe(before)
    await clock.advanceAsync(TICK)
    expect(tenure.drain.aborted).toBe(false)
  })

  test('a row that asks us for a lease on our own behalf, as no worker writes it: given up all the same', async () => {
    await table.requestHandoff(await row(), 'me')
    const released = watch(tenure.release())
    await clock.advanceAsync(FAILOVER)
    expect(released.outcome).toBe('done')
  })

  test('a request that was withdrawn: to nobody', async () => {
    await table.requestHandoff(await row(), 'next')
    await clock.advanceAsync(TICK)
    await table.withdrawHandoff(await row(), 'next')
    void tenure.release()
    await clock.advanceAsync(0)
    expect(await row()).toMatchObject({ leaseOwner: undefined, checkpointOwner: undefined })
  })

  test('the answer to the release was lost', async () => {
    network.next('handOver', 'unanswered')
    const released = watch(tenure.release())
    await clock.advanceAsync(100)
    expect(released.outcome).toBe('done')
    expect(await row()).toMatchObject({ leaseOwner: undefined, leaseCounter: 2 })
    expect(events.at(-1)).toMatchObject({ type: 'lease-released' })
  })

  test('the answer to a renewal was lost just before', async () => {
    network.next('renew', 'unanswered')
    await clock.advanceAsync(TICK)
    tenure.checkpoint(at(5))
    void tenure.release()
    await clock.advanceAsync(100)
    expect(await row()).toMatchObject({ leaseOwner: undefined, leaseCounter: 3, checkpoint: at(5) })
  })

  test('during an outage it ends with the failover time', async () => {
    network.outage = 'lost'
    const released = watch(tenure.release())
    await clock.advanceAsync(FAILOVER)
    expect(released.outcome).toBe('pending')
    await clock.advanceAsync(TICK * 2)
    expect(released.outcome).toBe('done')
  })

  test('after an outage longer than the failover time, asked for meanwhile: it hands over all the same, with its checkpoint', async () => {
    tenure.checkpoint(at(8))
    network.outage = 'lost'
    await clock.advanceAsync(FAILOVER + TICK)
    await table.requestHandoff(await row(), 'next')
    network.outage = undefined
    // No renewal has told of the request: the release is the first to find it.
    const released = watch(tenure.release())
    await clock.advanceAsync(TICK)
    expect(released.outcome).toBe('done')
    expect(await row()).toMatchObject({ leaseOwner: 'next', checkpointOwner: undefined, checkpoint: at(8) })
    expect(events.at(-1)).toMatchObject({ type: 'lease-released', to: 'next' })
  })

  test('after a loss it is only the word that the worker has finished', async () => {
    await stolen()
    await clock.advanceAsync(TICK)
    expect(tenure.vacated.aborted).toBe(false)
    await tenure.release()
    expect(tenure.vacated.aborted).toBe(true)
    expect(await row()).toMatchObject({ leaseOwner: 'thief' })
  })

  test('a lease lost before the release is reported as lost', async () => {
    await stolen()
    const released = watch(tenure.release())
    await clock.advanceAsync(0)
    expect(released.outcome).toBe('done')
    expect(events).toMatchObject([{ type: 'lease-lost' }])
  })

  test('a lease lost while renewals had no answer is not taken for released', async () => {
    network.outage = 'lost'
    await clock.advanceAsync(FAILOVER + TICK)
    await stolen()
    network.outage = undefined
    const released = watch(tenure.release())
    await clock.advanceAsync(TICK)
    expect(released.outcome).toBe('done')
    expect(events.at(-1)).toMatchObject({ type: 'lease-lost', error: { owner: 'thief' } })
  })

  test('a release without answer that landed, and a taker after it: released', async () => {
    network.next('handOver', 'unanswered')
    void tenure.release()
    await clock.advanceAsync(0)
    await stolen()
    await clock.advanceAsync(TICK)
    expect(events.at(-1)).toMatchObject({ type: 'lease-released', to: undefined })
  })
})

describe('leaving', () => {
  beforeEach(() => {
    departure.isLeaving = true
  })

  test('names a successor in the write that carries the last checkpoint', async () => {
    departure.successorOf = () => 'peer'
    tenure.checkpoint(at(5))
    void tenure.release()
    await clock.advanceAsync(0)
    expect(network.sent).toEqual(['handOver'])
    expect(await row()).toMatchObject({ leaseOwner: 'peer', nextOwner: 'peer', leaver: 'me', checkpoint: at(5), leaseCounter: 2 })
    expect(events).toEqual([{ type: 'lease-released', leaseKey: 's1', to: 'peer' }])
  })

  test('who has asked comes first', async () => {
    departure.successorOf = () => 'peer'
    await table.requestHandoff(await row(), 'next')
    void tenure.release()
    await clock.advanceAsync(0)
    expect(await row()).toMatchObject({ leaseOwner: 'next', leaver: 'me' })
  })

  test('nobody to name: free, and marked', async () => {
    void tenure.release()
    await clock.advanceAsync(0)
    expect(await row()).toMatchObject({ leaseOwner: undefined, nextOwner: undefined, leaver: 'me' })
  })

  test('the answer was lost: given once, to one', async () => {
    const peers = ['one', 'two']
    departure.successorOf = () => peers.shift()
    network.next('handOver', 'unanswered')
    const released = watch(tenure.release())
    await clock.advanceAsync(100)
    expect(released.outcome).toBe('done')
    expect(await row()).toMatchObject({ leaseOwner: 'one', leaseCounter: 2 })
    expect(events.at(-1)).toEqual({ type: 'lease-released', leaseKey: 's1', to: 'one' })
  })

  test('a slow worker: its renewals say that we leave', async () => {
    tenure.requestDrain()
    await clock.advanceAsync(TICK)
    expect(await row()).toMatchObject({ leaseOwner: 'me', leaver: 'me', leaseCounter: 2 })
    expect(tenure.isOurs()).toBe(true)
  })

  test('the time limit of handoffs is none of a stop’s', async () => {
    tenure.requestDrain()
    await clock.advanceAsync(HANDOFF * 3)
    expect(tenure.isOurs()).toBe(true)
  })
})

describe('the time limit of a handoff', () => {
  beforeEach(async () => {
    await table.requestHandoff(await row(), 'next')
    await clock.advanceAsync(TICK)
  })

  test('cut off: told, nothing more begins; a second later handed over at the completed record', async () => {
    tenure.checkpoint(at(5))
    await clock.advanceAsync(HANDOFF - 1)
    expect([tenure.isOurs(), tenure.signal.aborted]).toEqual([true, false])
    await clock.advanceAsync(1)
    expect([tenure.isOurs(), tenure.signal.aborted]).toEqual([false, true])
    expect(await tenure.revalidate()).toBe(false)
    expect((await row()).checkpointOwner).toBe('me')
    await clock.advanceAsync(1_000)
    expect(await row()).toMatchObject({ leaseOwner: 'next', checkpointOwner: undefined, checkpoint: at(5) })
    expect(events.map(({ type }) => type)).toEqual(['lease-handoff-forced', 'lease-released'])
    expect(tenure.vacated.aborted).toBe(false)
    const sent = network.sent.length
    await clock.advanceAsync(TICK * 3)
    expect(network.sent).toHaveLength(sent)
    await tenure.release()
    expect(tenure.vacated.aborted).toBe(true)
  })

  test('withdrawn: nobody waits, and the handler has the time that it needs; asked for again, the limit begins anew', async () => {
    await table.withdrawHandoff(await row(), 'next')
    await clock.advanceAsync(HANDOFF * 2)
    expect([tenure.isOurs(), tenure.signal.aborted]).toEqual([true, false])
    await table.requestHandoff(await row(), 'other')
    await clock.advanceAsync(HANDOFF - 1)
    expect(tenure.signal.aborted).toBe(false)
    await clock.advanceAsync(TICK + 1_001)
    expect(await row()).toMatchObject({ leaseOwner: 'other', checkpointOwner: undefined })
  })

  test('a worker that finishes within the second hands over by itself', async () => {
    await clock.advanceAsync(HANDOFF + 500)
    await tenure.release()
    expect(await row()).toMatchObject({ leaseOwner: 'next', checkpointOwner: undefined })
    expect(tenure.vacated.aborted).toBe(true)
  })

  test('a worker that finishes in time is not cut off, also when its write takes long', async () => {
    await clock.advanceAsync(HANDOFF - 100)
    network.next('handOver', 'lost', 'lost')
    const released = watch(tenure.release())
    await clock.advanceAsync(TICK)
    expect(released.outcome).toBe('done')
    expect(tenure.signal.aborted).toBe(false)
    expect(events.map(({ type }) => type)).not.toContain('lease-handoff-forced')
  })

  test('at the end of the shard, whose children cannot be created', async () => {
    createChildren = async () => {
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
    }
    const ended = watch(tenure.endShard([{ ShardId: 's2' }]))
    await clock.advanceAsync(HANDOFF + TICK)
    // The drain asks for no more attempts.
    expect(ended.outcome).toBe(false)
    expect(await row()).toMatchObject({ checkpointOwner: undefined, leaseOwner: 'next' })
  })

  test('at the end of the shard, whose children’s creation hangs', async () => {
    createChildren = () => new Promise(() => {})
    const ended = watch(tenure.endShard([{ ShardId: 's2' }]))
    await clock.advanceAsync(HANDOFF + 1_000 + TICK)
    expect(await row()).toMatchObject({ checkpointOwner: undefined, leaseOwner: 'next' })
    await clock.advanceAsync(30_000)
    expect(ended.outcome).not.toBe('pending')
  })

  test('during an outage it ends with the failover time', async () => {
    await clock.advanceAsync(HANDOFF)
    network.outage = 'lost'
    await clock.advanceAsync(FAILOVER + TICK * 2)
    expect(tenure.isHeld()).toBe(false)
  })
})

describe('a stalled reader', () => {
  test('is not renewed: the lease goes to a named peer, the worker is told', async () => {
    let stalledMs: number | undefined
    tenure.renewWhile({ stalledMs: () => stalledMs })
    departure.successorOf = () => 'peer'
    await clock.advanceAsync(TICK * 5)
    expect(tenure.isOurs()).toBe(true)
    stalledMs = 130_000
    await clock.advanceAsync(TICK)
    expect(tenure.signal.reason).toMatchObject({ name: 'LeaseLostError' })
    expect(await row()).toMatchObject({ leaseOwner: 'peer', nextOwner: 'peer', leaver: undefined })
    expect(events).toMatchObject([
      { type: 'lease-reader-stalled', leaseKey: 's1', stalledMs: 130_000 },
      { type: 'lease-released', to: 'peer' },
    ])
    expect(tenure.vacated.aborted).toBe(false)
  })
})

describe('the end of the shard', () => {
  const children: ChildShard[] = [{ ShardId: 's2' }, { ShardId: 's3' }]

  test('children first, then SHARD_END without owner', async () => {
    let before: Lease | undefined
    createChildren = async () => {
      before = await row()
      return ['s2', 's3']
    }
    const ended = watch(tenure.endShard(children))
    await clock.advanceAsync(0)
    expect(ended.outcome).toBe(true)
    expect(before).toMatchObject({ checkpoint: TRIM_HORIZON })
    expect(await row()).toMatchObject({ checkpoint: SHARD_END, leaseOwner: undefined, childShardIds: ['s2', 's3'] })
    expect(tenure.hasEnded() && tenure.vacated.aborted && !tenure.signal.aborted).toBe(true)
    await tenure.release()
  })

  test('the children cannot be created for a while: the lease is renewed meanwhile', async () => {
    let failures = 6
    createChildren = async () => {
      if (failures-- > 0) throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
      return []
    }
    const ended = watch(tenure.endShard(children))
    await clock.advanceAsync(TICK * 2)
    expect(network.sent).toContain('renew')
    expect(ended.outcome).toBe(true)
  })

  test('the children make no sense: the lease stays ours and the error is told', async () => {
    createChildren = async () => {
      throw new Error('A child shard must have ShardId')
    }
    await expect(tenure.endShard(children)).rejects.toThrow('A child shard must have')
    expect(tenure.isOurs()).toBe(true)
  })

  test('the answer was lost', async () => {
    network.next('end', 'unanswered')
    const ended = watch(tenure.endShard(children))
    await clock.advanceAsync(100)
    expect(ended.outcome).toBe(true)
    expect(await row()).toMatchObject({ checkpoint: SHARD_END, leaseCounter: 2 })
  })

  test('to finish while the children cannot be created: not recorded, and still ours to release', async () => {
    createChildren = async () => {
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
    }
    const ended = watch(tenure.endShard(children))
    await clock.advanceAsync(TICK)
    expect(ended.outcome).toBe('pending')
    tenure.requestDrain()
    await clock.advanceAsync(TICK)
    expect(ended.outcome).toBe(false)
    expect(tenure.isOurs() && !tenure.vacated.aborted).toBe(true)
  })

  test('to finish while the end cannot be written: released, and a late end is dead', async () => {
    const ended = watch(tenure.endShard(children))
    network.next('end', 'lost', 'late')
    await clock.advanceAsync(10)
    expect(ended.outcome).toBe('pending')
    tenure.requestDrain()
    await clock.advanceAsync(TICK * 2)
    expect(ended.outcome).toBe(false)
    await tenure.release()
    await network.deliverLate()
    expect(await row()).toMatchObject({ checkpoint: TRIM_HORIZON, leaseOwner: undefined })
    expect(tenure.hasEnded()).toBe(false)
  })

  test('to finish while the end has been written and no answer comes', async () => {
    const ended = watch(tenure.endShard(children))
    tenure.requestDrain()
    network.next('end', 'unanswered')
    await clock.advanceAsync(TICK)
    expect(ended.outcome).toBe(false)
    await tenure.release()
    expect(await row()).toMatchObject({ checkpoint: SHARD_END, leaseOwner: undefined, leaseCounter: 2 })
    expect(tenure.signal.aborted).toBe(false)
    expect(events.at(-1)).toEqual({ type: 'lease-ended', leaseKey: 's1', childShardIds: ['s2', 's3'] })
    expect(tenure.hasEnded()).toBe(true)
  })

  test('lost before: rejects, and the shard is not ended', async () => {
    await stolen()
    const ended = watch(tenure.endShard(children))
    await clock.advanceAsync(0)
    expect(ended.outcome).toBe('LeaseLostError')
    expect(tenure.vacated.aborted).toBe(true)
    expect(await row()).toMatchObject({ leaseOwner: 'thief', checkpoint: TRIM_HORIZON })
  })

  test('lost while the children cannot be created', async () => {
    createChildren = async () => {
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
    }
    const ended = watch(tenure.endShard(children))
    await stolen()
    await clock.advanceAsync(TICK * 3)
    expect(ended.outcome).toBe('LeaseLostError')
  })
})
