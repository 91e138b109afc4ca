import type { Writable } from 'node:stream'
import type { Codec } from '@shardwise/core/codec'
import { EventSource } from '@shardwise/core/events'
import { InvalidOptionError } from '@shardwise/core/options'
import { connectKinesis, type KinesisConnection } from '@shardwise/core/transport'
import { EncodingLine } from './encoding-line.js'
import { EventLog } from './event-log.js'
import { Ledger } from './ledger.js'
import { nodeWritable } from './node-writable.js'
import { ProducerClosedError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import { checkOptions, isStream, type ProducerOptions, type ProducerSettings, STREAM_RULE } from './producer-options.js'
import { type ProducerStats, sum } from './producer-stats.js'
import { type PutAllResult, putAll } from './put-all.js'
import { RecordMaker } from './record-maker.js'
import { type Intake, RecordSink } from './record-sink.js'
import { Streams } from './streams.js'
import { Undelivered } from './undelivered.js'
import type { PutInput, PutOutcome, PutResult, UserRecord } from './user-record.js'
import { type WaitOptions, waitFor } from './wait.js'
import { webWritable } from './web-writable.js'

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'running'; readonly streams: Streams; readonly connection: KinesisConnection | undefined }
  | { readonly kind: 'closed'; readonly done: Promise<void>; readonly streams: Streams | undefined }

/**
 * Connections at a time. They are made as they are needed, so this is not their usual number. It is far above what one stream has under way,
 * because a request that finds none waits for one within its time, and is taken for lost without having been sent: of many streams a few
 * whose requests hang must not hold up the others. Some platforms (AWS Lambda) allow a process 1024 open files in all.
 */
const MAX_SOCKETS = 512

type Resolve = (result: PutResult | PromiseLike<never>) => void

/** Hands a promise's `resolve` out without a closure for each put. Read at once: the next put overwrites it. */
let captured: Resolve = () => {}
function capture(resolve: Resolve): void {
  captured = resolve
}

/** Of every put; the subject is its `resolve`. That serves to reject, too: a second function would be one more object for each record that waits. */
const settlePut: PutOutcome<Resolve> = (error, result, resolve) => {
  resolve(error === undefined ? result! : new Rejection(error))
}

/** What a promise resolved with it rejects with, one turn of promises later. Before whatever waits for all puts: a promise that has rejected takes two. */
class Rejection implements PromiseLike<never> {
  readonly #error: Error

  constructor(error: Error) {
    this.#error = error
  }

  // biome-ignore lint/suspicious/noThenProperty: that is what it is for
  then<A, B>(_: unknown, reject?: ((reason: unknown) => B | PromiseLike<B>) | null): PromiseLike<A | B> {
    reject?.(this.#error)
    return this
  }
}

/**
 * Writes records to Kinesis streams: packs them into the KPL's aggregates by shard, collects them into PutRecords requests, keeps to the
 * shards' limits, and tries again what failed. At-least-once: a put that has resolved is in the stream, where every reader that follows
 * the KPL format finds it; it may be there twice (`attempts` above 1).
 *
 * One producer writes to one stream or to many, and is meant to be shared and to live as long as the process. `T` is what its codec takes as `data`:
 * bytes unless another codec is given.
 */
export class Producer<T = Uint8Array> implements AsyncDisposable {
  /** Whatever happens, for logs, metrics and tests. Failures of records offered without a callback are told here and nowhere else. */
  readonly events: EventSource<ProducerEvent> = new EventSource()
  readonly #options: ProducerOptions<T>
  readonly #settings: ProducerSettings
  readonly #maker: RecordMaker<T>
  /** Where puts wait for the codec. Undefined: it need not fetch anything. */
  readonly #line: EncodingLine | undefined
  readonly #ledger: Ledger
  readonly #undelivered: Undelivered | undefined
  readonly #intake: Intake<T> = {
    whenReady: (run, given) => (this.#line?.holds === true ? this.#line.after(() => run(given)) : undefined),
    join: (input, outcome, subject) => this.#join(input, outcome, subject),
    make: (input) => this.#make(input),
    put: (record, admitted) => record.account!.holder.put(record, admitted),
    hurry: () => {
      if (this.#state.kind === 'running') void this.#state.streams.flush()
    },
    pause: () => this.#ledger.wake(),
  }
  readonly #log: EventLog | undefined
  /** What is put need not be encoded, and nobody asks for it again. */
  readonly #isPlain: boolean
  #state: State = { kind: 'idle' }

  /** Throws InvalidOptionError. Opens nothing: that happens with the first record, or with `start`. */
  constructor(options: ProducerOptions<T>) {
    this.#settings = checkOptions(options)
    this.#maker = new RecordMaker(this.#settings)
    this.#line = EncodingLine.of(this.#settings.codec as Codec<never>)
    this.#options = { ...options }
    const { maxBufferedBytes: maxBytes, maxBufferedRecords: maxRecords } = this.#settings
    this.#ledger = new Ledger({ maxBytes, maxRecords }, this.events)
    const { logger, clock, onUndelivered } = this.#settings
    this.#undelivered = onUndelivered && new Undelivered(onUndelivered, this.events, () => clock.now())
    this.#isPlain = this.#maker.isPlain && this.#line === undefined && onUndelivered === undefined
    this.#log = logger && new EventLog(logger, clock, this.events)
  }

  /**
   * Optional: looks at the stream (default: the producer's own) now, so that a wrong name, missing permission or unreachable endpoint shows
   * here and not with the first record; likewise what the codec must fetch, such as a data key. Rejects with StreamUnusableError, with
   * RecordRejectedError for the codec, or ProducerClosedError if the producer is closed meanwhile. May be called again, and for each stream.
   */
  async start(stream: string | undefined = this.#settings.stream): Promise<void> {
    if (!isStream(stream)) throw new InvalidOptionError('stream', STREAM_RULE, stream)
    await Promise.all([this.#streams().of(stream).load(), this.#line?.after(() => {})])
  }

  /**
   * Resolves when the record is acknowledged. While the buffer is full it waits for room, in the order of the calls; nothing limits how
   * many puts may wait, so await them, or use `offer`.
   *
   * Rejects with RecordRejectedError (never accepted), DeliveryFailedError, StreamUnusableError, LaneHaltedError or ProducerClosedError.
   */
  put(input: PutInput<T>): Promise<PutResult> {
    return this.#line?.holds === true ? this.#putInLine(this.#line, input) : this.#put(input)
  }

  /** What waits for the codec is a put like any other: flush and close wait for it. */
  async #putInLine(line: EncodingLine, input: PutInput<T>): Promise<PutResult> {
    this.#streams()
    return line.after(() => this.#put(input))
  }

  #put(input: PutInput<T>): Promise<PutResult> {
    const promise = new Promise<PutResult>(capture)
    const resolve = captured
    try {
      if (this.#join(input, settlePut, resolve) > 0) return promise
      const record = this.#make(input)
      record.notify(settlePut, resolve)
      record.account!.holder.put(record)
      return promise
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Accepts the record, or returns false if the buffer is full or the codec fetches a key (`ready` tells when to try again). There is no promise: `outcome` is called
   * once when an accepted record has settled, and with `input` itself, so that one function serves all records and the record may carry
   * what you need then. Without it a failure is announced by the event `record-failed` alone. Throws RecordRejectedError, LaneHaltedError,
   * ProducerClosedError or InvalidOptionError; then, and after false, `outcome` is not called.
   */
  offer<R extends PutInput<T>>(input: R, outcome?: PutOutcome<R>): boolean {
    if (this.#line?.holds === true) {
      this.#streams()
      return false
    }
    if ((outcome === undefined || typeof outcome === 'function') && this.#join(input, outcome, input) > 0) return true
    const record = this.#make(input)
    if (outcome !== undefined) {
      if (typeof outcome !== 'function') throw new InvalidOptionError('outcome', 'a function', outcome)
      record.notify(outcome, input)
    }
    return record.account!.holder.offer(record)
  }

  /**
   * Puts all records of an iterable, read as the buffer has room, and yields what became of each, in the order of the input. A record that
   * fails or is refused yields its error, and the next ones are put all the same. Nothing is read before the first result is asked for.
   * Records read and not yet yielded are at most `maxBufferedRecords`, and by one record more than `maxBufferedBytes`. Where these limits have stopped the reading
   * it goes on when a sixteenth is free, or when nothing is left to yield.
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

  /**
   * Resolves when there is room for what `offer` last turned away. Rejects with ProducerClosedError, and with RecordRejectedError when the codec cannot
   * have what it needs.
   */
  async ready(): Promise<void> {
    this.#streams()
    if (this.#line?.holds === true) await this.#line.after(() => {})
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
   * their order, if they are still wanted. Of one stream, or of all. Does nothing otherwise.
   */
  resume(stream?: string): void {
    if (this.#state.kind === 'running') this.#state.streams.resume(stream)
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

  /** Of all streams together, or of one. */
  stats(stream?: string): ProducerStats {
    return this.#state.kind === 'idle' ? sum([]) : (this.#state.streams?.stats(stream) ?? sum([]))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The record, with the account that it is to be put to at once. Throws RecordRejectedError or ProducerClosedError. */
  #make(input: PutInput<T>): UserRecord {
    const { stream, account } = this.#streams().of(input?.stream)
    const record = this.#maker.make(input, stream)
    // Asked for again: codec and telemetry are the caller's code. They may have closed the producer, or put to so many other streams that this
    // one's pipeline was let go.
    record.account = this.#maker.isPlain ? account : this.#streams().of(stream).account
    if (this.#undelivered === undefined) return record
    record.input = input
    record.isOfHook = this.#undelivered.isCaller
    return record
  }

  /** See `ShortWay`. Throws RecordRejectedError for the stream. */
  #join(input: PutInput<T>, outcome: PutOutcome<never> | undefined, subject: unknown): number {
    if (!this.#isPlain || this.#state.kind !== 'running' || typeof input !== 'object' || input === null) return 0
    if (input.headers !== undefined || input.recordId !== undefined || input.explicitHashKey !== undefined) return 0
    const pipeline = this.#state.streams.of(input.stream)
    return pipeline.join(input.partitionKey, input.data as Uint8Array, outcome, subject)
  }

  async #flush(): Promise<void> {
    const refused = this.#refusedToHook('flush')
    if (refused !== undefined) return refused
    if (this.#state.kind === 'running') {
      const { streams } = this.#state
      if (this.#line?.isEmpty === false) await this.#line.passed()
      return streams.flush()
    }
    if (this.#state.kind === 'closed') return this.#state.done
  }

  /** Of what would wait for the hook, within the hook. */
  #refusedToHook(method: string): Promise<never> | undefined {
    if (this.#undelivered?.isCaller !== true) return undefined
    return Promise.reject(new Error(`${method}() within onUndelivered would wait for onUndelivered itself`))
  }

  #close(): Promise<void> {
    const refused = this.#refusedToHook('close')
    if (refused !== undefined) return refused
    if (this.#state.kind === 'closed') return this.#state.done
    if (this.#state.kind === 'idle') this.#state = { kind: 'closed', done: Promise.resolve(), streams: undefined }
    else {
      const { streams, connection } = this.#state
      let finish = (_: Promise<void>): void => {}
      const done = new Promise<void>((resolve) => {
        finish = resolve
      })
      // Before the flush: what a listener puts in the middle of that would be after it, and nobody would wait for it.
      this.#state = { kind: 'closed', done, streams }
      finish(
        this.#drain(streams).then(() => {
          streams.stop()
          connection?.close()
          this.#log?.closed()
        }),
      )
    }
    return this.#state.done
  }

  /** What the hook for undelivered records puts without awaiting it comes after the flush. */
  async #drain(streams: Streams): Promise<void> {
    if (this.#line !== undefined) await this.#line.passed()
    do await streams.flush()
    while (!this.#ledger.isEmpty)
  }

  #streams(): Streams {
    if (this.#state.kind === 'running') return this.#state.streams
    if (this.#state.kind === 'closed') {
      // The closing waits for the hook, and the hook for what it puts; and for what waited for the codec when it was called.
      const isAwaited = this.#undelivered?.isCaller === true || this.#line?.isTurn === true
      if (this.#state.streams !== undefined && isAwaited) return this.#state.streams
      throw new ProducerClosedError()
    }
    const { kinesis, client, region, endpoint, credentials, wire, sender, clock } = this.#options
    const { requestTimeoutMs, connectTimeoutMs } = this.#settings
    const timeouts = { requestTimeoutMs, connectTimeoutMs }
    const connection =
      kinesis === undefined
        ? connectKinesis({ client, region, endpoint, credentials, wire, sender, clock, ...timeouts, maxSockets: MAX_SOCKETS })
        : undefined
    const port = kinesis ?? connection!.port
    const streams = new Streams(this.#settings, port, this.events, this.#ledger, this.#undelivered)
    this.#state = { kind: 'running', streams, connection }
    return streams
  }
}
