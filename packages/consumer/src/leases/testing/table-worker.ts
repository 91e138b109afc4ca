import type { ManualClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import type { HeldLease } from '../held-lease.js'
import type { Lease } from '../lease.js'
import { LeaseCoordinator } from '../lease-coordinator.js'
import type { LeaseEvent } from '../lease-event.js'
import type { MemoryLeaseStore } from '../memory-lease-store.js'
import { FaultyLeaseStore } from './faulty-lease-store.js'

export const FAILOVER_MS = 9_000
export const HANDOFF_MS = 30_000

/** A coordinator behind a network of its own. Its shard workers finish `drainMs` after they are asked to; undefined: their handlers hang. */
export class TableWorker {
  readonly id: string
  readonly network: FaultyLeaseStore
  readonly coordinator: LeaseCoordinator
  readonly events: LeaseEvent[] = []
  readonly held: Map<string, HeldLease> = new Map()
  readonly #clock: ManualClock
  readonly #drainMs: number | undefined

  constructor(
    id: string,
    table: MemoryLeaseStore,
    clock: ManualClock,
    options: { readonly drainMs?: number | undefined; readonly reads?: (lease: Lease) => boolean } = { drainMs: 0 },
  ) {
    this.id = id
    this.#clock = clock
    this.#drainMs = options.drainMs
    this.network = new FaultyLeaseStore(table)
    this.coordinator = new LeaseCoordinator({
      store: this.network.store,
      discovery: {
        createMissing: async () => [],
        childrenOf: async () => [],
        ...(options.reads !== undefined && { reads: options.reads }),
      },
      workerId: id,
      failoverTimeMs: FAILOVER_MS,
      handoffTimeoutMs: HANDOFF_MS,
      clock,
      random: seededRandom(1),
      onHeld: (lease) => this.#work(lease),
      emit: (event) => this.events.push(event),
    })
  }

  async start(): Promise<this> {
    await this.coordinator.start()
    await this.#clock.advanceAsync(0)
    return this
  }

  /** The leases under which it may deliver. */
  get keys(): string[] {
    return [...this.held.values()]
      .filter((lease) => lease.isOurs())
      .map((lease) => lease.leaseKey)
      .sort()
  }

  count(type: LeaseEvent['type']): number {
    return this.events.filter((event) => event.type === type).length
  }

  /** Its handlers return after all. */
  releaseAll(): void {
    for (const lease of this.held.values()) void lease.release()
  }

  #work(lease: HeldLease): void {
    this.held.set(lease.leaseKey, lease)
    const delay = this.#drainMs
    if (delay === undefined) return
    const finish = (): void => {
      void lease.release().then(() => this.held.get(lease.leaseKey) === lease && this.held.delete(lease.leaseKey))
    }
    lease.drain.addEventListener('abort', () => void this.#clock.schedule(delay, finish))
    lease.signal.addEventListener('abort', finish)
  }
}
