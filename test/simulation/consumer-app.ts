import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { type ConsumedRecord, Consumer, type ConsumerEvent, type EachBatch } from '@shardwise/consumer'
import { sleep } from '@shardwise/core/clock'
import type { FanOutPort } from '@shardwise/core/fan-out-port'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import type { FleetSettings } from './fleet-settings.js'
import type { LeaseTruth } from './lease-truth.js'
import { type Copy, placeOf, type RecordLedger } from './record-ledger.js'
import type { SimulatedProcess } from './simulated-process.js'
import type { VirtualTime } from './virtual-time.js'

export interface ConsumerAppOptions {
  readonly process: SimulatedProcess
  readonly time: VirtualTime
  readonly kinesis: KinesisPort & FanOutPort
  readonly dynamodb: { send(command: object, options?: { readonly abortSignal?: AbortSignal }): Promise<object> }
  readonly settings: FleetSettings
  readonly stream: string
  readonly ledger: RecordLedger
  readonly truth: LeaseTruth
  readonly violated: (what: string) => void
  readonly trace: (line: string) => void
}

/** What the handlers of one worker do at present. */
export interface Conduct {
  /** Of a call: it takes long; it throws; it computes without a turn of the event loop. */
  slow: number
  failing: number
  blocking: number
}

/** One acquisition of a shard, as its handler sees it. */
interface Tenure {
  readonly leaseKey: string
  readonly generation: number
  callsInHand: number
  /** Virtual time at which a call last began or ended. */
  activeAt: number
  /** Its last call failed, and the next waits. */
  isBackingOff: boolean
  /** Something that the documentation names may repeat what it has completed. */
  mayRepeat: boolean
  /** The lease was read to its end, given up or lost. */
  isOver: boolean
}

const SLOW_MS = 4_000

/** A worker process: a real Consumer with handlers that keep the ledger. */
export class ConsumerApp {
  readonly process: SimulatedProcess
  readonly consumer: Consumer
  readonly conduct: Conduct = { slow: 0, failing: 0, blocking: 0 }
  readonly #options: ConsumerAppOptions
  readonly #tenures = new Map<string, Tenure>()
  readonly #random: Random
  readonly #takenAt = new Map<string, number>()
  #workerId = ''
  #stopping: Promise<unknown> | undefined
  #isStopped = false

  constructor(options: ConsumerAppOptions) {
    const { process, kinesis, dynamodb, settings, stream } = options
    this.#options = options
    this.process = process
    this.#random = process.random
    this.consumer = new Consumer({
      stream,
      applicationName: 'flights-app',
      workerId: process.name,
      kinesis,
      dynamodb: dynamodb as unknown as DynamoDBClient,
      clock: process.clock,
      random: process.random,
      ...settings.consumer,
    })
    for (const type of EVENTS) this.consumer.events.on(type, (event) => this.#heard(event as ConsumerEvent))
  }

  get isStopping(): boolean {
    return this.#stopping !== undefined
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  get workerId(): string {
    return this.#workerId
  }

  /** Rejects when it cannot start. */
  async run(): Promise<void> {
    const { handler, order, concurrency, checkpoint } = this.#options.settings
    const eachBatch: EachBatch = (records, context) => this.#handle(records, context)
    const handlers =
      handler === 'batch'
        ? { eachBatch }
        : { eachRecord: (record: ConsumedRecord, context: Parameters<EachBatch>[1]) => this.#handle([record], context) }
    const running = this.consumer.run(handlers, { order, concurrency, checkpoint })
    this.#workerId = this.consumer.snapshot().workerId ?? ''
    await running
    this.#isStopped = true
  }

  stop(timeoutMs: number | undefined): Promise<unknown> {
    if (timeoutMs !== undefined) for (const tenure of this.#tenures.values()) tenure.mayRepeat = true
    this.#stopping ??= this.consumer.stop({ timeoutMs })
    return this.#stopping
  }

  /** It was told that its take, at `at` or later, has succeeded. */
  knowsOf(leaseKey: string, at: number): boolean {
    return (this.#takenAt.get(leaseKey) ?? -1) >= at
  }

  /** Silent although it should not be: it holds the lease of this shard, which has records for it. Undefined: it is not. */
  silence(leaseKey: string, generation: number): number | undefined {
    const tenure = this.#tenures.get(`${leaseKey} ${generation}`)
    if (tenure === undefined) return undefined
    const { callsInHand, isBackingOff, isOver, activeAt } = tenure
    return callsInHand > 0 || isBackingOff || isOver ? undefined : this.#options.time.now - activeAt
  }

  #handle(records: readonly ConsumedRecord[], context: Parameters<EachBatch>[1]): unknown {
    const { process, time, ledger, truth, trace, settings } = this.#options
    const { shardId, generation, signal } = context
    const { name } = process
    const tenure = this.#tenure(shardId, generation)
    tenure.callsInHand++
    tenure.activeAt = process.now
    tenure.isBackingOff = false
    // Code that has blocked goes on later than the step that it runs in.
    const check = (): void => truth.handlerStarts(this.#workerId, shardId, generation)
    if (process.now > time.now) time.at(process.now, check)
    else check()
    const places = records.map(({ sequenceNumber, subSequenceNumber }) => placeOf(sequenceNumber, subSequenceNumber))
    const copies = ledger.called(name, shardId, places)
    for (const copy of copies) if (copy.isCompleted) this.#repeated(copy, tenure)
    trace(`${name} handles ${copies.map(({ put }) => put.id).join(' ')} of ${shardId} (generation ${generation})`)
    const complete = (): void => {
      tenure.callsInHand--
      tenure.activeAt = process.now
      if (signal.aborted) return
      trace(`${name} completes ${copies.map(({ put }) => put.id).join(' ')} of ${shardId}`)
      for (const copy of copies) ledger.completed(copy, tenure)
    }
    const random = this.#random
    if (random() < this.conduct.blocking) process.block(random() * settings.consumer.failoverTimeMs * 1.5)
    const fails = random() < this.conduct.failing
    const takes = random() < this.conduct.slow ? random() * SLOW_MS : random() < 0.3 ? 0 : random() * 30
    if (takes === 0 && !fails && settings.checkpoint === 'auto') return complete()
    return this.#finish(takes, fails, complete, tenure, context)
  }

  async #finish(
    takes: number,
    fails: boolean,
    complete: () => void,
    tenure: Tenure,
    context: Parameters<EachBatch>[1],
  ): Promise<void> {
    if (takes > 0) await sleep(this.process.clock, takes)
    if (fails) {
      tenure.callsInHand--
      tenure.isBackingOff = true
      throw new Error('The handler fails, by the weather')
    }
    complete()
    if (this.#options.settings.checkpoint === 'manual' && !context.signal.aborted) {
      tenure.callsInHand++
      await context.checkpoint().catch(() => {})
      tenure.callsInHand--
      tenure.activeAt = this.process.now
    }
  }

  #repeated(copy: Copy, tenure: Tenure): void {
    const { settings, truth, violated } = this.#options
    if (settings.checkpoint === 'manual') return
    const by = copy.completedBy as (Tenure & { readonly app: ConsumerApp }) | undefined
    if (by === undefined) return
    const { name } = this.process
    if (by === tenure) {
      violated(`${name} was given ${copy.put.id} again within one tenure of ${tenure.leaseKey}`)
      return
    }
    const before = truth.tenure(by.app.workerId, by.leaseKey, by.generation)
    if (before?.end !== 'given-up' || by.mayRepeat) return
    violated(
      `${name} was given ${copy.put.id} again, which ${by.app.process.name} had completed before it gave ${by.leaseKey} up`,
    )
  }

  #tenure(leaseKey: string, generation: number): Tenure {
    const key = `${leaseKey} ${generation}`
    let tenure = this.#tenures.get(key)
    if (tenure === undefined) {
      const fresh = { app: this, leaseKey, generation, callsInHand: 0, activeAt: this.process.now }
      tenure = { ...fresh, isBackingOff: false, mayRepeat: false, isOver: false }
      this.#tenures.set(key, tenure)
    }
    return tenure
  }

  #heard(event: ConsumerEvent): void {
    const { trace } = this.#options
    const about = 'leaseKey' in event ? event.leaseKey : 'shardId' in event ? event.shardId : ''
    trace(`${this.process.name} says ${event.type} ${about ?? ''}`)
    if (event.type === 'lease-taken') this.#takenAt.set(event.leaseKey, this.#options.time.now)
    if (event.type === 'shard-failed') this.#options.violated(`${this.process.name}: shard ${about} failed: ${event.error}`)
    if (event.type === 'lease-handoff-forced' || event.type === 'handler-abandoned' || event.type === 'lease-reader-stalled') {
      for (const tenure of this.#tenures.values()) if (tenure.leaseKey === about) tenure.mayRepeat = true
    }
    if (event.type === 'lease-lost' || event.type === 'lease-released' || event.type === 'lease-ended') {
      for (const tenure of this.#tenures.values()) if (tenure.leaseKey === about) tenure.isOver = true
    }
  }
}

const EVENTS = [
  'consumer-started',
  'consumer-stopped',
  'start-retried',
  'lease-created',
  'lease-taken',
  'lease-requested',
  'lease-released',
  'lease-ended',
  'lease-deleted',
  'lease-reset',
  'hash-range-hole',
  'lease-lost',
  'lease-handoff-forced',
  'lease-reader-stalled',
  'event-loop-blocked',
  'lease-in-doubt',
  'lease-malformed',
  'lease-store-failed',
  'shard-audit-failed',
  'handler-failed',
  'handler-abandoned',
  'read-failed',
  'read-throttled',
  'iterator-expired',
  'records-expired',
  'stream-not-found',
  'shard-started',
  'shard-stopped',
  'shard-failed',
  'subscription-started',
  'subscription-ended',
  'fan-out-suspended',
  'fan-out-resumed',
] as const
