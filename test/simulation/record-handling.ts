import type { ConsumedRecord, HandlerContext } from '@shardwise/consumer'
import { sleep } from '@shardwise/core/clock'
import type { Conduct } from './fleet-member.js'
import type { FleetSettings } from './fleet-settings.js'
import { nameIn } from './kinesis-service.js'
import type { LeaseTruth } from './lease-truth.js'
import type { RecordLedger } from './record-ledger.js'
import type { SimulatedProcess } from './simulated-process.js'
import { type Copy, placeOf, type ShardLog } from './stream-log.js'
import type { VirtualTime } from './virtual-time.js'

/** One acquisition of a shard, as its handler sees it. */
export interface Tenure {
  readonly worker: string
  readonly shard: ShardLog
  readonly generation: number
  callsInHand: number
  /** Virtual time at which a call last began or ended. */
  activeAt: number
  /** Its last call failed, and the next waits. */
  isBackingOff: boolean
  /** Begun and not completed. */
  readonly open: Set<Copy>
  /** Nobody in its process knows whether the lease is its own: who ends then frees the row without what it has completed. */
  isInDoubt: boolean
  /** Virtual time at which it was so last. */
  doubtedAt: number
  /** Its shard was paused at some time: by key nobody then closes the gaps before what is completed. */
  wasHeld: boolean
  /** The lease was read to its end, given up or lost. */
  isOver: boolean
}

export interface RecordHandlingOptions {
  readonly process: SimulatedProcess
  readonly time: VirtualTime
  readonly settings: FleetSettings
  readonly conduct: Conduct
  readonly ledger: RecordLedger
  readonly truth: LeaseTruth
  readonly violated: (what: string) => void
  readonly trace: (line: string) => void
}

/** Of a call of a handler: by which acquisition of which shard. */
export interface Acquisition {
  readonly shardId: string
  readonly generation: number
  readonly signal: AbortSignal
}

interface SequencePlace {
  readonly sequenceNumber: string
  readonly subSequenceNumber: number
}

/** What the handlers of one worker are given and complete, held against the ledger and the truth about leases. */
export class RecordHandling {
  readonly #options: RecordHandlingOptions
  readonly #tenures = new Map<string, Tenure>()
  /** By lease: the checkpoint that the last take was told to go on from, when it had left the stream by then. */
  readonly #gone = new Map<string, Copy>()
  readonly #looked = new Set<string>()
  /** As in lease rows. */
  worker = ''

  constructor(options: RecordHandlingOptions) {
    this.#options = options
  }

  get tenures(): Iterable<Tenure> {
    return this.#tenures.values()
  }

  tenure(leaseKey: string, generation: number): Tenure | undefined {
    return this.#tenures.get(`${leaseKey} ${generation}`)
  }

  /** A lease was taken, with this checkpoint. */
  resumes(leaseKey: string, { sequenceNumber, subSequenceNumber }: SequencePlace): void {
    const place = placeOf(sequenceNumber, subSequenceNumber)
    const copy = this.#options.ledger.leased(leaseKey).flatMap(({ byPlace }) => byPlace.get(place) ?? [])[0]
    if (copy?.hasLeft === true) this.#gone.set(leaseKey, copy)
    else this.#gone.delete(leaseKey)
  }

  /** The application was told that records of this shard have expired. */
  announced(stream: string, shardId: string): void {
    for (const [leaseKey, { shard }] of this.#gone)
      if (shard.stream.name === stream && shard.shardId === shardId) this.#gone.delete(leaseKey)
  }

  /** A call begins at this moment, and has this to tell: what a former owner has prepared and nobody has decided on is found by the next. */
  checkPrepared({ stream, shardId, sequenceNumber, subSequenceNumber }: ConsumedRecord<unknown>, context: HandlerContext): void {
    const { ledger, truth, process, violated } = this.#options
    const { generation, pendingCheckpoint: found } = context
    const [copy] = ledger.find(process.name, streamIn(stream), shardId, [placeOf(sequenceNumber, subSequenceNumber)])
    const { leaseKey } = copy!.shard
    // Afterwards a checkpoint of its own may have come after it.
    if (this.#looked.has(`${leaseKey} ${generation}`)) return
    this.#looked.add(`${leaseKey} ${generation}`)
    const tenure = truth.tenure(this.worker, leaseKey, generation)
    if (tenure === undefined || tenure.createdAt !== copy!.shard.stream.createdAt) return
    const at =
      found?.position.kind === 'sequence' ? placeOf(found.position.sequenceNumber, found.position.subSequenceNumber) : undefined
    if (at !== tenure.prepared) violated(`${this.worker} has ${leaseKey} prepared at ${tenure.prepared}, and is told of ${at}`)
  }

  /** A call with these records begins at this moment. */
  begin(records: readonly ConsumedRecord<unknown>[], { shardId, generation, signal }: Acquisition): HandlerCall {
    const { process, time, ledger, truth, trace, conduct, violated } = this.#options
    const { name } = process
    if (conduct.isHeld) violated(`${name} was given records of ${shardId} while it is paused`)
    const stream = streamIn(records[0]!.stream)
    const places = records.map(({ sequenceNumber, subSequenceNumber }) => placeOf(sequenceNumber, subSequenceNumber))
    const copies = ledger.find(name, stream, shardId, places)
    const { shard } = copies[0]!
    const former = this.#former(shard, generation)
    if (former !== undefined) {
      // docs/lease-protocol.md, "A stream that was created anew": what is read before the worker has learned of it counts for nothing.
      trace(`${name} handles ${idsOf(copies)} of ${shard.leaseKey} under the lease of the stream before`)
      truth.handlerStarts(this.worker, former.leaseKey, generation)
      return new HandlerCall(this.#options, this.#opened(former, generation), [], signal)
    }
    const gone = this.#options.settings.handler === 'sink' ? undefined : this.#gone.get(shard.leaseKey)
    if (gone !== undefined && gone.shard === shard)
      this.#options.violated(
        `${name} goes on in ${shard.leaseKey}, whose checkpoint ${gone.put.id} had left the stream, and does not say so`,
      )
    const tenure = this.#opened(shard, generation)
    // Code that has blocked goes on later than the step that it runs in.
    const check = (): void => truth.handlerStarts(this.worker, shard.leaseKey, generation)
    if (process.now > time.now) time.at(process.now, check)
    else check()
    ledger.called(name, copies)
    this.#checkResumed(copies[0]!, generation)
    for (const copy of copies) if (copy.isCompleted) this.#repeated(copy, tenure)
    for (const [i, copy] of copies.entries()) this.#checkContent(records[i]!, copy)
    trace(`${name} handles ${idsOf(copies)} of ${shard.leaseKey} (generation ${generation})`)
    return new HandlerCall(this.#options, tenure, copies, signal)
  }

  /** The shard whose lease this worker really has: of a stream that is gone and had the same name, or would be, had that one split as this one did. */
  #former(shard: ShardLog, generation: number): ShardLog | undefined {
    const { ledger, truth } = this.#options
    const { stream, shardId, leaseKey } = shard
    const own = truth.tenure(this.worker, leaseKey, generation)
    if (own !== undefined && (own.createdAt === undefined || own.createdAt === stream.createdAt)) return undefined
    const former = ledger.streams
      .filter(({ name, createdAt }) => name === stream.name && createdAt < stream.createdAt)
      .map(({ shards }) => shards.get(shardId))
      .find((known) => known !== undefined && truth.tenure(this.worker, known.leaseKey, generation) !== undefined)
    return former ?? (own === undefined ? undefined : shard)
  }

  #opened(shard: ShardLog, generation: number): Tenure {
    const key = `${shard.leaseKey} ${generation}`
    let tenure = this.#tenures.get(key)
    if (tenure === undefined) {
      const fresh = { worker: this.worker, shard, generation, callsInHand: 0, activeAt: this.#options.process.now }
      tenure = {
        ...fresh,
        isBackingOff: false,
        open: new Set<Copy>(),
        isInDoubt: false,
        doubtedAt: Number.NEGATIVE_INFINITY,
        wasHeld: false,
        isOver: false,
      }
      this.#tenures.set(key, tenure)
    }
    return tenure
  }

  /** Whatever has become of the owner before: what its checkpoint covers does not come again, unless that place is not there any more. */
  #checkResumed({ shard, put, index }: Copy, generation: number): void {
    const { truth, violated, process } = this.#options
    const place = truth.tenure(this.worker, shard.leaseKey, generation)?.resumesAfter
    const last = place === undefined ? undefined : shard.byPlace.get(place)
    if (last !== undefined && !last.hasLeft && index <= last.index)
      violated(
        `${process.name} was given ${put.id} of ${shard.leaseKey}, which the checkpoint that its lease was taken with covers`,
      )
  }

  #repeated(copy: Copy, tenure: Tenure): void {
    const { settings, truth, violated, process } = this.#options
    const by = copy.completedBy as Tenure | undefined
    if (by === undefined) return
    if (by === tenure) {
      violated(`${process.name} was given ${copy.put.id} again within one tenure of ${tenure.shard.leaseKey}`)
      return
    }
    // What is behind the last checkpoint that a handler has made comes again.
    if (settings.checkpoint !== 'auto' || by.isInDoubt || (settings.order === 'key' && by.wasHeld)) return
    const before = truth.tenure(by.worker, by.shard.leaseKey, by.generation)
    // A drain closes no gaps while the lease is in doubt, and waits for nothing.
    const hasDoubted = before !== undefined && before.confirmedAt - by.doubtedAt < settings.consumer.failoverTimeMs / 3
    if (settings.order === 'key' && (hasDoubted || before?.hadLapsed === true)) return
    // Of calls side by side those may be completed that are behind one that has failed, or was cut off.
    if (before?.end !== 'given-up' || [...by.open].some(({ index }) => index < copy.index)) return
    violated(
      `${process.name} was given ${copy.put.id} again, which ${by.worker} had completed before it gave ${by.shard.leaseKey} up`,
    )
  }

  /** Data, keys, headers and id arrive as they were put. */
  #checkContent(record: ConsumedRecord<unknown>, { put, shard }: Copy): void {
    const { violated, process } = this.#options
    const { partitionKey, explicitHashKey, text, hasHeaders, hasRecordId } = put.given
    const gets = (what: string): void => violated(`${process.name} was given ${put.id} with ${what}`)
    const data = record.data instanceof Uint8Array ? Buffer.from(record.data).toString() : record.data
    if (data !== text) gets(`the data ${String(data).slice(0, 40)}`)
    if (record.partitionKey !== partitionKey) gets(`the partition key ${record.partitionKey}`)
    // Kinesis tells nobody: only an aggregate has it.
    if (record.explicitHashKey !== undefined && record.explicitHashKey !== explicitHashKey)
      gets(`the explicit hash key ${record.explicitHashKey}`)
    if (record.headers.put !== (hasHeaders ? put.id : undefined)) gets(`the headers of ${record.headers.put ?? 'nobody'}`)
    // On a stream that the service distributes there is no place for ids. For such a one takes a producer without order a stream that was made anew
    // only if it learns nothing in time (docs/guarantees.md, "Not promised").
    const mayLackId = !shard.stream.placesByKey || shard.stream.takenForAutoBy.has(put.producer)
    if (hasRecordId ? record.recordId === undefined && !mayLackId : record.recordId !== undefined)
      gets(`the id ${record.recordId}`)
    if (record.recordId === undefined) return
    put.recordId ??= record.recordId
    if (put.recordId !== record.recordId) gets(`the id ${record.recordId}, and before with ${put.recordId}`)
  }
}

/** One call of a handler. */
export class HandlerCall {
  readonly tenure: Tenure
  readonly copies: readonly Copy[]
  /** Of this call: it will fail. */
  readonly fails: boolean
  /** And takes so long before; 0: no turn of the event loop. */
  readonly takesMs: number
  readonly #options: RecordHandlingOptions
  readonly #signal: AbortSignal
  #isOver = false

  constructor(options: RecordHandlingOptions, tenure: Tenure, copies: readonly Copy[], signal: AbortSignal) {
    this.#options = options
    tenure.callsInHand++
    for (const copy of copies) tenure.open.add(copy)
    tenure.activeAt = options.process.now
    tenure.isBackingOff = false
    this.tenure = tenure
    this.copies = copies
    this.#signal = signal
    const { process, conduct, settings } = options
    const { random } = process
    if (random() < conduct.blocking) process.block(random() * settings.consumer.failoverTimeMs * 1.5)
    this.fails = random() < conduct.failing
    this.takesMs = random() < conduct.slow ? random() * conduct.longestMs : random() < 0.3 ? 0 : random() * 30
  }

  /** What the application does with the records. Resolves to whether they are done. */
  async work(): Promise<boolean> {
    if (this.takesMs > 0) await sleep(this.#options.process.clock, this.takesMs)
    if (this.fails) {
      this.end()
      this.tenure.isBackingOff = true
    }
    return !this.fails
  }

  /** All that it was given is done. Nothing, if it was told to give up meanwhile: the consumer then takes it for undone. */
  complete(): void {
    if (this.#signal.aborted) this.end()
    else this.vouch()
  }

  /** It is done, whatever it was told, and the application is about to say so in a checkpoint. */
  vouch(): void {
    const { process, ledger, trace } = this.#options
    this.end()
    trace(`${process.name} completes ${idsOf(this.copies)} of ${this.tenure.shard.leaseKey}`)
    for (const copy of this.copies) {
      ledger.completed(copy, this.tenure)
      this.tenure.open.delete(copy)
    }
  }

  /** Without having done anything. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.tenure.callsInHand--
    this.tenure.activeAt = this.#options.process.now
  }
}

/** Of a record or an event: the stream as the consumer's options have it. */
export function streamIn(given: string): string {
  return given.startsWith('arn:') ? nameIn({ StreamARN: given }) : given
}

function idsOf(copies: readonly Copy[]): string {
  return copies.map(({ put }) => put.id).join(' ')
}
