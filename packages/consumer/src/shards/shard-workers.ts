import { PausedStreams } from '../delivery/paused-streams.js'
import type { HeldLease } from '../leases/held-lease.js'
import type { ShardWorker } from './shard-worker.js'

export type PauseEvent =
  /** No handler call of this shard begins until it is resumed; the lease is kept. Also when a paused shard begins to be read. */
  | { readonly type: 'shard-paused'; readonly shardId: string; readonly stream: string }
  | { readonly type: 'shard-resumed'; readonly shardId: string; readonly stream: string }

interface RunningWorker {
  readonly worker: ShardWorker
  readonly stream: string
  readonly finished: Promise<void>
}

/** The shard workers of one consumer that run, and which of them are paused. */
export class ShardWorkers {
  readonly paused: PausedStreams = new PausedStreams()
  readonly #emit: (event: PauseEvent) => void
  readonly #running = new Map<HeldLease, RunningWorker>()

  constructor(emit: (event: PauseEvent) => void) {
    this.#emit = emit
  }

  /** `stream`: as the options name it. */
  start(lease: HeldLease, worker: ShardWorker, stream: string): void {
    const finished = worker.run().finally(() => this.#running.delete(lease))
    this.#running.set(lease, { worker, stream, finished })
    const { shardId } = lease
    if (this.paused.isPaused(shardId, stream)) this.#emit({ type: 'shard-paused', shardId, stream })
  }

  /** Resolves when none runs. */
  async finished(): Promise<void> {
    while (this.#running.size > 0) await Promise.all([...this.#running.values()].map(({ finished }) => finished))
  }

  pause(shardId: string | undefined, stream: string | undefined): void {
    const before = this.#pausedLeases()
    this.paused.pause(shardId, stream)
    for (const [lease, of] of this.#pausedLeases()) {
      if (!before.has(lease)) this.#emit({ type: 'shard-paused', shardId: lease.shardId, stream: of })
    }
  }

  resume(shardId: string | undefined, stream: string | undefined): void {
    const before = this.#pausedLeases()
    this.paused.resume(shardId, stream)
    const after = this.#pausedLeases()
    for (const [lease, of] of before) {
      if (!after.has(lease)) this.#emit({ type: 'shard-resumed', shardId: lease.shardId, stream: of })
    }
  }

  *[Symbol.iterator](): Generator<{ readonly lease: HeldLease; readonly worker: ShardWorker; readonly stream: string }> {
    for (const [lease, { worker, stream }] of this.#running) yield { lease, worker, stream }
  }

  #pausedLeases(): Map<HeldLease, string> {
    const paused = new Map<HeldLease, string>()
    for (const [lease, { stream }] of this.#running) if (this.paused.isPaused(lease.shardId, stream)) paused.set(lease, stream)
    return paused
  }
}
