import { type Clock, ManualClock } from '@shardwise/core/clock'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { TRIM_HORIZON } from '../../checkpoints/position.js'
import type { HeldLease } from '../held-lease.js'
import { LeaseCoordinator } from '../lease-coordinator.js'
import type { LeaseEvent } from '../lease-event.js'
import type { LeaseStore } from '../lease-store.js'
import { MemoryLeaseStore } from '../memory-lease-store.js'

/** ConsumerOptions' defaults. */
const FAILOVER_MS = 10_000
const HANDOFF_TIMEOUT_MS = 30_000
/** A call to the table, there and back. */
const CALL_MS = 10
/** What a worker needs to finish what is in hand. */
const DRAIN_MS = 50

/** Workers at default settings on one table in memory, on a clock that stands still until told. */
export class Fleet {
  readonly clock: ManualClock = new ManualClock()
  readonly store: MemoryLeaseStore = new MemoryLeaseStore()
  readonly workers: FleetWorker[] = []
  readonly #seed: number

  constructor(seed: number) {
    this.#seed = seed
  }

  async create(shards: number): Promise<void> {
    for (let i = 0; i < shards; i++) {
      const leaseKey = `s${i}`
      await this.store.create({
        leaseKey,
        checkpoint: TRIM_HORIZON,
        parentShardIds: [],
        range: undefined,
        startAt: undefined,
        streamId: undefined,
        streamCreatedAt: undefined,
      })
    }
  }

  /** Workers that have started one after the other, and balanced the shards. */
  async settled(workers: number, shards: number): Promise<void> {
    await this.create(shards)
    for (let i = 0; i < workers; i++) {
      this.join()
      await this.clock.advanceAsync(37)
    }
    await this.clock.advanceAsync(15_000)
    const counts = this.counts()
    if (this.unread().length > 0 || Math.max(...counts) - Math.min(...counts) > 1) throw new Error(`Not balanced: ${counts}`)
    for (const worker of this.workers) worker.events.length = 0
  }

  join(): FleetWorker {
    const worker = new FleetWorker(this, `w${this.workers.length}`, this.#seed + this.workers.length)
    this.workers.push(worker)
    void worker.coordinator.start()
    return worker
  }

  get alive(): FleetWorker[] {
    return this.workers.filter((worker) => worker.alive)
  }

  /** Of those that neither died nor stopped: how many leases each reads under. */
  counts(): number[] {
    return this.alive.map((worker) => worker.reads.length)
  }

  /** Shards that no living worker reads, of those that are not at their end. */
  unread(): string[] {
    const read = new Set(this.alive.flatMap((worker) => worker.reads))
    return [...this.workers.flatMap((worker) => [...worker.known])].filter((key) => !read.has(key) && !this.ended.has(key))
  }

  readonly ended: Set<string> = new Set()

  count(type: LeaseEvent['type']): number {
    return this.workers.flatMap((worker) => worker.events).filter((event) => event.type === type).length
  }

  /** Milliseconds until this holds, looked at every 20. */
  async until(holds: () => boolean, limitMs = 60_000): Promise<number> {
    const since = this.clock.now()
    while (!holds()) {
      if (this.clock.now() - since > limitMs)
        throw new Error(`Not within ${limitMs} ms; unread: ${this.unread()}; counts: ${this.counts()}`)
      await this.clock.advanceAsync(20)
    }
    return this.clock.now() - since
  }

  /** All stop, so that no timer is left. */
  async end(): Promise<void> {
    const stopped = Promise.all(this.alive.map((worker) => worker.stop()))
    let done = false
    void stopped.then(() => {
      done = true
    })
    await this.until(() => done)
  }
}

export class FleetWorker {
  readonly events: LeaseEvent[] = []
  readonly coordinator: LeaseCoordinator
  /** Every shard that it ever read. */
  readonly known: Set<string> = new Set()
  readonly #fleet: Fleet
  readonly #held = new Set<HeldLease>()
  #running = true
  #stopped: Promise<void> | undefined

  constructor(fleet: Fleet, id: string, seed: number) {
    this.#fleet = fleet
    this.coordinator = new LeaseCoordinator({
      store: this.#overNetwork(fleet.store),
      discovery: { createMissing: async () => [], childrenOf: async () => [] },
      workerId: id,
      failoverTimeMs: FAILOVER_MS,
      handoffTimeoutMs: HANDOFF_TIMEOUT_MS,
      clock: this.#clock(fleet.clock),
      random: seededRandom(seed),
      onHeld: (lease) => this.#read(lease),
      emit: (event) => this.events.push(event),
    })
  }

  get alive(): boolean {
    return this.#running && this.#stopped === undefined
  }

  get reads(): string[] {
    return [...this.#held].filter((lease) => lease.isOurs()).map((lease) => lease.leaseKey)
  }

  /** SIGKILL: nothing of it runs any more. */
  kill(): void {
    this.#running = false
  }

  stop(): Promise<void> {
    this.#stopped ??= this.coordinator.stop()
    return this.#stopped
  }

  async endShard(leaseKey: string, children: readonly string[]): Promise<void> {
    const lease = [...this.#held].find((each) => each.leaseKey === leaseKey)!
    const HashKeyRange = { StartingHashKey: '0', EndingHashKey: '1' }
    const shards: ChildShard[] = children.map((ShardId) => ({ ShardId, ParentShards: [leaseKey], HashKeyRange }))
    this.#fleet.ended.add(leaseKey)
    await lease.endShard(shards)
    this.#held.delete(lease)
  }

  #read(lease: HeldLease): void {
    this.#held.add(lease)
    this.known.add(lease.leaseKey)
    const finish = (): void => {
      void lease.release().then(() => this.#held.delete(lease))
    }
    lease.drain.addEventListener('abort', () => void this.#fleet.clock.schedule(DRAIN_MS, () => this.#running && finish()))
    lease.signal.addEventListener('abort', finish)
  }

  #clock(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      wallTime: () => clock.wallTime(),
      schedule: (delayMs, run) => clock.schedule(delayMs, () => this.#running && run()),
    }
  }

  #overNetwork(store: LeaseStore): LeaseStore {
    return new Proxy(store, {
      get: (_target, method) => {
        const call = Reflect.get(store, method) as (...args: unknown[]) => Promise<unknown>
        return (...args: unknown[]) => this.#call(() => call.apply(store, args))
      },
    })
  }

  #call<T>(call: () => Promise<T>): Promise<T> {
    const { clock } = this.#fleet
    return new Promise((resolve) => {
      clock.schedule(CALL_MS / 2, () => {
        if (!this.#running) return
        void call().then((value) => clock.schedule(CALL_MS / 2, () => this.#running && resolve(value)))
      })
    })
  }
}
