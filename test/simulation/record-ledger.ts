import { inRange } from '@shardwise/core/hash-key'
import type { PutRecordsInput, PutRecordsOutput, ShardListing } from '@shardwise/core/kinesis-port'
import { EntryContents } from './entry-contents.js'
import { type Copy, type Put, placeOf, type ShardLog, StreamLog } from './stream-log.js'

export interface RecordLedgerOptions {
  readonly listing: (stream: string) => readonly ShardListing[]
  readonly now: () => number
  /** Lease keys name their stream. */
  readonly severalStreams: boolean
  /** Workers leave out copies of what they have completed. */
  readonly dropsDuplicates: boolean
  readonly decode: (bytes: Uint8Array) => string
  readonly violated: (what: string) => void
}

/**
 * All records of a simulated world, kept outside of the product: what was put, where it was really written, who was given it and what was
 * completed. It judges as things happen, and tells `violated` of each promise that is broken.
 */
export class RecordLedger {
  readonly puts: Map<string, Put> = new Map()
  readonly contents: EntryContents
  /** Of each name the streams that had it, one after the other. */
  readonly #streams = new Map<string, StreamLog[]>()
  readonly #overtaken: { readonly put: Put; readonly by: Put }[] = []
  readonly #options: RecordLedgerOptions
  /** Retention has passed at least once: with the records closed shards go. */
  #hasTakenShards = false

  constructor(options: RecordLedgerOptions) {
    this.#options = options
    this.contents = new EntryContents(this.puts, options.decode)
  }

  /** The stream that has this name now, or had it last. */
  stream(name: string): StreamLog {
    return this.#streams.get(name)!.at(-1)!
  }

  /** All that had this name, the present one last. */
  namesakes(name: string): readonly StreamLog[] {
    return this.#streams.get(name) ?? []
  }

  /** All that ever were. */
  get streams(): StreamLog[] {
    return [...this.#streams.values()].flat()
  }

  get shards(): Iterable<ShardLog> {
    return this.streams.flatMap(({ shards }) => [...shards.values()])
  }

  /** A stream was created. */
  opened(name: string, createdAt: number): void {
    const { severalStreams: amongSeveral, now } = this.#options
    const stream = new StreamLog({ name, createdAt, amongSeveral, openedAt: now() })
    const before = this.#streams.get(name)
    if (before === undefined) this.#streams.set(name, [stream])
    else before.push(stream)
    stream.learn(this.#options.listing(name))
  }

  /** A stream is gone, with all that is in it. */
  deleted(name: string): void {
    const stream = this.stream(name)
    stream.deletedAt = this.#options.now()
    this.#leave(stream, Number.POSITIVE_INFINITY)
  }

  learnShards(): void {
    for (const [name, streams] of this.#streams) {
      const stream = streams.at(-1)!
      if (stream.deletedAt === undefined) stream.learn(this.#options.listing(name))
    }
  }

  shard(stream: StreamLog, shardId: string): ShardLog | undefined {
    if (!stream.shards.has(shardId) && stream.deletedAt === undefined) stream.learn(this.#options.listing(stream.name))
    return stream.shards.get(shardId)
  }

  /** Those that a lease may mean: of one name several, the newest first, where it does not say which stream. */
  leased(leaseKey: string): readonly ShardLog[] {
    const [, name, epoch, shardId = leaseKey] = leaseKey.split(':')
    const streams = name === undefined ? this.streams : (this.#streams.get(name) ?? [])
    const meant = streams.filter(({ createdAt }) => epoch === undefined || createdAt === Number(epoch) * 1_000)
    return meant.flatMap((stream) => this.shard(stream, shardId) ?? []).reverse()
  }

  put(put: Omit<Put, 'state' | 'isDenied' | 'copies'>): Put {
    const kept: Put = { ...put, state: 'open', isDenied: false, copies: [] }
    this.puts.set(put.id, kept)
    return kept
  }

  /** PutRecords has been answered by the service, whether or not anybody hears it. `known`: which stream of this name the sender knew. */
  written(name: string, input: PutRecordsInput, output: PutRecordsOutput, known: StreamLog | undefined): void {
    const { contents } = this
    const stream = this.stream(name)
    const isMisled = known !== undefined && known !== stream
    for (const [i, { SequenceNumber, ShardId }] of (output.Records ?? []).entries()) {
      const entry = input.Records[i]!
      if (SequenceNumber === undefined) continue
      const shard = this.shard(stream, ShardId!)!
      const { isAggregate, members } = contents.of(entry)
      const placed = members.map((member) => ({ ...member, isInside: inRange(member.hashKey, shard.range) }))
      const isAccepted = !isAggregate || placed.every(({ isInside }) => isInside)
      for (const { put, text, subSequenceNumber, isInside } of placed) {
        if (put === undefined || put.stream !== name) {
          this.#options.violated(`a record was written to ${name} that nobody put there: ${text.slice(0, 40)}`)
          continue
        }
        const place = placeOf(SequenceNumber, subSequenceNumber)
        this.#add({ put, shard, place, isAccepted, isMisled, isInRange: isInside && stream.placesByKey })
      }
    }
  }

  #add(written: Pick<Copy, 'put' | 'shard' | 'place' | 'isAccepted' | 'isMisled' | 'isInRange'>): void {
    const { put, shard, place, isInRange } = written
    const { keys, bySequenceNumber } = shard.stream
    const sequenceNumber = place.slice(0, place.indexOf('/'))
    const copy: Copy = {
      ...{ ...written, index: shard.copies.length, landedAt: this.#options.now() },
      ...{
        calls: 0,
        completedBy: undefined,
        isCompleted: false,
        isExpired: false,
        hasLeft: false,
        isDropped: false,
        readBy: undefined,
        readAt: 0,
      },
    }
    if (isInRange) {
      const first = put.copies.every((other) => !other.isInRange)
      const key = keys.get(put.key)
      if (key === undefined) keys.set(put.key, { copies: [copy], completed: 0 })
      else {
        if (put.isOrdered && first) this.#checkPutOrder(put, key.copies)
        key.copies.push(copy)
      }
    }
    const ofRecord = bySequenceNumber.get(sequenceNumber)
    if (ofRecord === undefined) bySequenceNumber.set(sequenceNumber, [copy])
    else ofRecord.push(copy)
    if (put.isDenied) this.#options.violated(`${put.id} was said not to be written, and is written after that as ${place}`)
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
    const { violated } = this.#options
    put.state = 'acknowledged'
    const place = placeOf(sequenceNumber, subSequenceNumber)
    const copy = put.copies.find((other) => other.shard.shardId === shardId && other.place === place)
    if (copy === undefined) violated(`${put.id} was acknowledged as ${sequenceNumber} of ${shardId}, and is not there`)
    // docs/guarantees.md, "Not promised": until the first sign of a stream that was created anew with narrower shards.
    else if (!copy.isAccepted && !copy.isMisled)
      violated(`${put.id} was acknowledged in an aggregate that readers by the KCL's rule drop`)
  }

  /** `written`: what the failure says of it. */
  failed(put: Put, written: 'no' | 'unknown'): void {
    put.state = 'failed'
    put.isDenied = written === 'no'
    if (put.isDenied && put.copies.length > 0)
      this.#options.violated(`${put.id} was said not to be written, and lies in the stream as ${put.copies[0]!.place}`)
  }

  /** The answer to a read has reached a process. */
  read(by: string, stream: StreamLog, sequenceNumber: string): void {
    for (const copy of stream.bySequenceNumber.get(sequenceNumber) ?? []) {
      copy.readBy = by
      copy.readAt = this.#options.now()
    }
  }

  /** The copies that lie at these places of a shard: of the stream that has this name, or of one that had it. Those that were never written are left out. */
  find(by: string, name: string, shardId: string, places: readonly string[]): Copy[] {
    const streams = this.#streams.get(name) ?? []
    const copies: Copy[] = []
    for (const place of places) {
      let copy: Copy | undefined
      for (let i = streams.length - 1; i >= 0 && copy === undefined; i--)
        copy = streams[i]!.shards.get(shardId)?.byPlace.get(place)
      if (copy === undefined)
        this.#options.violated(`${by} was given a record of ${name}'s ${shardId} that was never written: ${place}`)
      else copies.push(copy)
    }
    return copies
  }

  /** A handler call with these records begins. */
  called(by: string, copies: readonly Copy[]): void {
    const inHand = new Set<Copy>()
    for (const copy of copies) {
      if (++copy.calls === 1 && copy.isInRange) this.#checkKeyOrder(by, copy, inHand)
      inHand.add(copy)
    }
    const shard = copies[0]?.shard
    if (shard === undefined) return
    for (const ancestor of shard.ancestors) {
      this.#settleShard(ancestor)
      const open = ancestor.copies[ancestor.completed]
      if (open !== undefined)
        this.#options.violated(
          `${by} was given records of ${shard.leaseKey} before ${open.put.id} of its ancestor ${ancestor.shardId} was completed`,
        )
    }
  }

  #checkKeyOrder(by: string, copy: Copy, inHand: ReadonlySet<Copy>): void {
    const key = copy.shard.stream.keys.get(copy.put.key)!
    // Before the first that counts.
    if (this.#isDone(copy)) return
    while (key.completed < key.copies.length && this.#isDone(key.copies[key.completed]!)) key.completed++
    for (let i = key.completed; i < key.copies.length; i++) {
      const other = key.copies[i]!
      if (other === copy) return
      if (this.#isDone(other) || inHand.has(other)) continue
      // Of two copies in one read the second is left out.
      if (this.#options.dropsDuplicates && other.put.copies.some((copy) => inHand.has(copy))) continue
      this.#options.violated(
        `${by} was given ${copy.put.id} before ${other.put.id}, which was written before it with the same key`,
      )
      return
    }
  }

  /** Readers by the KCL's rule have passed these: members of an aggregate that has one outside of the shard's range. */
  dropped(copies: readonly Copy[]): void {
    for (const copy of copies) {
      copy.isDropped = true
      if (copy.isAccepted)
        this.#options.violated(`${copy.put.id} was dropped from ${copy.shard.leaseKey}, where all of its aggregate belongs`)
    }
  }

  /** `tenure`: undefined where nobody says that it will not come again. */
  completed(copy: Copy, tenure: object | undefined): void {
    copy.isCompleted = true
    copy.completedBy = tenure
  }

  /** Of this stream nobody asks for what was written before. */
  skip(stream: StreamLog, before: number): void {
    for (const { copies } of stream.shards.values()) for (const copy of copies) if (copy.landedAt < before) copy.isExpired = true
  }

  /** Everything that was written before has left the streams. */
  expire(before: number): void {
    this.#hasTakenShards = true
    for (const stream of this.streams) this.#leave(stream, before)
  }

  /** Something has left this shard, of any stream that had this name; or it was empty, and may have gone as a whole: nobody can know what was in it. */
  hasExpired(name: string, shardId: string): boolean {
    return this.namesakes(name).some(({ shards }) => {
      const copies = shards.get(shardId)?.copies ?? []
      return copies.length === 0 ? this.#hasTakenShards : copies.some(({ hasLeft }) => hasLeft)
    })
  }

  #leave({ shards }: StreamLog, before: number): void {
    for (const { copies } of shards.values()) {
      for (const copy of copies) {
        if (copy.landedAt >= before) continue
        copy.isExpired = true
        copy.hasLeft = true
      }
    }
  }

  /** The first copy up to `place`, inclusive, that is neither completed nor gone, of the stream that was created then. */
  firstOpen(leaseKey: string, place: string | 'SHARD_END', createdAt: number | undefined): Copy | undefined {
    const shard = this.leased(leaseKey).find(({ stream }) => createdAt === undefined || stream.createdAt === createdAt)
    if (shard === undefined) return undefined
    this.#settleShard(shard)
    const open = shard.copies[shard.completed]
    if (place === 'SHARD_END') return open
    const last = shard.byPlace.get(place)
    // A stream that was made anew may be read for a while under the leases of the former one.
    if (!this.namesakes(shard.stream.name).some(({ shards }) => shards.get(shard.shardId)?.byPlace.has(place)))
      this.#options.violated(`a checkpoint of ${leaseKey} is at ${place}, where nothing was written`)
    return last !== undefined && open !== undefined && open.index <= last.index ? open : undefined
  }

  /** Nothing that is still in a stream waits for a reader. */
  get isDelivered(): boolean {
    for (const shard of this.shards) {
      this.#settleShard(shard)
      if (shard.completed < shard.copies.length) return false
    }
    return true
  }

  /** At the end, when everything has had its time. */
  judge(): void {
    const { violated } = this.#options
    for (const put of this.puts.values()) {
      if (put.state === 'open') violated(`the put of ${put.id} never settled`)
      if (put.state === 'acknowledged' && !put.copies.some((copy) => this.#isDone(copy) && (copy.isAccepted || !copy.isDropped)))
        violated(`${put.id} was acknowledged and never delivered`)
    }
    for (const { put, by } of this.#overtaken) {
      if (put.state === 'acknowledged' && by.state === 'acknowledged')
        violated(`${put.id} was first written after ${by.id}, which was put after it, and both were acknowledged`)
    }
  }

  #settleShard(shard: ShardLog): void {
    while (shard.completed < shard.copies.length && this.#isDone(shard.copies[shard.completed]!)) shard.completed++
  }

  /** With `dedupe` a copy counts as done when another one was completed: "never at the price of a record" is what remains promised. */
  #isDone(copy: Copy): boolean {
    return (
      copy.isCompleted ||
      copy.isExpired ||
      copy.isDropped ||
      (this.#options.dropsDuplicates && copy.put.copies.length > 1 && copy.put.copies.some(({ isCompleted }) => isCompleted))
    )
  }
}
