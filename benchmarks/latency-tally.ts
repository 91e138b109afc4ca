import type { ConsumedRecord } from '@shardwise/consumer'
import type { PutResult } from '@shardwise/producer'
import { WrongResult } from './rounds.js'

const HEADER_BYTES = 8

/** Contents of the records of one turn: which turn, which record, then bytes that differ from record to record. */
export class Contents {
  readonly #turn: number
  readonly #fill: Buffer
  readonly #bytes: number

  /** `fill`: random bytes, the more, the more the records differ. */
  constructor(turn: number, bytes: number, fill: Buffer) {
    this.#turn = turn
    this.#bytes = bytes
    this.#fill = fill
  }

  of(index: number): Buffer {
    const data = Buffer.allocUnsafe(this.#bytes)
    data.writeUInt32BE(this.#turn, 0)
    data.writeUInt32BE(index, 4)
    this.#filling(index).copy(data, HEADER_BYTES)
    return data
  }

  /** The index of a record of this turn; undefined for one of another turn. Throws WrongResult when it is not as it was put. */
  indexOf(data: Buffer): number | undefined {
    if (data.readUInt32BE(0) !== this.#turn) return undefined
    const index = data.readUInt32BE(4)
    if (!data.subarray(HEADER_BYTES).equals(this.#filling(index))) throw new WrongResult(`record ${index} came with other bytes`)
    return index
  }

  #filling(index: number): Buffer {
    const length = this.#bytes - HEADER_BYTES
    const start = (index * 31) % (this.#fill.length - length)
    return this.#fill.subarray(start, start + length)
  }
}

/** What became of the records of one turn, and whether it is right: all handled, once, where the producer was told they lie, in that order. */
export class LatencyTally {
  /** By `performance.now`; NaN as long as it has not happened. */
  readonly putAt: Float64Array
  readonly handledAt: Float64Array
  /** By the service's wall clock. */
  readonly storedAt: Float64Array
  readonly #contents: Contents
  readonly #acknowledged: (string | undefined)[]
  readonly #handled: (string | undefined)[]
  readonly #last = new Map<string, { readonly text: string; readonly sequenceNumber: bigint; readonly sub: number }>()
  #handledCount = 0
  #wrong: Error | undefined
  #waiting: { readonly count: number; readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined

  constructor(contents: Contents, records: number) {
    this.#contents = contents
    this.putAt = new Float64Array(records).fill(Number.NaN)
    this.handledAt = new Float64Array(records).fill(Number.NaN)
    this.storedAt = new Float64Array(records).fill(Number.NaN)
    this.#acknowledged = new Array(records)
    this.#handled = new Array(records)
  }

  get handledCount(): number {
    return this.#handledCount
  }

  acknowledged(index: number, { shardId, sequenceNumber, subSequenceNumber }: PutResult): void {
    this.#acknowledged[index] = `${shardId}/${sequenceNumber}/${subSequenceNumber}`
  }

  handled(record: ConsumedRecord, at: number): void {
    try {
      this.#take(record, at)
    } catch (error) {
      // A handler that throws would be called again: the turn fails instead, at its end.
      this.#wrong ??= error as Error
    }
    this.#look()
  }

  /** Resolves when so many have been handled. Rejects with WrongResult as soon as something is wrong. One wait at a time. */
  until(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting = { count, resolve, reject }
      this.#look()
    })
  }

  /** Throws WrongResult unless everything that was put was acknowledged and handled, each once, in the order of its shard. */
  verify(): void {
    if (this.#wrong !== undefined) throw this.#wrong
    for (const [index, place] of this.#acknowledged.entries()) {
      if (place === undefined) throw new WrongResult(`record ${index} was not acknowledged`)
      const handled = this.#handled[index]
      if (handled !== place) throw new WrongResult(`record ${index} was acknowledged at ${place}, and handled at ${handled}`)
    }
  }

  #look(): void {
    if (this.#wrong !== undefined) this.#waiting?.reject(this.#wrong)
    else if (this.#waiting !== undefined && this.#handledCount >= this.#waiting.count) this.#waiting.resolve()
  }

  #take(record: ConsumedRecord, at: number): void {
    const { shardId, sequenceNumber: text, subSequenceNumber: sub, bytes } = record
    const last = this.#last.get(shardId)
    const sequenceNumber = last?.text === text ? last.sequenceNumber : BigInt(text)
    if (last !== undefined) {
      const follows = sequenceNumber > last.sequenceNumber || (sequenceNumber === last.sequenceNumber && sub > last.sub)
      if (!follows) throw new WrongResult(`${shardId}: ${text}/${sub} was handled after ${last.text}/${last.sub}`)
    }
    this.#last.set(shardId, { text, sequenceNumber, sub })
    const index = this.#contents.indexOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    if (index === undefined) return
    if (this.#handled[index] !== undefined) throw new WrongResult(`record ${index} was handled twice`)
    this.#handled[index] = `${shardId}/${text}/${sub}`
    this.handledAt[index] = at
    this.storedAt[index] = record.arrivedAt?.getTime() ?? Number.NaN
    this.#handledCount++
  }
}
