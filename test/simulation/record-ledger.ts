import { decodeAggregate } from '@shardwise/aggregation'
import { effectiveHashKey, type HashKeyRange, inRange } from '@shardwise/core/hash-key'
import type { PutRecordsInput, PutRecordsOutput, ShardListing } from '@shardwise/core/kinesis-port'

/** What a producer was asked to write. */
export interface Put {
  readonly id: string
  readonly producer: string
  readonly key: string
  /** Of the records with this key that this producer was given, the how manyth. */
  readonly rank: number
  /** Its producer promised to keep the order of its key. */
  readonly isOrdered: boolean
  readonly at: number
  state: 'open' | 'acknowledged' | 'failed'
  /** It has failed, and was said not to lie in the stream. */
  isDenied: boolean
  readonly copies: Copy[]
}

/** A put as it lies in a shard: once, or more often where a producer has tried again. */
export interface Copy {
  readonly put: Put
  readonly shard: ShardLog
  readonly place: string
  /** Of the copies in its shard, the how manyth. */
  readonly index: number
  readonly landedAt: number
  /** A reader that follows the KCL's rule delivers it. */
  readonly isAccepted: boolean
  /** Its own hash key lies in the shard: of others nobody promises an order. */
  readonly isInRange: boolean
  /** Handler calls that have begun with it. */
  calls: number
  /** By the tenure in which a call with it was completed last. */
  completedBy: object | undefined
  isCompleted: boolean
  /** The stream's retention has taken it. */
  isExpired: boolean
  /** A reader by the KCL's rule has left it out. */
  isDropped: boolean
  /** The process that has read it last, and when. */
  readBy: string | undefined
  readAt: number
}

export interface ShardLog {
  readonly shardId: string
  readonly range: HashKeyRange
  /** All that were read before it: parents, their parents, and so on. */
  readonly ancestors: readonly ShardLog[]
  readonly copies: Copy[]
  readonly byPlace: Map<string, Copy>
  /** Copies from the first on that are completed or gone without a gap. */
  completed: number
}

/** Where a copy lies, as lease rows and handlers tell it. */
export function placeOf(sequenceNumber: string, subSequenceNumber: number): string {
  return `${sequenceNumber}/${subSequenceNumber}`
}

/**
 * All records of a simulated world, kept outside of the product: what was put, where it was really written, who was given it and what was
 * completed. It judges as things happen, and tells `violated` of each promise that is broken.
 */
export class RecordLedger {
  readonly puts: Map<string, Put> = new Map()
  readonly #shards = new Map<string, ShardLog>()
  /** Copies in range with the same partition key, in the order in which they were written. */
  readonly #bySequenceNumber = new Map<string, Copy[]>()
  readonly #keys = new Map<string, { readonly copies: Copy[]; completed: number }>()
  readonly #overtaken: { readonly put: Put; readonly by: Put }[] = []
  readonly #listing: () => readonly ShardListing[]
  readonly #now: () => number
  readonly #violated: (what: string) => void
  /** The service places records by their keys. */
  placesByKey = true

  constructor(options: {
    readonly listing: () => readonly ShardListing[]
    readonly now: () => number
    readonly violated: (what: string) => void
  }) {
    this.#listing = options.listing
    this.#now = options.now
    this.#violated = options.violated
  }

  get shards(): Iterable<ShardLog> {
    return this.#shards.values()
  }

  shard(shardId: string): ShardLog {
    if (!this.#shards.has(shardId)) this.learnShards()
    return this.#shards.get(shardId)!
  }

  /** Before a listing forgets them: a shard that was never heard of would have no parents here. */
  learnShards(): void {
    for (const { ShardId, ParentShardId, AdjacentParentShardId, HashKeyRange } of this.#listing()) {
      if (this.#shards.has(ShardId!)) continue
      const parents = [ParentShardId, AdjacentParentShardId].flatMap((id) => this.#shards.get(id ?? '') ?? [])
      this.#shards.set(ShardId!, {
        shardId: ShardId!,
        range: { start: BigInt(HashKeyRange!.StartingHashKey!), end: BigInt(HashKeyRange!.EndingHashKey!) },
        ancestors: [...new Set(parents.flatMap((parent) => [parent, ...parent.ancestors]))],
        copies: [],
        byPlace: new Map(),
        completed: 0,
      })
    }
  }

  put(put: Omit<Put, 'state' | 'isDenied' | 'copies'>): Put {
    const kept: Put = { ...put, state: 'open', isDenied: false, copies: [] }
    this.puts.set(put.id, kept)
    return kept
  }

  /** PutRecords has been answered by the service, whether or not anybody hears it. */
  written(input: PutRecordsInput, output: PutRecordsOutput): void {
    for (const [i, { SequenceNumber, ShardId }] of (output.Records ?? []).entries()) {
      const entry = input.Records[i]!
      if (SequenceNumber === undefined) continue
      const shard = this.shard(ShardId!)
      const aggregate = decodeAggregate(entry.Data)
      const members = aggregate
        ? Array.from(aggregate)
        : [{ data: entry.Data, partitionKey: entry.PartitionKey, explicitHashKey: entry.ExplicitHashKey, subSequenceNumber: 0 }]
      const placed = members.map((member) => ({
        member,
        isInside: inRange(effectiveHashKey(member.partitionKey, member.explicitHashKey), shard.range),
      }))
      const isAccepted = aggregate === undefined || placed.every(({ isInside }) => isInside)
      for (const { member, isInside } of placed) {
        const text = Buffer.from(member.data.buffer, member.data.byteOffset, member.data.byteLength).toString()
        const put = this.puts.get(text.slice(0, text.indexOf(' ')))
        if (put === undefined) {
          this.#violated(`a record was written that nobody put: ${text.slice(0, 40)}`)
          continue
        }
        this.#add(put, shard, placeOf(SequenceNumber, member.subSequenceNumber), isAccepted, isInside && this.placesByKey)
      }
    }
  }

  #add(put: Put, shard: ShardLog, place: string, isAccepted: boolean, isInRange: boolean): void {
    const sequenceNumber = place.slice(0, place.indexOf('/'))
    const copy: Copy = {
      ...{ put, shard, place, isAccepted, isInRange, index: shard.copies.length, landedAt: this.#now() },
      ...{
        calls: 0,
        completedBy: undefined,
        isCompleted: false,
        isExpired: false,
        isDropped: false,
        readBy: undefined,
        readAt: 0,
      },
    }
    if (isInRange) {
      const first = put.copies.every((other) => !other.isInRange)
      const key = this.#keys.get(put.key)
      if (key === undefined) this.#keys.set(put.key, { copies: [copy], completed: 0 })
      else {
        if (put.isOrdered && first) this.#checkPutOrder(put, key.copies)
        key.copies.push(copy)
      }
    }
    const ofRecord = this.#bySequenceNumber.get(sequenceNumber)
    if (ofRecord === undefined) this.#bySequenceNumber.set(sequenceNumber, [copy])
    else ofRecord.push(copy)
    if (put.isDenied) this.#violated(`${put.id} was said not to be written, and is written after that as ${place}`)
    put.copies.push(copy)
    shard.copies.push(copy)
    shard.byPlace.set(place, copy)
  }

  /** First copies of acknowledged records come in the order of the puts. This one may yet fail, and then counts for nothing. */
  #checkPutOrder(put: Put, copies: readonly Copy[]): void {
    for (let i = copies.length - 1; i >= 0; i--) {
      const other = copies[i]!.put
      if (other.producer !== put.producer) continue
      if (other.rank > put.rank) this.#overtaken.push({ put, by: other })
      // The copies before it were compared when it came, or are copies of what was written before.
      else if (copies[i] === other.copies[0]) return
    }
  }

  acknowledged(put: Put, shardId: string, sequenceNumber: string, subSequenceNumber: number): void {
    put.state = 'acknowledged'
    const copy = this.#shards.get(shardId)?.byPlace.get(placeOf(sequenceNumber, subSequenceNumber))
    if (copy?.put !== put) this.#violated(`${put.id} was acknowledged as ${sequenceNumber} of ${shardId}, and is not there`)
    else if (!copy.isAccepted) this.#violated(`${put.id} was acknowledged in an aggregate that readers by the KCL's rule drop`)
  }

  /** `written`: what the failure says of it. */
  failed(put: Put, written: 'no' | 'unknown'): void {
    put.state = 'failed'
    put.isDenied = written === 'no'
    if (put.isDenied && put.copies.length > 0)
      this.#violated(`${put.id} was said not to be written, and lies in the stream as ${put.copies[0]!.place}`)
  }

  /** The answer to a GetRecords has reached a process. */
  read(by: string, sequenceNumber: string): void {
    for (const copy of this.#bySequenceNumber.get(sequenceNumber) ?? []) {
      copy.readBy = by
      copy.readAt = this.#now()
    }
  }

  /** A handler call with these records begins. Those that were never written are left out. */
  called(by: string, shardId: string, places: readonly string[]): Copy[] {
    const shard = this.#shards.get(shardId)
    const copies: Copy[] = []
    const inHand = new Set<Copy>()
    for (const place of places) {
      const copy = shard?.byPlace.get(place)
      if (copy === undefined) this.#violated(`${by} was given a record of ${shardId} that was never written: ${place}`)
      else {
        copies.push(copy)
        if (++copy.calls === 1 && copy.isInRange) this.#checkKeyOrder(by, copy, inHand)
        inHand.add(copy)
      }
    }
    for (const ancestor of shard?.ancestors ?? []) {
      this.#settleShard(ancestor)
      const open = ancestor.copies[ancestor.completed]
      if (open !== undefined)
        this.#violated(
          `${by} was given records of ${shardId} before ${open.put.id} of its ancestor ${ancestor.shardId} was completed`,
        )
    }
    return copies
  }

  #checkKeyOrder(by: string, copy: Copy, inHand: ReadonlySet<Copy>): void {
    const key = this.#keys.get(copy.put.key)!
    // Before the first that counts.
    if (isDone(copy)) return
    while (key.completed < key.copies.length && isDone(key.copies[key.completed]!)) key.completed++
    for (let i = key.completed; i < key.copies.length; i++) {
      const other = key.copies[i]!
      if (other === copy) return
      if (isDone(other) || inHand.has(other)) continue
      this.#violated(`${by} was given ${copy.put.id} before ${other.put.id}, which was written before it with the same key`)
      return
    }
  }

  /** Readers by the KCL's rule have passed these: members of an aggregate that has one outside of the shard's range. */
  dropped(shardId: string, places: readonly string[]): void {
    for (const place of places) {
      const copy = this.#shards.get(shardId)?.byPlace.get(place)
      if (copy !== undefined) copy.isDropped = true
      if (copy?.isAccepted === true)
        this.#violated(`${copy.put.id} was dropped from ${shardId}, where all of its aggregate belongs`)
    }
  }

  /** `tenure`: undefined where nobody says that it will not come again. */
  completed(copy: Copy, tenure: object | undefined): void {
    copy.isCompleted = true
    copy.completedBy = tenure
  }

  /** Everything that was written before has left the stream. */
  expire(before: number): void {
    for (const shard of this.#shards.values()) {
      for (const copy of shard.copies) if (copy.landedAt < before) copy.isExpired = true
    }
  }

  /** The first copy up to `place`, inclusive, that is neither completed nor gone. */
  firstOpen(shardId: string, place: string | 'SHARD_END'): Copy | undefined {
    const shard = this.shard(shardId)
    this.#settleShard(shard)
    const open = shard.copies[shard.completed]
    if (open === undefined || place === 'SHARD_END') return open
    const last = shard.byPlace.get(place)
    return last !== undefined && open.index <= last.index ? open : undefined
  }

  /** Nothing that is still in the stream waits for a reader. */
  get isDelivered(): boolean {
    for (const shard of this.#shards.values()) {
      this.#settleShard(shard)
      if (shard.completed < shard.copies.length) return false
    }
    return true
  }

  /** At the end, when everything has had its time. */
  judge(): void {
    for (const put of this.puts.values()) {
      if (put.state === 'open') this.#violated(`the put of ${put.id} never settled`)
      if (put.state === 'acknowledged' && !put.copies.some(({ isCompleted, isExpired }) => isCompleted || isExpired))
        this.#violated(`${put.id} was acknowledged and never delivered`)
    }
    for (const { put, by } of this.#overtaken) {
      if (put.state === 'acknowledged' && by.state === 'acknowledged')
        this.#violated(`${put.id} was first written after ${by.id}, which was put after it, and both were acknowledged`)
    }
  }

  #settleShard(shard: ShardLog): void {
    while (shard.completed < shard.copies.length && isDone(shard.copies[shard.completed]!)) shard.completed++
  }
}

function isDone(copy: Copy): boolean {
  return copy.isCompleted || copy.isExpired || copy.isDropped
}
