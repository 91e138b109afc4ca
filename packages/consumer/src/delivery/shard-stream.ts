import { integerOption, refuseUnknownOptions } from '@shardwise/core/options'
import { type CheckpointTarget, positionIn } from '../checkpoints/checkpoint-range.js'
import { type Position, TRIM_HORIZON } from '../checkpoints/position.js'
import type { ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { HeldLease } from '../leases/held-lease.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { PulledDelivery } from './pulled-delivery.js'

/** Each default holds where the option is absent or undefined. */
export interface BatchesOptions {
  /** Records in one batch at most. Default 1000; 1 to 100,000. */
  readonly maxRecords?: number | undefined
  /**
   * Milliseconds for which a batch that is not full waits for more, from its first record on. Default 0: what is there; at most 600000. With 8 MiB it
   * waits no longer, nor at the end of the shard, and one that waits when the shard is to be given back, or lost, is not handed over.
   */
  readonly maxWaitMs?: number | undefined
}

/**
 * One shard, under one acquisition of its lease, for a sink that stores records together with how far it has come. When the lease is lost and
 * won again, that is another ShardStream with a higher `generation`.
 */
export interface ShardStream<T = Uint8Array> {
  /** Name or ARN, as given in the options. */
  readonly stream: string
  readonly shardId: string
  /**
   * When the stream was created, to the second: tells it from one that had its name before, whose shards have the same ids, and whose tokens
   * and places mean nothing here. Undefined for a lease that Java's KCL made.
   */
  readonly streamCreatedAt: Date | undefined
  /**
   * A fencing token: higher with every acquisition of this shard by anyone, for as long as the lease table is kept. Store it in the sink with each
   * write, and refuse writes with a lower one: a worker that was paused and has lost the shard cannot write any more then.
   */
  readonly generation: number
  /**
   * Aborts when the lease is lost (LeaseLostError), or when the consumer stops and the time that `stop` gave is over (ConsumerStoppingError). The
   * loop ends with it, as it does when the shard is to be given back.
   */
  readonly signal: AbortSignal
  /** The lease's checkpoint, after which records come unless `startAfter` says otherwise. */
  readonly resumeFrom: Position
  /** True once all of the shard was handed over and asked past: the loop ended for that. Its children wait for `checkpoint`. */
  readonly ended: boolean
  /**
   * For a sink that keeps its own place: records come after this one, whether it lies beyond the lease's checkpoint or before it. Undefined, the sink
   * has none: where the application began, if the lease has no checkpoint either (`initialPosition`), else at the oldest record of the
   * shard, for the sink has lost what the checkpoint covers. Before the loop. The lease's checkpoint moves by it in neither direction.
   */
  startAfter(position: CheckpointTarget | undefined): void
  /** The records, one by one, once. Leaving the loop before its end gives the shard back, to be taken again by this or another process. */
  records(): AsyncIterableIterator<ConsumedRecord<T>>
  /** As `records`, several at a time, at least one. */
  batches(options?: BatchesOptions): AsyncIterableIterator<readonly ConsumedRecord<T>[]>
  /**
   * Writes the lease's checkpoint at `record`, at once; without it, at the last record that the loop has handed over. Rules and rejections are those of
   * `HandlerContext.checkpoint`, but one before the lease's checkpoint, after `startAfter` went back, changes nothing.
   * It is what others see of the progress, where a sink without a place of its own goes on, and what the children of a shard that has ended wait
   * for: call it at least then, when the loop is over.
   */
  checkpoint(record?: CheckpointTarget): Promise<void>
}

type PulledState = 'offered' | 'begun' | 'left' | 'ended'

/** A shard as its sink sees it. Its worker waits until the loop begins, and so knows from where. */
export class PulledShard implements ShardStream {
  readonly stream: string
  readonly #lease: HeldLease
  readonly #begun = new AbortController()
  readonly #left = new AbortController()
  #state: PulledState = 'offered'
  #place: Position | undefined
  #worker: PulledBy | undefined
  #handed: ConsumedRecord | undefined

  constructor(stream: string, lease: HeldLease) {
    this.stream = stream
    this.#lease = lease
  }

  get shardId(): string {
    return this.#lease.shardId
  }

  get generation(): number {
    return this.#lease.generation
  }

  get streamCreatedAt(): Date | undefined {
    const { streamCreatedAt } = this.#lease
    return streamCreatedAt === undefined ? undefined : new Date(streamCreatedAt)
  }

  get resumeFrom(): Position {
    return this.#lease.resumeFrom
  }

  get signal(): AbortSignal {
    return this.#worker?.signal ?? this.#lease.signal
  }

  get ended(): boolean {
    return this.#state === 'ended'
  }

  startAfter(target: CheckpointTarget | undefined): void {
    const beginning = this.resumeFrom.kind === 'sequence' ? TRIM_HORIZON : undefined
    const place = target === undefined ? beginning : positionIn(this, target)
    if (place !== undefined && place.kind !== 'sequence' && place.kind !== 'trim-horizon') {
      throw new RangeError(`A shard starts after a record or at its oldest, got ${place.kind}`)
    }
    if (this.#state !== 'offered') throw new Error(`The loop over ${this.shardId} has begun: startAfter comes before it`)
    this.#place = place
  }

  records(): AsyncIterableIterator<ConsumedRecord> {
    return this.#loop(async (delivery) => {
      const [record] = await delivery.take(1)
      if (record !== undefined) this.#handed = record
      return record
    })
  }

  batches(options: BatchesOptions = {}): AsyncIterableIterator<readonly ConsumedRecord[]> {
    refuseUnknownOptions(options, ['maxRecords', 'maxWaitMs'])
    const maxRecords = integerOption('maxRecords', options.maxRecords, { min: 1, max: 100_000, fallback: 1000 })
    const maxWaitMs = integerOption('maxWaitMs', options.maxWaitMs, { min: 0, max: 600_000, fallback: 0 })
    return this.#loop(async (delivery) => {
      const batch = await delivery.take(maxRecords, maxWaitMs)
      if (batch.length === 0) return undefined
      this.#handed = batch.at(-1)
      return batch
    })
  }

  async checkpoint(record?: CheckpointTarget): Promise<void> {
    const target = record ?? this.#handed
    if (target !== undefined) await this.#worker!.checkpoints.checkpoint(target)
  }

  /** It is to be given back, or lost: a loop over it ends at once. */
  get isGone(): boolean {
    return this.#lease.drain.aborted || this.signal.aborted
  }

  /** For the worker: aborts when the loop begins. */
  get begun(): AbortSignal {
    return this.#begun.signal
  }

  /** For the worker, once the loop has begun: where. Undefined: at the lease's checkpoint. */
  get place(): Position | undefined {
    return this.#place
  }

  /** For the worker: aborts when the loop was left before its end. */
  get left(): AbortSignal {
    return this.#left.signal
  }

  /** For the worker, before anybody loops. */
  connect(worker: PulledBy): void {
    this.#worker = worker
  }

  /** For the worker: the last records of the shard were handed in. */
  last(): void {
    this.#worker!.delivery.last()
  }

  /** For the worker: all of the shard was handed over and asked past. */
  end(): void {
    this.#state = 'ended'
    this.#worker!.delivery.end()
  }

  #loop<R>(next: (delivery: PulledDelivery) => Promise<R | undefined>): AsyncIterableIterator<R> {
    const loop = this.#generate(next)
    /** Somebody who waits for a record shall not have to wait until one comes. */
    const leave = <V>(settle: () => Promise<V>): Promise<V> => {
      this.#leave()
      return settle()
    }
    return {
      next: () => loop.next(),
      return: () => leave(() => loop.return()),
      throw: (error) => leave(() => loop.throw(error)),
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }

  async *#generate<R>(next: (delivery: PulledDelivery) => Promise<R | undefined>): AsyncGenerator<R, void, void> {
    if (this.#state !== 'offered') throw new Error(`${this.shardId} has been looped over: each shard is, once`)
    const { delivery } = this.#worker!
    this.#state = 'begun'
    this.#begun.abort()
    try {
      for (let item = await next(delivery); item !== undefined; item = await next(delivery)) yield item
    } finally {
      this.#leave()
    }
  }

  #leave(): void {
    if (this.#state === 'ended') return
    this.#state = 'left'
    this.#worker?.delivery.leave()
    this.#left.abort()
  }
}

/** What a shard's worker has for its sink. */
export interface PulledBy {
  readonly delivery: PulledDelivery
  readonly checkpoints: Pick<ShardCheckpoints, 'checkpoint'>
  readonly signal: AbortSignal
}
