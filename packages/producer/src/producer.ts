import type { Writable } from 'node:stream'
import { EventSource } from '@shardwise/core/events'
import { streamReference } from '@shardwise/core/kinesis-port'
import { InvalidOptionError } from '@shardwise/core/options'
import { connectKinesis, type KinesisConnection } from '@shardwise/core/transport'
import { Ledger } from './ledger.js'
import { nodeWritable } from './node-writable.js'
import { Pipeline } from './pipeline.js'
import { ProducerClosedError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import { checkOptions, type ProducerOptions, type Settings } from './producer-options.js'
import { ProducerCounters, type ProducerStats } from './producer-stats.js'
import { type PutAllResult, putAll } from './put-all.js'
import { RecordMaker } from './record-maker.js'
import { type Intake, RecordSink } from './record-sink.js'
import type { PutInput, PutOutcome, PutResult } from './user-record.js'
import { type WaitOptions, waitFor } from './wait.js'
import { webWritable } from './web-writable.js'

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
 * One producer writes to one stream and is meant to be shared and to live as long as the process. `T` is what its codec takes as `data`:
 * bytes unless another codec is given.
 */
export class Producer<T = Uint8Array> implements AsyncDisposable {
  /** Whatever happens, for logs, metrics and tests. Failures of records offered without a callback are told here and nowhere else. */
  readonly events: EventSource<ProducerEvent> = new EventSource()
  readonly #options: ProducerOptions<T>
  readonly #settings: Settings
  readonly #maker: RecordMaker<T>
  readonly #ledger: Ledger
  readonly #intake: Intake<T> = {
    make: (input) => this.#maker.make(input),
    put: (record, admitted) => this.#pipeline().put(record, admitted),
    hurry: () => {
      if (this.#state.kind === 'running') void this.#deliverAll(this.#state.pipeline)
    },
  }
  #state: State = { kind: 'idle' }

  /** Throws InvalidOptionError. Opens nothing: that happens with the first record, or with `start`. */
  constructor(options: ProducerOptions<T>) {
    this.#settings = checkOptions(options)
    this.#maker = new RecordMaker(this.#settings)
    this.#options = { ...options }
    const { maxBufferedBytes: maxBytes, maxBufferedRecords: maxRecords } = this.#settings
    this.#ledger = new Ledger({ maxBytes, maxRecords }, this.events)
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
  put(input: PutInput<T>): Promise<PutResult> {
    const promise = new Promise<PutResult>(captureSettlers)
    const { resolve, reject } = captured
    try {
      const pipeline = this.#pipeline()
      const record = this.#maker.make(input)
      record.resolve = resolve
      record.reject = reject
      pipeline.put(record)
    } catch (error) {
      reject(error as Error)
    }
    return promise
  }

  /**
   * Accepts the record, or returns false if the buffer is full (`ready` tells when to try again). There is no promise: `outcome` is called
   * once when an accepted record has settled, and with `input` itself, so that one function serves all records and the record may carry
   * what you need then. Without it a failure is announced by the event `record-failed` alone. Throws RecordRejectedError, LaneHaltedError,
   * ProducerClosedError or InvalidOptionError; then, and after false, `outcome` is not called.
   */
  offer<R extends PutInput<T>>(input: R, outcome?: PutOutcome<R>): boolean {
    const pipeline = this.#pipeline()
    const record = this.#maker.make(input)
    if (outcome !== undefined) {
      if (typeof outcome !== 'function') throw new InvalidOptionError('outcome', 'a function', outcome)
      record.notify(outcome, input)
    }
    return pipeline.offer(record)
  }

  /**
   * Puts all records of an iterable, read as the buffer has room, and yields what became of each, in the order of the input. A record that
   * fails or is refused yields its error, and the next ones are put all the same. Nothing is read before the first result is asked for.
   * Records read and not yet yielded are at most `maxBufferedRecords`, and by one record more than `maxBufferedBytes`.
   *
   * Throws, after the results of what was put before: what the input throws, and ProducerClosedError, where the reading ends. At once:
   * the signal's reason, and InvalidOptionError. When you end it early (`break`, the signal) the input is closed, and what was put is
   * still delivered; failures of it are announced by the event `record-failed`.
   */
  putAll<R extends PutInput<T>>(
    records: Iterable<R> | AsyncIterable<R>,
    options: WaitOptions = {},
  ): AsyncIterableIterator<PutAllResult<R>> {
    return putAll(records, this.#intake, this.#settings, options)
  }

  /**
   * A Web stream that puts what is written. A write resolves when the buffer has accepted the record; `close` sends without lingering and
   * resolves when all of the stream's records have settled. The first record that fails or is refused errors the stream with its error, or
   * rejects `close` after all have settled. `abort` and the signal stop the taking with their reason. What was accepted is delivered in
   * any case. The producer stays open.
   */
  writable(options: WaitOptions = {}): WritableStream<PutInput<T>> {
    return webWritable(new RecordSink(this.#intake, options))
  }

  /**
   * The same as a Node stream in object mode: `write` returns false and `drain` follows as the buffer fills and empties (the stream holds
   * 16 more), `finish` comes when all its records have settled, and `error` brings the first failure or the signal's reason.
   */
  nodeWritable(options: WaitOptions = {}): Writable {
    return nodeWritable(new RecordSink(this.#intake, options))
  }

  /** Resolves when there is room for what `offer` last turned away. Rejects with ProducerClosedError. */
  async ready(): Promise<void> {
    this.#pipeline()
    return this.#ledger.ready()
  }

  /**
   * Sends what is buffered without lingering. Resolves exactly when everything put before has settled, one way or the other: it does not
   * reject for records that failed. When the signal aborts it rejects with the signal's reason, and the delivery goes on.
   */
  flush(options: WaitOptions = {}): Promise<void> {
    return waitFor(() => this.#flush(), options)
  }

  /**
   * With order kept, lets shards and keys take records again whose order a failed record broke. Put the failed ones again first, in
   * their order, if they are still wanted. Does nothing otherwise.
   */
  resume(): void {
    if (this.#state.kind === 'running') this.#state.pipeline.resume()
  }

  /**
   * Takes no more records, waits until all that were accepted have settled (at most `recordTtlMs` and a request), then closes the
   * connection unless the client was passed in. Safe at any time and more than once.
   *
   * When the signal aborts, also before the call, it rejects with the signal's reason: the producer closes and delivers all the same, and
   * another `close()` waits on.
   */
  close(options: WaitOptions = {}): Promise<void> {
    return waitFor(() => this.#close(), options)
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

  async #flush(): Promise<void> {
    if (this.#state.kind === 'running') return this.#deliverAll(this.#state.pipeline)
    if (this.#state.kind === 'closed') return this.#state.done
  }

  #close(): Promise<void> {
    if (this.#state.kind === 'closed') return this.#state.done
    if (this.#state.kind === 'idle') this.#state = { kind: 'closed', done: Promise.resolve(), pipeline: undefined }
    else {
      const { pipeline, connection } = this.#state
      let finish = (_: Promise<void>): void => {}
      const done = new Promise<void>((resolve) => {
        finish = resolve
      })
      // Before the flush: what a listener puts in the middle of that would be after it, and nobody would wait for it.
      this.#state = { kind: 'closed', done, pipeline }
      finish(
        this.#deliverAll(pipeline).then(() => {
          pipeline.stop()
          this.#ledger.close()
          connection?.close()
        }),
      )
    }
    return this.#state.done
  }

  #deliverAll(pipeline: Pipeline): Promise<void> {
    const flushed = this.#ledger.flush()
    pipeline.hurry()
    return flushed
  }

  #pipeline(): Pipeline {
    if (this.#state.kind === 'running') return this.#state.pipeline
    if (this.#state.kind === 'closed') throw new ProducerClosedError()
    const { kinesis, client, region, endpoint, credentials, wire, clock } = this.#options
    const { requestTimeoutMs } = this.#settings
    const connection =
      kinesis === undefined ? connectKinesis({ client, region, endpoint, credentials, wire, clock, requestTimeoutMs }) : undefined
    const port = kinesis ?? connection!.port
    const pipeline = new Pipeline(this.#settings, port, streamReference(this.#settings.stream), this.events, this.#ledger)
    this.#state = { kind: 'running', pipeline, connection }
    return pipeline
  }
}
