import { type Clock, ManualClock, type Scheduled, sleep } from '@shardwise/core/clock'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import { type Random, seededRandom } from '@shardwise/core/random'
import type { Shard } from '@shardwise/core/shard-map'
import { comparePositions, type Position, sequencePosition } from '../../checkpoints/position.js'
import type { LeasedShards } from '../../shards/leased-shards.js'
import { ShardDiscovery } from '../../shards/shard-discovery.js'
import { parentIds } from '../../shards/shard-family.js'
import { DynamoDBLeaseStore } from '../dynamodb-lease-store.js'
import type { HeldLease } from '../held-lease.js'
import { KclFleet } from '../kcl-fleet.js'
import { KclTables } from '../kcl-tables.js'
import { hasEnded, type Lease, leaseKeyOf } from '../lease.js'
import { LeaseCoordinator } from '../lease-coordinator.js'
import type { LeaseEvent } from '../lease-event.js'
import { LeaseLostError } from '../lease-lost-error.js'
import type { LeaseStore } from '../lease-store.js'
import type { DynamoDBTables } from './dynamodb-tables.js'
import { PreparedHistory } from './prepared-history.js'

export interface Faults {
  /** Of each call: the request is lost; its answer is lost; it lands late, long after the caller has given up. */
  lost: number
  unanswered: number
  late: number
  /** Nothing reaches the table. */
  outage: boolean
  /** Of each worker that is to finish: its handler hangs. */
  hangs: number
  /** Of each read: it was the last, and the worker does not notice. */
  stalls: number
}

/** Shards of a stream that was split and merged, with the number of records in each; undefined: open, records without end. */
export interface SimulatedShard {
  readonly shard: Shard
  readonly records: number | undefined
}

export type Stream = ReadonlyMap<string, SimulatedShard>

/** The lease table, and the application, of worlds with DynamoDB. */
export const TABLE = 'flights-app'

/** One simulated world: a lease table, a stream, a clock, and what must be true in it at every moment. */
export class World {
  readonly clock: ManualClock = new ManualClock()
  readonly random: Random
  readonly faults: Faults = { lost: 0, unanswered: 0, late: 0, outage: false, hangs: 0, stalls: 0 }
  readonly workers: SimulatedWorker[] = []
  readonly delivered: Map<string, number> = new Map()
  readonly problems: string[] = []
  readonly prepared: PreparedHistory = new PreparedHistory((what) =>
    this.problems.push(`${Math.round(this.clock.now())}: ${what}`),
  )
  readonly stream: Stream
  /** Each has the shards of `stream`. Undefined: the one stream of its table. */
  readonly streamIds: readonly (string | undefined)[]
  readonly store: LeaseStore
  /** With these every worker has the DynamoDB store, and looks for Java's KCL. */
  readonly tables: DynamoDBTables | undefined
  readonly failoverTimeMs: number
  /** Longer than a create may be on its way: decided within failoverTimeMs, and late by lateWithinMs. */
  readonly finishedLeaseKeptMs: number
  /** Audits of one worker are this far apart at most. */
  readonly auditWithinMs: number
  /** How late a late call lands at most. */
  readonly lateWithinMs: number
  deliveries = 0
  #checkpoints = new Map<string, Lease>()

  constructor(options: {
    seed: number
    store: LeaseStore
    stream: Stream
    streamIds?: readonly string[]
    failoverTimeMs: number
    tables?: DynamoDBTables | undefined
    finishedLeaseKeptMs?: number
    auditWithinMs?: number
    lateWithinMs?: number
  }) {
    this.random = seededRandom(options.seed)
    this.store = options.store
    this.tables = options.tables
    this.stream = options.stream
    this.streamIds = options.streamIds ?? [undefined]
    this.failoverTimeMs = options.failoverTimeMs
    this.finishedLeaseKeptMs = options.finishedLeaseKeptMs ?? options.failoverTimeMs * 5
    this.lateWithinMs = options.lateWithinMs ?? options.failoverTimeMs * 3
    this.auditWithinMs = options.auditWithinMs ?? options.failoverTimeMs * 4
  }

  addWorker(reads: readonly (string | undefined)[] = this.streamIds): SimulatedWorker {
    const worker = new SimulatedWorker(this, `w${this.workers.length}`, reads)
    this.workers.push(worker)
    void worker.start()
    return worker
  }

  /** Lets time pass, event by event, looking at everything after each. */
  async pass(ms: number): Promise<void> {
    const end = this.clock.now() + ms
    while (this.clock.now() < end) {
      const next = Math.min(this.clock.nextTimerAt ?? end, end)
      await this.clock.advanceAsync(next - this.clock.now())
      await this.#check()
    }
  }

  async #check(): Promise<void> {
    const now = Math.round(this.clock.now())
    const trusting = new Map<string, string>()
    // Also of workers that are paused, or gone: if they ran again at this very moment, this is what they would believe.
    for (const worker of this.workers) {
      for (const lease of worker.held) {
        if (!lease.isOurs()) continue
        const other = trusting.get(lease.leaseKey)
        if (other !== undefined) this.problems.push(`${now}: ${other} and ${worker.id} both trust ${lease.leaseKey}`)
        trusting.set(lease.leaseKey, worker.id)
      }
    }
    for (const row of (await this.store.list()).leases) {
      const before = this.#checkpoints.get(row.leaseKey)
      if (before !== undefined && comparePositions(row.checkpoint, before.checkpoint) < 0) {
        this.problems.push(`${now}: the checkpoint of ${row.leaseKey} went back`)
      }
      if (row.checkpoint.kind === 'sequence' && Number(row.checkpoint.sequenceNumber) > (this.delivered.get(row.leaseKey) ?? 0)) {
        this.problems.push(`${now}: the checkpoint of ${row.leaseKey} is ahead of what was delivered`)
      }
      this.#checkpoints.set(row.leaseKey, row)
    }
  }

  /** A worker hands record `position` of a shard to its handler. */
  deliver(
    { leaseKey, shardId, streamId }: Pick<HeldLease, 'leaseKey' | 'shardId' | 'streamId'>,
    position: number,
    worker: string,
  ): void {
    this.deliveries++
    const before = this.delivered.get(leaseKey) ?? 0
    if (position > before + 1) this.problems.push(`${worker} skips ${leaseKey} from ${before} to ${position}`)
    for (const parent of parentIds(this.stream.get(shardId)!.shard)) {
      if ((this.delivered.get(leaseKeyOf(streamId, parent)) ?? 0) < (this.stream.get(parent)?.records ?? 0)) {
        this.problems.push(`${worker} reads ${leaseKey} before its parent ${parent} was read`)
      }
    }
    this.delivered.set(leaseKey, Math.max(before, position))
  }
}

/** A worker process on its own clock: it can be stopped for a while (SIGSTOP), killed, or stopped in order. */
export class SimulatedWorker {
  readonly id: string
  /** Every lease that it ever held. */
  readonly held: HeldLease[] = []
  readonly events: LeaseEvent[] = []
  readonly coordinator: LeaseCoordinator
  readonly reads: Set<string | undefined>
  readonly #world: World
  readonly #clock: Clock
  readonly #waiting: (() => void)[] = []
  readonly #discovery: Required<LeasedShards>
  readonly #kcl: KclFleet | undefined
  #running = true
  #stopped = false
  #changes: Promise<void> = Promise.resolve()

  constructor(world: World, id: string, reads: readonly (string | undefined)[]) {
    this.#world = world
    this.id = id
    this.reads = new Set(reads)
    // Two oscillators differ by less than this.
    const rate = 1 + (world.random() - 0.5) / 1_000
    this.#clock = this.#clockAt(rate)
    const port = world.tables && this.#port(world.tables)
    const store =
      port === undefined
        ? this.#store()
        : new DynamoDBLeaseStore({ dynamodb: port, tableName: TABLE, streamName: 'flights', clock: this.#clock })
    const shared = {
      store,
      workerId: id,
      failoverTimeMs: world.failoverTimeMs,
      clock: this.#clock,
      random: world.random,
      emit: (event: LeaseEvent): void => void this.events.push(event),
    }
    const kclTables = port && new KclTables({ dynamodb: port, leaseTable: TABLE, applicationName: TABLE })
    this.#kcl = kclTables && new KclFleet({ ...shared, tables: kclTables })
    const discoveries = new Map(
      world.streamIds.map((streamId) => {
        const options = {
          kinesis: this.#kinesis(),
          stream: { StreamName: 'simulated' },
          streamId,
          store,
          initialPosition: 'trim-horizon',
          clock: this.#clock,
          listingValidMs: world.failoverTimeMs,
          finishedLeaseKeptMs: world.finishedLeaseKeptMs,
          emit: (event: LeaseEvent) => void this.events.push(event),
        } as const
        return [streamId, new ShardDiscovery(options)]
      }),
    )
    const own = (leases: readonly Lease[], streamId: string | undefined) => leases.filter((each) => each.streamId === streamId)
    this.#discovery = {
      createMissing: async (options) => {
        for (const id of this.reads) await discoveries.get(id)!.createMissing(options)
      },
      audit: async (leases, options) => {
        for (const id of this.reads) await discoveries.get(id)!.audit(own(leases, id), options)
      },
      watch: (leases) => [...this.reads].map((id) => discoveries.get(id)!.watch(own(leases, id))).includes(true),
      childrenOf: (parent, options) => discoveries.get(parent.streamId)!.childrenOf(parent, options),
      reads: ({ streamId }) => this.reads.has(streamId),
    }
    this.coordinator = new LeaseCoordinator({
      ...shared,
      kcl: this.#kcl,
      discovery: this.#discovery,
      handoffTimeoutMs: world.failoverTimeMs,
      onHeld: (lease) => {
        this.held.push(lease)
        if (!this.reads.has(lease.streamId)) world.problems.push(`${id} took ${lease.leaseKey}, which it does not read`)
        world.prepared.acquired(lease)
        void this.#work(lease)
      },
    })
  }

  /** As addStream and removeStream: one after the other. */
  change(streamId: string): void {
    this.#changes = this.#changes.then(() => (this.reads.has(streamId) ? this.#leave(streamId) : this.#join(streamId)))
  }

  async #leave(streamId: string): Promise<void> {
    this.reads.delete(streamId)
    await this.coordinator.giveUp((lease) => lease.streamId === streamId)
    const row = (await this.#world.store.list()).leases.find(
      (lease) => lease.streamId === streamId && lease.leaseOwner === this.id,
    )
    // The give-up may have failed in an outage; then it expires.
    if (row !== undefined && !this.reads.has(streamId) && this.#world.faults.lost === 0) {
      this.#world.problems.push(`${this.id} left ${streamId}, and ${row.leaseKey} names it`)
    }
  }

  #join(streamId: string): void {
    this.reads.add(streamId)
    this.coordinator.poke()
  }

  async start(): Promise<void> {
    for (;;) {
      try {
        await this.coordinator.start()
        break
      } catch {
        await sleep(this.#clock, 200)
      }
    }
    void this.#auditing()
  }

  /** More often than the coordinator does it, and beside it. */
  async #auditing(): Promise<void> {
    while (!this.#stopped) {
      await sleep(this.#clock, this.#world.random() * this.#world.auditWithinMs)
      // A failure is the network's, and told.
      const seesAll = this.#kcl?.role !== 'worker'
      if (!this.#stopped && seesAll) await this.#discovery.audit(this.coordinator.leases).catch(() => {})
    }
  }

  stop(): Promise<void> {
    this.#stopped = true
    return this.coordinator.stop()
  }

  get paused(): boolean {
    return !this.#running
  }

  pause(): void {
    this.#running = false
  }

  resume(): void {
    this.#running = true
    // Timers and answers that came meanwhile run in any order.
    const waiting = this.#waiting.splice(0)
    while (waiting.length > 0) waiting.splice(Math.floor(this.#world.random() * waiting.length), 1)[0]!()
  }

  async #work(lease: HeldLease): Promise<void> {
    const world = this.#world
    const clock = this.#clock
    const { records } = world.stream.get(lease.shardId)!
    let position = lease.resumeFrom.kind === 'sequence' ? Number(lease.resumeFrom.sequenceNumber) : 0
    const halt = AbortSignal.any([lease.signal, lease.drain])
    let stalledSince: number | undefined
    lease.renewWhile({
      stalledMs: (now) => (stalledSince === undefined || now - stalledSince < 1_000 ? undefined : now - stalledSince),
    })
    try {
      while (!halt.aborted) {
        await sleep(clock, 20 + world.random() * 200, { signal: halt }).catch(() => {})
        if (halt.aborted) break
        if (world.faults.stalls > world.random()) {
          // The fetch loop has died: only the renewals notice.
          stalledSince = clock.now()
          await aborted(halt)
          break
        }
        if (!lease.isOurs() && !(await lease.revalidate())) break
        if (!lease.isOurs()) continue
        if (position === records) {
          const children = [...world.stream.values()].filter(({ shard }) => parentIds(shard).includes(lease.shardId))
          const ended = await lease.endShard(
            children.map(({ shard }) => ({
              ShardId: shard.shardId,
              ParentShards: parentIds(shard),
              HashKeyRange: { StartingHashKey: `${shard.range.start}`, EndingHashKey: `${shard.range.end}` },
            })),
          )
          if (ended) return
          break
        }
        position++
        world.deliver(lease, position, this.id)
        const at = sequencePosition(`${position}`)
        const chance = world.random()
        if (chance < 0.1) await world.prepared.checkpoint(lease, at, true)
        else if (chance < 0.16) await this.#inTwoPhases(lease, at)
        else await world.prepared.checkpoint(lease, at, false)
      }
    } catch (error) {
      if (!(error instanceof LeaseLostError)) throw error
    }
    // A handler that takes its time after the loss, or when it is asked to finish: up to three times what a handoff may take.
    await sleep(clock, world.random() * (world.faults.hangs > world.random() ? world.failoverTimeMs * 3 : 500))
    if (lease.drain.aborted && position > 0) await world.prepared.checkpoint(lease, sequencePosition(`${position}`), false)
    await lease.release()
  }

  /** What a sink does between the two takes its time; sometimes it comes to nothing. */
  async #inTwoPhases(lease: HeldLease, at: Position): Promise<void> {
    const { random, prepared } = this.#world
    const preparing = prepared.prepare(lease, at)
    if (random() < 0.7) await preparing
    else preparing.catch(() => {})
    await sleep(this.#clock, random() * 200)
    if (random() < 0.6) await prepared.checkpoint(lease, at, true)
  }

  /** Runs when this process runs. */
  #gate(run: () => void): void {
    if (this.#running) run()
    else this.#waiting.push(run)
  }

  #clockAt(rate: number): Clock {
    const { clock } = this.#world
    const offset = this.#world.random() * 1e6
    return {
      now: () => clock.now() * rate + offset,
      wallTime: () => clock.wallTime(),
      schedule: (delayMs, run): Scheduled => {
        let cancelled = false
        const timer = clock.schedule(delayMs / rate, () => this.#gate(() => cancelled || run()))
        return {
          cancel: () => {
            cancelled = true
            timer.cancel()
          },
        }
      },
    }
  }

  /** Lists the shards, closed ones too, for ever: nothing expires. */
  #kinesis(): KinesisPort {
    const Shards = [...this.#world.stream.values()].map(({ shard }) => ({
      ShardId: shard.shardId,
      ParentShardId: shard.parentShardId,
      AdjacentParentShardId: shard.adjacentParentShardId,
      HashKeyRange: { StartingHashKey: `${shard.range.start}`, EndingHashKey: `${shard.range.end}` },
      SequenceNumberRange: {
        StartingSequenceNumber: shard.startingSequenceNumber,
        EndingSequenceNumber: shard.endingSequenceNumber,
      },
    }))
    return { listShards: () => this.#overNetwork(async () => ({ Shards })) } as Partial<KinesisPort> as KinesisPort
  }

  /** The shared table at the end of a bad network. */
  #store(): LeaseStore {
    const { store } = this.#world
    return new Proxy(store, {
      get: (_target, method) => {
        if (method === 'open') return async () => {}
        const call = Reflect.get(store, method) as (...args: unknown[]) => Promise<unknown>
        return (...args: unknown[]) => this.#overNetwork(() => call.apply(store, args))
      },
    })
  }

  /** DynamoDB at the end of a bad network. */
  #port(tables: DynamoDBTables): Pick<DynamoDBTables, 'send'> {
    return { send: (command) => this.#overNetwork(() => tables.send(command)) }
  }

  #overNetwork<T>(call: () => Promise<T>): Promise<T> {
    const { clock, faults, random, lateWithinMs } = this.#world
    return new Promise((resolve, reject) => {
      const fail = (): void => this.#gate(() => reject(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })))
      const chance = random()
      const late = chance < faults.late
      const lost = !late && chance < faults.late + faults.lost
      const unanswered = !late && !lost && chance < faults.late + faults.lost + faults.unanswered
      const outward = late ? random() * lateWithinMs : random() * 60
      clock.schedule(outward, () => {
        if (lost || faults.outage) clock.schedule(random() * 60, fail)
        else {
          const answer = (give: () => void): void => {
            clock.schedule(random() * 60, unanswered ? fail : () => this.#gate(give))
          }
          void call().then(
            (value) => answer(() => resolve(value)),
            (error: unknown) => answer(() => reject(error)),
          )
        }
      })
    })
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** Nothing more to read, or somebody reads it. */
export function isServed(world: World, row: Lease): boolean {
  return (
    hasEnded(row) ||
    world.workers.some(
      (worker) => !worker.paused && worker.held.some((lease) => lease.leaseKey === row.leaseKey && lease.isOurs()),
    )
  )
}
