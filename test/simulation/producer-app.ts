import { type Scheduled, sleep } from '@shardwise/core/clock'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import { Producer } from '@shardwise/producer'
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

/** A process with a real Producer, which puts numbered records of some keys and keeps the ledger of what became of them. */
export class ProducerApp {
  readonly process: SimulatedProcess
  readonly producer: Producer
  readonly #options: ProducerAppOptions
  readonly #ranks = new Map<string, number>()
  readonly #random: Random
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
    // It costs more than the puts.
    if (this.#random() < 0.8) return
    const { bufferedRecords } = this.producer.stats()
    const { maxBufferedRecords } = variant.producer
    if (bufferedRecords > maxBufferedRecords)
      this.#options.violated(`${this.process.name} buffers ${bufferedRecords} records, more than ${maxBufferedRecords}`)
  }

  #put(key: string): void {
    const { ledger, variant, process, trace } = this.#options
    const rank = (this.#ranks.get(key) ?? 0) + 1
    this.#ranks.set(key, rank)
    const id = `${process.name}-${this.#puts++}`
    const isOrdered = variant.producer.ordering !== 'none'
    const put = ledger.put({ id, producer: process.name, key, rank, isOrdered, at: process.now })
    const data = Buffer.from(`${id} ${'x'.repeat(Math.floor(this.#random() * variant.padding))}`)
    if (this.#random() < 0.2) this.#offer(put, key, data)
    else
      this.producer.put({ partitionKey: key, data }).then(
        ({ shardId, sequenceNumber, subSequenceNumber }) => {
          trace(`${process.name} has ${id} acknowledged in ${shardId}`)
          ledger.acknowledged(put, shardId, sequenceNumber, subSequenceNumber)
        },
        (error: Error) => this.#failed(put, error),
      )
  }

  #offer(put: Put, partitionKey: string, data: Uint8Array): void {
    try {
      const accepted = this.producer.offer({ partitionKey, data }, (error, result) => {
        if (error !== undefined) {
          this.#failed(put, error)
          return
        }
        this.#options.trace(`${this.process.name} has ${put.id} acknowledged in ${result!.shardId}`)
        this.#options.ledger.acknowledged(put, result!.shardId, result!.sequenceNumber, result!.subSequenceNumber)
      })
      if (!accepted) put.state = 'failed'
    } catch (error) {
      this.#failed(put, error as Error)
    }
  }

  #failed(put: Put, error: Error): void {
    put.state = 'failed'
    this.#options.trace(`${this.process.name} has ${put.id} failed: ${error.name} ${(error as { code?: string }).code ?? ''}`)
  }
}
