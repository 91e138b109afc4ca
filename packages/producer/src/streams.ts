import type { EventSource } from '@shardwise/core/events'
import { type KinesisPort, streamReference } from '@shardwise/core/kinesis-port'
import type { Ledger } from './ledger.js'
import { Pipeline } from './pipeline.js'
import { RecordRejectedError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import { isStream, type ProducerSettings, STREAM_RULE } from './producer-options.js'
import { type ProducerStats, past, sum } from './producer-stats.js'
import type { Undelivered } from './undelivered.js'
import { brief } from './user-record.js'

/** With more, the pipelines of streams that have nothing to do are let go. */
const MOST_IDLE_STREAMS = 256

/** One pipeline a stream, made by the first put. They share the port, the ledger and the events. */
export class Streams {
  readonly #settings: ProducerSettings
  readonly #port: KinesisPort
  readonly #events: EventSource<ProducerEvent>
  readonly #ledger: Ledger
  readonly #undelivered: Undelivered | undefined
  readonly #most: number
  /** By name or ARN as given. */
  readonly #pipelines = new Map<string, Pipeline>()
  /** What those counted that were let go. */
  #past: ProducerStats = sum([])
  #uses = 0
  #leaving: 'no' | 'once' | 'again' = 'no'
  /** The one that moved when it was last asked, or left last: of thousands the others need not be asked. */
  #moving: Pipeline | undefined

  constructor(
    settings: ProducerSettings,
    port: KinesisPort,
    events: EventSource<ProducerEvent>,
    ledger: Ledger,
    undelivered?: Undelivered,
    most: number = MOST_IDLE_STREAMS,
  ) {
    this.#settings = settings
    this.#port = port
    this.#events = events
    this.#ledger = ledger
    this.#undelivered = undelivered
    this.#most = most
    ledger.onFull = () => this.#leaveIfAllLingers()
  }

  /** The stream's pipeline, or that of the producer's own stream. Throws RecordRejectedError. */
  of(given: string | undefined): Pipeline {
    const stream = given ?? this.#settings.stream
    const pipeline = this.#pipelines.get(stream as string) ?? this.#open(stream)
    pipeline.lastUse = ++this.#uses
    return pipeline
  }

  /** Resolves when everything put before, to any stream, has settled. Nothing of it lingers any longer. */
  flush(): Promise<void> {
    const flushed = this.#ledger.flush()
    for (const pipeline of this.#pipelines.values()) pipeline.hurry()
    return flushed
  }

  resume(stream: string | undefined): void {
    for (const pipeline of this.#those(stream)) pipeline.resume()
  }

  /** For after the last flush. */
  stop(): void {
    for (const pipeline of this.#pipelines.values()) pipeline.stop()
    this.#ledger.close()
  }

  /** Of one stream since its pipeline was made, or of all since the producer was. */
  stats(stream: string | undefined): ProducerStats {
    const stats = this.#those(stream).map((pipeline) => pipeline.stats())
    return sum(stream === undefined ? [this.#past, ...stats] : stats)
  }

  /**
   * The buffer is full. Where nothing in it moves, what waits for company waits for none: without this nothing would happen until the linger is over.
   * Not while something moves: the room that it makes is company for what lingers, and to send that every time would make ever smaller aggregates.
   */
  #leaveIfAllLingers(): void {
    if (this.#leaving !== 'no') {
      this.#leaving = 'again'
      return
    }
    try {
      do {
        this.#leaving = 'once'
        if (this.#isAnyMoving) return
        for (const pipeline of this.#pipelines.values()) {
          if (!pipeline.lingers) continue
          pipeline.hurry()
          this.#moving = pipeline
        }
      } while ((this.#leaving as 'once' | 'again') === 'again')
    } finally {
      this.#leaving = 'no'
    }
  }

  get #isAnyMoving(): boolean {
    if (this.#moving?.isMoving === true) return true
    for (const pipeline of this.#pipelines.values()) {
      if (!pipeline.isMoving) continue
      this.#moving = pipeline
      return true
    }
    return false
  }

  #those(stream: string | undefined): Pipeline[] {
    if (stream === undefined) return [...this.#pipelines.values()]
    const pipeline = this.#pipelines.get(stream)
    return pipeline === undefined ? [] : [pipeline]
  }

  #open(stream: unknown): Pipeline {
    if (stream === undefined) throw new RecordRejectedError('stream', 'must be named: the producer has no stream of its own')
    if (!isStream(stream)) throw new RecordRejectedError('stream', `must be ${STREAM_RULE}, got ${brief(stream)}`)
    if (this.#pipelines.size >= this.#most) this.#letGo()
    const shared = [this.#events, this.#ledger, this.#undelivered] as const
    const pipeline = new Pipeline({ ...this.#settings, stream }, this.#port, streamReference(stream), ...shared)
    this.#pipelines.set(stream, pipeline)
    return pipeline
  }

  /** Makes room for one more, unless all have something to do: their number is bounded by the buffer, and by the halts to resume from. */
  #letGo(): void {
    const idle = this.#those(undefined).filter((pipeline) => pipeline.isIdle)
    idle.sort((a, b) => a.lastUse - b.lastUse)
    for (const pipeline of idle.slice(0, this.#pipelines.size - this.#most + 1)) {
      this.#pipelines.delete(pipeline.stream)
      pipeline.stop()
      this.#past = sum([this.#past, past(pipeline.stats())])
    }
  }
}
