import { type Scheduled, sleep } from '@shardwise/core/clock'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import { DeliveryFailedError, LaneHaltedError, Producer, StreamUnusableError } from '@shardwise/producer'
import type { ProducerVariant } from './fleet-settings.js'
import type { Put, RecordLedger } from './record-ledger.js'
import type { SimulatedProcess } from './simulated-process.js'

export interface ProducerAppOptions {
  readonly process: SimulatedProcess
  readonly kinesis: KinesisPort
  readonly variant: ProducerVariant
  readonly stream: string
  readonly keys: readonly string[]
  readonly ledger: RecordLedger
  readonly violated: (what: string) => void
  readonly trace: (line: string) => void
}

const RESUMES_AFTER_MS = 500
/** Of a producer whose process is undisturbed: what a turn of it takes. */
const TURN_MS = 1_000

/** A process with a real Producer, which puts numbered records of some keys and keeps the ledger of what became of them. */
export class ProducerApp {
  readonly process: SimulatedProcess
  readonly producer: Producer
  readonly #options: ProducerAppOptions
  readonly #ranks = new Map<string, number>()
  readonly #random: Random
  /** Not settled. */
  readonly #open = new Set<Put>()
  #puts = 0
  #timer: Scheduled | undefined
  #closing: Promise<void> | undefined

  constructor(options: ProducerAppOptions) {
    const { process, kinesis, variant, stream } = options
    this.#options = options
    this.process = process
    this.#random = process.random
    this.producer = new Producer({
      stream,
      kinesis,
      clock: process.clock,
      random: process.random,
      ...variant.producer,
    })
    this.producer.events.on('lane-halted', () => {
      void sleep(process.clock, RESUMES_AFTER_MS).then(() => this.producer.resume())
    })
    this.producer.events.on('wrong-shard', ({ shardId }) => options.trace(`${process.name} says wrong-shard ${shardId}`))
    this.producer.events.on('lane-halted', ({ shardId }) => options.trace(`${process.name} says lane-halted ${shardId}`))
  }

  start(): void {
    const { process, variant } = this.#options
    this.#timer = process.clock.schedule(this.#random() * variant.pauseMs * 2, () => {
      this.#burst()
      this.start()
    })
  }

  /** Puts nothing more, and closes. */
  close(): Promise<void> {
    this.#timer?.cancel()
    this.#closing ??= this.producer.close()
    return this.#closing
  }

  #burst(): void {
    const { keys, variant } = this.#options
    const count = 1 + Math.floor(this.#random() * variant.burst)
    for (let i = 0; i < count; i++) this.#put(keys[Math.floor(this.#random() * keys.length)]!)
    if (this.#random() < 0.05) void this.#flush()
    // It costs more than the puts.
    if (this.#random() < 0.8) return
    const { bufferedRecords } = this.producer.stats()
    const { maxBufferedRecords } = variant.producer
    if (bufferedRecords > maxBufferedRecords)
      this.#options.violated(`${this.process.name} buffers ${bufferedRecords} records, more than ${maxBufferedRecords}`)
  }

  async #flush(): Promise<void> {
    const { process, violated } = this.#options
    const open = [...this.#open]
    await this.producer.flush()
    // Those who wait for a put hear of it in the same turn.
    await sleep(process.clock, 1)
    const left = open.find((put) => this.#open.has(put))
    if (left !== undefined) violated(`${process.name}: a flush ended before ${left.id}, which was put before it, has settled`)
  }

  #put(key: string): void {
    const { ledger, variant, process, trace } = this.#options
    const rank = (this.#ranks.get(key) ?? 0) + 1
    this.#ranks.set(key, rank)
    const id = `${process.name}-${this.#puts++}`
    const isOrdered = variant.producer.ordering !== 'none'
    const put = ledger.put({ id, producer: process.name, key, rank, isOrdered, at: process.now })
    const hasRoom = this.#open.size < variant.producer.maxBufferedRecords
    this.#open.add(put)
    const data = Buffer.from(`${id} ${'x'.repeat(Math.floor(this.#random() * variant.padding))}`)
    if (this.#random() < 0.2) this.#offer(put, key, data, hasRoom)
    else
      this.producer.put({ partitionKey: key, data }).then(
        ({ shardId, sequenceNumber, subSequenceNumber }) => {
          trace(`${process.name} has ${id} acknowledged in ${shardId}`)
          ledger.acknowledged(put, shardId, sequenceNumber, subSequenceNumber)
          this.#settled(put, hasRoom)
        },
        (error: Error) => this.#failed(put, error, hasRoom),
      )
  }

  #offer(put: Put, partitionKey: string, data: Uint8Array, hasRoom: boolean): void {
    try {
      const accepted = this.producer.offer({ partitionKey, data }, (error, result) => {
        if (error !== undefined) {
          this.#failed(put, error, hasRoom)
          return
        }
        this.#options.trace(`${this.process.name} has ${put.id} acknowledged in ${result!.shardId}`)
        this.#options.ledger.acknowledged(put, result!.shardId, result!.sequenceNumber, result!.subSequenceNumber)
        this.#settled(put, hasRoom)
      })
      if (accepted) return
      this.#options.ledger.failed(put, 'no')
      this.#settled(put, hasRoom)
    } catch (error) {
      this.#failed(put, error as Error, hasRoom)
    }
  }

  /** `hadRoom`: it did not wait in line before its life began. */
  #settled(put: Put, hadRoom: boolean): void {
    const { process, variant, violated } = this.#options
    const { recordTtlMs, requestTimeoutMs } = variant.producer
    this.#open.delete(put)
    const tookMs = process.now - put.at
    if (!hadRoom || process.disturbedUntil > put.at || tookMs * process.rate < recordTtlMs + requestTimeoutMs + TURN_MS) return
    violated(`${put.id} has settled ${Math.round(tookMs)} ms after it was put, though it had ${recordTtlMs} ms to live`)
  }

  #failed(put: Put, error: Error, hadRoom: boolean): void {
    const { ledger, trace } = this.#options
    ledger.failed(put, writtenBy(error))
    this.#settled(put, hadRoom)
    trace(`${this.process.name} has ${put.id} failed: ${error.name} ${(error as { code?: string }).code ?? ''}`)
  }
}

/** What the failure says of whether the record lies in the stream. */
function writtenBy(error: Error): 'no' | 'unknown' {
  if (error instanceof DeliveryFailedError || error instanceof LaneHaltedError) return error.written
  // It is about the stream, and says nothing of the record, which may have been sent before.
  return error instanceof StreamUnusableError ? 'unknown' : 'no'
}
