import { ManualClock } from '@shardwise/core/clock'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HandlerContext } from '../delivery/handler.js'
import { EventLoopWatch } from '../leases/event-loop-watch.js'
import type { Lease } from '../leases/lease.js'
import { LeaseLostError } from '../leases/lease-lost-error.js'
import { LeaseTenure } from '../leases/lease-tenure.js'
import { MemoryLeaseStore } from '../leases/memory-lease-store.js'
import { type Fault, FaultyLeaseStore } from '../leases/testing/faulty-lease-store.js'
import { momentOf } from '../leases/trust-window.js'
import { Checkpointer } from './checkpointer.js'
import { type PendingCheckpoint, samePending } from './pending-checkpoint.js'
import { comparePositions, type Position, sequencePosition, TRIM_HORIZON } from './position.js'
import { type PreparedCheckpoint, ShardCheckpoints } from './shard-checkpoints.js'

const FAILOVER = 3_000
/** A number for a record, members of aggregates included: 7 is 2/1. Position 0 is the beginning. */
const record = (n: number) => ({ sequenceNumber: `${1 + Math.floor((n - 1) / 3)}`, subSequenceNumber: (n - 1) % 3 })
const position = (n: number): Position =>
  n === 0 ? TRIM_HORIZON : sequencePosition(record(n).sequenceNumber, record(n).subSequenceNumber)

type Step =
  | { readonly do: 'hand' | 'complete'; readonly records: number }
  | { readonly do: 'fail' | 'steal' | 'deliver-late' }
  | { readonly do: 'checkpoint'; readonly at: number | undefined }
  | { readonly do: 'prepare'; readonly at: number | undefined; readonly state: Uint8Array | undefined }
  | { readonly do: 'commit'; readonly which: number }
  | { readonly do: 'fault'; readonly fault: Fault }
  | { readonly do: 'wait'; readonly ms: number }

/** `at` is how far from the last checkpoint, also before it and beyond what was delivered. */
const target = fc.option(fc.integer({ min: -3, max: 8 }), { nil: undefined })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('hand', 'complete'), records: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail') }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('checkpoint'), at: target }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('prepare'),
      at: target,
      state: fc.option(fc.uint8Array({ minLength: 1, maxLength: 2 }), { nil: undefined }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('commit'), which: fc.nat(3) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('fault'), fault: fc.constantFrom('lost', 'unanswered', 'late', 'throttled') }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.nat(FAILOVER / 2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deliver-late') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('steal') }) },
) as fc.Arbitrary<Step>

/** What should stand in the row in the end, by the rules alone. Numbers are records. */
class Model {
  last = 0
  completed = 0
  inHand: number | undefined
  pending: { readonly at: number; readonly state: Uint8Array | undefined } | undefined
  readonly automatic: boolean
  constructor(automatic: boolean) {
    this.automatic = automatic
  }
  get largest(): number {
    return Math.max(this.last, this.completed, this.inHand ?? 0)
  }
  allows(at: number | undefined): boolean {
    return at === undefined || (at > 0 && at >= this.last && at <= this.largest)
  }
  checkpoint(at: number): void {
    this.last = Math.max(this.last, at)
    this.pending = undefined
  }
  complete(to: number): void {
    this.completed = to
    if (this.automatic) this.checkpoint(to)
  }
  pendingPosition(): PendingCheckpoint | undefined {
    return this.pending && { position: position(this.pending.at), state: this.pending.state }
  }
}

test('property: never back, never ahead of what was delivered, and in the end the row holds what was accepted last', async () => {
  const seen = { accepted: 0, refused: 0, stolen: 0, pendingAtEnd: 0 }
  const check = async (steps: readonly Step[], automatic: boolean, everyRecords: number | undefined): Promise<void> => {
    const clock = new ManualClock()
    const table = new MemoryLeaseStore()
    const network = new FaultyLeaseStore(table)
    await table.create({ leaseKey: 's1', checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined })
    const row = async (): Promise<Lease> => (await table.read('s1'))!
    const taken = (await table.take(await row(), 'me')).lease!
    const tenure = new LeaseTenure({
      ...{ store: network.store, lease: taken, startAt: undefined, sent: momentOf(clock), workerId: 'me' },
      ...{ failoverTimeMs: FAILOVER, clock, random: () => 0, createChildren: async () => [], emit: () => {} },
      departure: { isLeaving: false, successorOf: () => undefined },
      ...{ loopWatch: new EventLoopWatch(FAILOVER, () => {}), handoffTimeoutMs: 30_000 },
    })
    const running = tenure.run()
    const checkpointer = new Checkpointer({ lease: tenure, writeAfterMs: undefined, everyRecords, clock })
    const checkpoints = new ShardCheckpoints({
      stream: 'flights',
      lease: tenure,
      automatic: automatic ? checkpointer : undefined,
      sideBySide: false,
    })
    const checkpoint: HandlerContext['checkpoint'] = (record) => checkpoints.checkpoint(record)
    const prepareCheckpoint: HandlerContext['prepareCheckpoint'] = (record, state) => checkpoints.prepareCheckpoint(record, state)
    const model = new Model(automatic)
    const prepared: { at: number; state: Uint8Array | undefined; result: Promise<PreparedCheckpoint | undefined> }[] = []
    const pendings: (PendingCheckpoint | undefined)[] = [undefined]
    let delivered = 0
    let stolen: Lease | undefined
    /** Promises of calls: each lands, or says that the lease is lost. */
    const calls: Promise<unknown>[] = []
    const follow = async (call: Promise<unknown>, allowed: boolean): Promise<void> => {
      calls.push(
        call.then(
          () => expect(allowed).toBe(true),
          (error: Error) => {
            if (allowed) expect([error.name, stolen !== undefined]).toEqual(['LeaseLostError', true])
            else expect(error).toBeInstanceOf(RangeError)
          },
        ),
      )
    }
    let before = taken
    for (const each of [...steps, { do: 'wait', ms: 0 } as const]) {
      if (each.do === 'hand') {
        delivered = Math.max(delivered, model.completed + each.records)
        model.inHand = model.completed + each.records
        checkpoints.inHand(record(model.inHand))
      } else if (each.do === 'complete' && model.inHand !== undefined && model.inHand > model.completed) {
        const to = Math.min(model.inHand, model.completed + each.records)
        checkpoints.completed(record(to), to - model.completed)
        model.complete(to)
      } else if (each.do === 'fail') {
        checkpoints.inHand(undefined)
        model.inHand = undefined
      } else if (each.do === 'checkpoint') {
        const at = each.at === undefined ? undefined : model.last + each.at
        if (at !== undefined && at < 1) continue
        const allowed = model.allows(at)
        void follow(checkpoint(at === undefined ? undefined : record(at)), allowed)
        if (allowed) model.checkpoint(at ?? model.largest)
        seen[allowed ? 'accepted' : 'refused']++
      } else if (each.do === 'prepare') {
        const at = each.at === undefined ? undefined : model.last + each.at
        if (at !== undefined && at < 1) continue
        const allowed = model.allows(at)
        const result = prepareCheckpoint(at === undefined ? undefined : record(at), each.state)
        void follow(result, allowed)
        const asked = { at: at ?? model.largest, state: each.state }
        const moot = asked.at === model.last && asked.state === undefined && model.pending === undefined
        if (allowed && !moot) model.pending = asked
        if (allowed) prepared.push({ ...asked, result: result.catch(() => undefined) })
      } else if (each.do === 'commit') {
        const chosen = prepared.at(-1 - each.which)
        // Only what has landed can be committed: before there is nothing to call.
        const handle = await Promise.race([chosen?.result, new Promise<undefined>((resolve) => setImmediate(resolve, undefined))])
        if (chosen === undefined || handle === undefined) continue
        const allowed = chosen.at === 0 || model.allows(chosen.at)
        void follow(handle.commit(), allowed)
        const later = model.pending !== undefined && model.pending.at > chosen.at ? model.pending : undefined
        if (allowed) model.checkpoint(chosen.at)
        if (allowed) model.pending = later
      } else if (each.do === 'fault') network.next('renew', each.fault)
      else if (each.do === 'wait') await clock.advanceAsync(each.ms)
      else if (each.do === 'deliver-late') await network.deliverLate()
      else if (each.do === 'steal' && stolen === undefined && tenure.isOurs()) {
        const write = await table.take(await row(), 'thief')
        // A renewal may have been faster.
        if (write.done) stolen = write.lease
        if (write.done) seen.stolen++
      }
      pendings.push(model.pendingPosition())
      const now = await row()
      expect(comparePositions(now.checkpoint, before.checkpoint)).toBeGreaterThanOrEqual(0)
      expect(comparePositions(now.checkpoint, position(delivered))).toBeLessThanOrEqual(0)
      expect(pendings.some((pending) => samePending(pending, now.pendingCheckpoint))).toBe(true)
      before = now
    }
    checkpointer.close()
    const released = tenure.release()
    await clock.advanceAsync(FAILOVER)
    await released
    await running
    await network.deliverLate()
    const end = await row()
    if (stolen === undefined) {
      expect(end).toMatchObject({ leaseOwner: undefined, checkpoint: position(model.last) })
      expect(end.pendingCheckpoint).toEqual(model.pendingPosition())
      if (end.pendingCheckpoint !== undefined) seen.pendingAtEnd++
    } else expect(end).toEqual(stolen)
    await Promise.all(calls)
    await expect(checkpoint()).rejects.toThrow(LeaseLostError)
    expect(clock.pendingTimers).toBe(0)
  }
  const everyRecords = fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined })
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), everyRecords, check), { numRuns: 400 })
  // What it is to show has come to pass. The rarest, a pending checkpoint at the end, comes 29 to 45 times (eight runs).
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(5)
})
