import type { KinesisPort } from '@shardwise/core/kinesis-port'
import { AnswerLog } from './answer-log.js'
import { Producer } from './producer.js'
import { ProducerClosedError } from './producer-error.js'
import type { ProducerOptions } from './producer-options.js'
import type { PutOutcome } from './sdk-output.js'
import type { PutInput } from './user-record.js'

/** Streams at a time. With more, the producers that have nothing to do make room for others. */
const MOST_STREAMS = 256

/** One producer a stream, made by the first put. */
export class StreamProducers {
  readonly #port: KinesisPort
  readonly #options: Omit<ProducerOptions, 'stream'>
  readonly #most: number
  /** By name or ARN; the one used last is the last. */
  readonly #streams = new Map<string, StreamProducer>()
  /** Those that have made room and are not done yet. */
  readonly #leaving = new Set<Promise<void>>()
  #closed = false

  constructor(port: KinesisPort, options: Omit<ProducerOptions, 'stream'>, most: number = MOST_STREAMS) {
    this.#port = port
    this.#options = options
    this.#most = most
  }

  /** Undefined if there are producers for as many streams as there may be, and all are at work. Throws ProducerClosedError. */
  of(stream: string): StreamProducer | undefined {
    if (this.#closed) throw new ProducerClosedError()
    let found = this.#streams.get(stream)
    if (found === undefined) {
      if (this.#streams.size >= this.#most && !this.#makeRoom()) return undefined
      found = new StreamProducer(stream, this.#port, this.#options)
    } else this.#streams.delete(stream)
    this.#streams.set(stream, found)
    return found
  }

  /** Whether nothing that was put is unsettled. */
  get isIdle(): boolean {
    for (const stream of this.#streams.values()) if (!stream.isIdle) return false
    return true
  }

  async flush(): Promise<void> {
    await Promise.all([...this.#streams.values()].map(({ producer }) => producer.flush()))
  }

  resume(): void {
    for (const stream of this.#streams.values()) stream.resume()
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...[...this.#streams.values()].map(({ producer }) => producer.close()), ...this.#leaving])
  }

  #makeRoom(): boolean {
    for (const [name, stream] of this.#streams) {
      if (!stream.isDispensable) continue
      this.#streams.delete(name)
      const left = stream.producer.close().finally(() => this.#leaving.delete(left))
      this.#leaving.add(left)
      return true
    }
    return false
  }
}

/** A stream's producer, and what its requests were answered with. */
export class StreamProducer {
  readonly producer: Producer
  readonly #answers = new AnswerLog()
  readonly #aggregates: boolean
  #halted = false

  constructor(stream: string, port: KinesisPort, options: Omit<ProducerOptions, 'stream'>) {
    this.#aggregates = options.aggregation !== 'off'
    const telemetry = this.#aggregates ? options.telemetry : withoutInject(options.telemetry)
    this.producer = new Producer({ ...options, telemetry, stream, kinesis: this.#answers.overhear(port) })
    this.producer.events.on('lane-halted', () => {
      this.#halted = true
    })
  }

  get isIdle(): boolean {
    const { bufferedRecords, waitingForRoom } = this.producer.stats()
    return bufferedRecords === 0 && waitingForRoom === 0
  }

  /** Another one in its place would know what it needs to know: not of halts. */
  get isDispensable(): boolean {
    return this.isIdle && !this.#halted
  }

  resume(): void {
    this.#halted = false
    this.producer.resume()
  }

  /** Takes the record in before it returns. Never rejects. */
  put(input: PutInput): Promise<PutOutcome> {
    return this.producer.put(input).then(
      (result) => ({ kind: 'put', result, facts: this.#answers.factsOf(result, this.#aggregates) }),
      (error: unknown) => ({ kind: 'failed', error }),
    )
  }
}

/** Records that carry headers are in an envelope, and readers were promised to see what they saw before. */
function withoutInject(telemetry: ProducerOptions['telemetry']): ProducerOptions['telemetry'] {
  if (telemetry === undefined) return undefined
  return {
    counter: (...sample) => telemetry.counter?.(...sample),
    histogram: (...sample) => telemetry.histogram?.(...sample),
    gauge: (...sample) => telemetry.gauge?.(...sample),
  }
}
