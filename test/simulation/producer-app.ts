import { type Scheduled, sleep } from '@shardwise/core/clock'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import {
  DeliveryFailedError,
  LaneHaltedError,
  Producer,
  type PutInput,
  type PutResult,
  StreamUnusableError,
} from '@shardwise/producer'
import type { FleetSettings, ProducerVariant } from './fleet-settings.js'
import type { RecordLedger } from './record-ledger.js'
import type { SimulatedProcess } from './simulated-process.js'
import type { Put } from './stream-log.js'
import { codecOf, type KeyService } from './world-codec.js'

/** What records of one key are put with: the explicit hash key decides where they go, if there is one. */
export interface RecordKey {
  readonly stream: string
  readonly partitionKey: string
  readonly explicitHashKey: string | undefined
}

export interface ProducerAppOptions {
  readonly process: SimulatedProcess
  readonly kinesis: KinesisPort
  readonly settings: FleetSettings
  readonly variant: ProducerVariant
  readonly recordKeys: readonly RecordKey[]
  readonly keyService: KeyService
  readonly ledger: RecordLedger
  readonly violated: (what: string) => void
  readonly trace: (line: string) => void
}

const RESUMES_AFTER_MS = 500
/** Of a producer whose process is undisturbed: what a turn of it takes, and the hook. */
const TURN_MS = 1_000
const HOOK_MS = 1_000
/** Before that a producer does not take the keys for ignored because of where a record lies. Rounded. */
const DOUBT_MS = 999
const MIB = 1024 * 1024

/** A process with a real Producer, which puts numbered records of some keys to all streams and keeps the ledger of what became of them. */
export class ProducerApp {
  readonly process: SimulatedProcess
  readonly producer: Producer<unknown>
  readonly #options: ProducerAppOptions
  readonly #ranks = new Map<string, number>()
  /** Not settled. */
  readonly #puts = new Map<object, Put>()
  readonly #open = new Set<Put>()
  #openBytes = 0
  /** They did not wait in line before their lives began. */
  readonly #hadRoom = new Set<Put>()
  /** Handed to the hook, and not settled yet. */
  readonly #undelivered = new Set<Put>()
  readonly #random: Random
  #count = 0
  #timer: Scheduled | undefined
  #closing: Promise<void> | undefined

  constructor(options: ProducerAppOptions) {
    const { process, kinesis, variant, settings, ledger, keyService, trace } = options
    this.#options = options
    this.process = process
    this.#random = process.random
    this.producer = new Producer<unknown>({
      codec: codecOf(settings.codec, process, keyService),
      recordIds: settings.recordIds,
      ...(variant.undelivered && {
        onUndelivered: (records: readonly { readonly input: object }[]) => this.#setAside(records.map(({ input }) => input)),
      }),
      kinesis,
      clock: process.clock,
      random: process.random,
      maxBufferedBytes: MIB,
      ...variant.producer,
    })
    this.producer.events.on('lane-halted', () => {
      void sleep(process.clock, RESUMES_AFTER_MS).then(() => this.producer.resume())
    })
    const misplacedSince = new Map<string, number>()
    this.producer.events.on('wrong-shard', ({ stream, shardId }) => {
      trace(`${process.name} says wrong-shard ${stream} ${shardId}`)
      misplacedSince.set(stream, misplacedSince.get(stream) ?? process.clock.now())
    })
    this.producer.events.on('map-refreshed', ({ stream }) => misplacedSince.delete(stream))
    this.producer.events.on('distribution-changed', ({ stream, distribution }) => {
      trace(`${process.name} says distribution-changed ${stream} ${distribution}`)
      const waitedMs = process.clock.now() - (misplacedSince.get(stream) ?? Number.POSITIVE_INFINITY)
      if (distribution === 'auto' && waitedMs >= DOUBT_MS) ledger.stream(stream).takenForAutoBy.add(process.name)
    })
    this.producer.events.on('lane-halted', ({ stream, shardId }) =>
      trace(`${process.name} says lane-halted ${stream} ${shardId}`),
    )
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
    const { recordKeys, variant, violated } = this.#options
    const count = 1 + Math.floor(this.#random() * variant.burst)
    for (let i = 0; i < count; i++) this.#put(recordKeys[Math.floor(this.#random() * recordKeys.length)]!)
    if (this.#random() < 0.05) void this.#flush()
    // It costs more than the puts.
    if (this.#random() < 0.8) return
    const { bufferedRecords, bufferedBytes } = this.producer.stats()
    const { maxBufferedRecords } = variant.producer
    if (bufferedRecords > maxBufferedRecords)
      violated(`${this.process.name} buffers ${bufferedRecords} records, more than ${maxBufferedRecords}`)
    if (bufferedBytes > MIB) violated(`${this.process.name} buffers ${bufferedBytes} bytes, more than ${MIB}`)
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

  #put({ stream, partitionKey, explicitHashKey }: RecordKey): void {
    const { ledger, variant, process, settings } = this.#options
    const key = explicitHashKey === undefined ? partitionKey : `${partitionKey}@${explicitHashKey}`
    const rank = (this.#ranks.get(`${stream} ${key}`) ?? 0) + 1
    this.#ranks.set(`${stream} ${key}`, rank)
    const id = `${process.name}-${this.#count++}`
    const isOrdered = variant.producer.ordering !== 'none'
    const text = `${id} ${'x'.repeat(Math.floor(this.#random() * variant.padding))}`
    const data = settings.codec === 'bytes' ? Buffer.from(text) : text
    const headers = this.#random() < variant.headers ? { put: id } : undefined
    const given = { partitionKey, explicitHashKey, text, hasHeaders: headers !== undefined, hasRecordId: settings.recordIds }
    const put = ledger.put({ id, producer: process.name, stream, given, key, rank, isOrdered, at: process.now })
    const input: PutInput<unknown> = { stream, partitionKey, explicitHashKey, data, headers }
    this.#openBytes += text.length
    // Of bytes half of what there is, for keys, headers and what a codec adds count as well.
    const hasRoom = this.#open.size < variant.producer.maxBufferedRecords && this.#openBytes < MIB / 2
    if (hasRoom && settings.codec !== 'keyed') this.#hadRoom.add(put)
    this.#open.add(put)
    this.#puts.set(input, put)
    if (this.#random() < 0.2) this.#offer(put, input)
    else
      this.producer.put(input).then(
        (result) => this.#acknowledged(put, input, result),
        (error: Error) => this.#failed(put, input, error),
      )
  }

  #offer(put: Put, input: PutInput<unknown>): void {
    try {
      const accepted = this.producer.offer(input, (error, result) => {
        if (error === undefined) this.#acknowledged(put, input, result!)
        else this.#failed(put, input, error)
      })
      if (!accepted) this.#settle(put, input, 'no')
    } catch (error) {
      this.#failed(put, input, error as Error)
    }
  }

  #acknowledged(put: Put, input: object, { shardId, sequenceNumber, subSequenceNumber }: PutResult): void {
    this.#options.trace(`${this.process.name} has ${put.id} acknowledged in ${put.stream} ${shardId}`)
    if (this.#undelivered.has(put))
      this.#options.violated(`${put.id} was acknowledged, and the hook for undelivered records has had it`)
    this.#settle(put, input, undefined)
    this.#options.ledger.acknowledged(put, shardId, sequenceNumber, subSequenceNumber)
  }

  #failed(put: Put, input: object, error: Error): void {
    const { variant, trace, violated } = this.#options
    trace(`${this.process.name} has ${put.id} failed: ${error.name} ${(error as { code?: string }).code ?? ''} ${error.message}`)
    if (variant.undelivered && error instanceof DeliveryFailedError && !this.#undelivered.has(put))
      violated(`${put.id} was accepted and failed, and the hook for undelivered records has not had it`)
    this.#settle(put, input, writtenBy(error))
  }

  /** `written`: of one that failed. */
  #settle(put: Put, input: object, written: 'no' | 'unknown' | undefined): void {
    const { ledger, process, variant, violated } = this.#options
    const { recordTtlMs, requestTimeoutMs } = variant.producer
    if (put.state !== 'open') violated(`${put.id} was settled twice: it was ${put.state} already`)
    if (written !== undefined) ledger.failed(put, written)
    this.#puts.delete(input)
    if (this.#open.delete(put)) this.#openBytes -= put.given.text.length
    this.#undelivered.delete(put)
    const tookMs = process.now - put.at
    const mayTakeMs = recordTtlMs + requestTimeoutMs + TURN_MS + (variant.undelivered ? HOOK_MS : 0)
    if (!this.#hadRoom.delete(put) || process.disturbedUntil > put.at || tookMs * process.rate < mayTakeMs) return
    violated(`${put.id} has settled ${Math.round(tookMs)} ms after it was put, though it had ${recordTtlMs} ms to live`)
  }

  /** The application's hook. It takes its time, and may fail: nobody hears of the failures before. */
  async #setAside(inputs: readonly object[]): Promise<void> {
    for (const input of inputs) {
      const put = this.#puts.get(input)
      if (put === undefined || this.#undelivered.has(put))
        this.#options.violated(`the hook for undelivered records was given ${put?.id ?? 'a record that has settled'} again`)
      else this.#undelivered.add(put)
    }
    if (this.#random() < 0.5) await sleep(this.process.clock, this.#random() * 300)
    if (this.#random() < 0.2) throw new Error('The hook fails, by the weather')
  }
}

/** What the failure says of whether the record lies in the stream. */
function writtenBy(error: Error): 'no' | 'unknown' {
  if (error instanceof DeliveryFailedError || error instanceof LaneHaltedError) return error.written
  // It is about the stream, and says nothing of the record, which may have been sent before.
  return error instanceof StreamUnusableError ? 'unknown' : 'no'
}
