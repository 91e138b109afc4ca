import { EventSource } from '@shardwise/core/events'
import { streamReference } from '@shardwise/core/kinesis-port'
import { connectKinesis, type KinesisConnection } from '@shardwise/core/transport'
import { Pipeline } from './pipeline.js'
import { ProducerClosedError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import { checkOptions, type ProducerOptions, type Settings } from './producer-options.js'
import { ProducerCounters, type ProducerStats } from './producer-stats.js'
import { type PutInput, type PutResult, toUserRecord } from './user-record.js'

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'running'; readonly pipeline: Pipeline; readonly connection: KinesisConnection | undefined }
  | { readonly kind: 'closed'; readonly done: Promise<void>; readonly pipeline: Pipeline | undefined }

/** Hands a promise's settlers out without a closure for each put. Read at once: the next put overwrites it. */
const captured: { resolve: (result: PutResult) => void; reject: (error: Error) => void } = { resolve() {}, reject() {} }
function captureSettlers(resolve: (result: PutResult) => void, reject: (error: Error) => void): void {
  captured.resolve = resolve
  captured.reject = reject
}

/**
 * Writes records to a Kinesis stream: packs them into the KPL's aggregates by shard, collects them into PutRecords requests, keeps to the
 * shards' limits, and tries again what failed. At-least-once: a put that has resolved is in the stream, where every reader that follows
 * the KPL format finds it; it may be there twice (`attempts` above 1).
 *
 * One producer writes to one stream and is meant to be shared and to live as long as the process.
 */
export class Producer implements AsyncDisposable {
  /** Whatever happens, for logs, metrics and tests. Failures of offered records are told here and nowhere else. */
  readonly events: EventSource<ProducerEvent> = new EventSource()
  readonly #options: ProducerOptions
  readonly #settings: Settings
  #state: State = { kind: 'idle' }

  /** Throws InvalidOptionError. Opens nothing: that happens with the first record, or with `start`. */
  constructor(options: ProducerOptions) {
    this.#settings = checkOptions(options)
    this.#options = { ...options }
  }

  /**
   * Optional: looks at the stream now, so that a wrong name, missing permission or unreachable endpoint shows here and not with the
   * first record. Rejects with StreamUnusableError, or ProducerClosedError if the producer is closed meanwhile. May be called again.
   */
  async start(): Promise<void> {
    return this.#pipeline().load()
  }

  /**
   * Resolves when the record is acknowledged. While the buffer is full it waits for room, in the order of the calls; nothing limits how
   * many puts may wait, so await them, or use `offer`.
   *
   * Rejects with RecordRejectedError (never accepted), DeliveryFailedError, StreamUnusableError, LaneHaltedError or ProducerClosedError.
   */
  put(input: PutInput): Promise<PutResult> {
    const promise = new Promise<PutResult>(captureSettlers)
    const { resolve, reject } = captured
    try {
      const pipeline = this.#pipeline()
      const record = toUserRecord(input)
      record.resolve = resolve
      record.reject = reject
      pipeline.put(record)
    } catch (error) {
      reject(error as Error)
    }
    return promise
  }

  /**
   * Accepts the record, or returns false if the buffer is full (`ready` tells when to try again). There is no promise: a failure is
   * announced by the event `record-failed`. Throws RecordRejectedError, LaneHaltedError or ProducerClosedError.
   */
  offer(input: PutInput): boolean {
    return this.#pipeline().offer(toUserRecord(input))
  }

  /** Resolves when there is room for what `offer` last turned away. Rejects with ProducerClosedError. */
  async ready(): Promise<void> {
    return this.#pipeline().ready()
  }

  /**
   * Sends what is buffered without lingering. Resolves exactly when everything put before has settled, one way or the other: it does not
   * reject for records that failed.
   */
  async flush(): Promise<void> {
    if (this.#state.kind === 'running') return this.#state.pipeline.flush()
    if (this.#state.kind === 'closed') return this.#state.done
  }

  /**
   * With `ordering: 'perShard'`, lets shards take records again whose order a failed record broke. Put the failed ones again first, in
   * their order, if they are still wanted. Does nothing otherwise.
   */
  resume(): void {
    if (this.#state.kind === 'running') this.#state.pipeline.resume()
  }

  /**
   * Takes no more records, waits until all that were accepted have settled (at most `recordTtlMs` and a request), then closes the
   * connection unless the client was passed in. Safe at any time and more than once.
   */
  close(): Promise<void> {
    if (this.#state.kind === 'closed') return this.#state.done
    if (this.#state.kind === 'idle') this.#state = { kind: 'closed', done: Promise.resolve(), pipeline: undefined }
    else {
      const { pipeline, connection } = this.#state
      const done = pipeline.flush().then(() => {
        pipeline.stop()
        connection?.close()
      })
      this.#state = { kind: 'closed', done, pipeline }
    }
    return this.#state.done
  }

  stats(): ProducerStats {
    if (this.#state.kind !== 'idle' && this.#state.pipeline !== undefined) return this.#state.pipeline.stats()
    return new ProducerCounters().snapshot({
      bufferedRecords: 0,
      bufferedBytes: 0,
      waitingForRoom: 0,
      openAggregates: 0,
      queuedKinesisRecords: 0,
      heldKinesisRecords: 0,
      requestsInFlight: 0,
      openShards: 0,
      limited: 0,
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #pipeline(): Pipeline {
    if (this.#state.kind === 'running') return this.#state.pipeline
    if (this.#state.kind === 'closed') throw new ProducerClosedError(this.#settings.stream)
    const { kinesis, client, region, endpoint, credentials, wire, clock } = this.#options
    const { requestTimeoutMs } = this.#settings
    const connection =
      kinesis === undefined ? connectKinesis({ client, region, endpoint, credentials, wire, clock, requestTimeoutMs }) : undefined
    const port = kinesis ?? connection!.port
    const pipeline = new Pipeline(this.#settings, port, streamReference(this.#settings.stream), this.events)
    this.#state = { kind: 'running', pipeline, connection }
    return pipeline
  }
}
