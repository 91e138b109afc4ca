import { PausedShards } from '../delivery/paused-shards.js'
import type { HeldLease } from '../leases/held-lease.js'
import type { ShardWorker } from './shard-worker.js'

export type PauseEvent =
  /** No handler call of this shard begins until it is resumed; the lease is kept. Also when a paused shard begins to be read. */
  { readonly type: 'shard-paused'; readonly shardId: string } | { readonly type: 'shard-resumed'; readonly shardId: string }

/** The shard workers of one consumer that run, and which of them are paused. */
export class ShardWorkers {
  readonly paused: PausedShards = new PausedShards()
  readonly #emit: (event: PauseEvent) => void
  readonly #running = new Map<HeldLease, { readonly worker: ShardWorker; readonly finished: Promise<void> }>()

  constructor(emit: (event: PauseEvent) => void) {
    this.#emit = emit
  }

  start(lease: HeldLease, worker: ShardWorker): void {
    const finished = worker.run().finally(() => this.#running.delete(lease))
    this.#running.set(lease, { worker, finished })
    const { shardId } = lease
    if (this.paused.isPaused(shardId)) this.#emit({ type: 'shard-paused', shardId })
  }

  /** Resolves when none runs. */
  async finished(): Promise<void> {
    while (this.#running.size > 0) await Promise.all([...this.#running.values()].map(({ finished }) => finished))
  }

  pause(shardId: string | undefined): void {
    const before = this.#pausedShards()
    this.paused.pause(shardId)
    for (const each of this.#pausedShards()) if (!before.has(each)) this.#emit({ type: 'shard-paused', shardId: each })
  }

  resume(shardId: string | undefined): void {
    const before = this.#pausedShards()
    this.paused.resume(shardId)
    const after = this.#pausedShards()
    for (const each of before) if (!after.has(each)) this.#emit({ type: 'shard-resumed', shardId: each })
  }

  *[Symbol.iterator](): Generator<{ readonly lease: HeldLease; readonly worker: ShardWorker }> {
    for (const [lease, { worker }] of this.#running) yield { lease, worker }
  }

  #pausedShards(): Set<string> {
    return new Set([...this.#running.keys()].map(({ shardId }) => shardId).filter((shardId) => this.paused.isPaused(shardId)))
  }
}
