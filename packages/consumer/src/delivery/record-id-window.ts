import type { ConsumedRecord } from './consumed-record.js'

type Place = Pick<ConsumedRecord, 'stream' | 'shardId' | 'sequenceNumber' | 'subSequenceNumber'>

/**
 * The record ids that this process has completed last, each with the place of the copy that was. A record is a duplicate when its id is known
 * from another place; then it need not be handed over, and is completed with that.
 *
 * Nothing is lost by it:
 * - An id gets in only when the handler has succeeded with a copy. A copy that is in hand, was given up, or whose call returned after it was told
 *   to give up (the lease was lost, or a stop waited no longer) is not in it: the other copy is handed over. So what is dropped was handled.
 * - The same place is no duplicate of itself, however often it comes: what was completed but not checkpointed, because the lease was lost, is handed
 *   over again when this process gets the shard back.
 * - That a call has returned must mean that it is done, so that it does not go with manual checkpoints: their handler may hold a record whose
 *   copy was dropped, and would never see the record that it must checkpoint at a shard's end.
 * - Nothing is taken from other processes, which may know of completions that were never checkpointed, nor kept when this one ends.
 *
 * So it is best effort: copies pass that come to different processes, side by side, or too far apart.
 */
export class RecordIdWindow {
  readonly #maxRecordIds: number
  readonly #known = new Map<string, Place>()
  /**
   * In the order in which they came in, as a ring: the first key of a large Map takes long to find once many before it were deleted. Measured on Node 20 with
   * 100,000 ids: where `keys().next()` of the Map says which is to go, a new one takes 100 us and more, with the ring 1.
   */
  readonly #ids: string[] = []
  #oldest = 0

  constructor(maxRecordIds: number) {
    this.#maxRecordIds = maxRecordIds
  }

  isDuplicate(record: ConsumedRecord): boolean {
    const { recordId, stream } = record
    const known = recordId === undefined ? undefined : this.#known.get(recordId)
    // A program that copies records from one stream to another may keep their ids.
    return known !== undefined && known.stream === stream && !isSamePlace(known, record)
  }

  completed({ recordId, stream, shardId, sequenceNumber, subSequenceNumber }: ConsumedRecord): void {
    if (recordId === undefined) return
    const isNew = !this.#known.has(recordId)
    this.#known.set(recordId, { stream, shardId, sequenceNumber, subSequenceNumber })
    if (!isNew) return
    if (this.#ids.length < this.#maxRecordIds) {
      this.#ids.push(recordId)
      return
    }
    this.#known.delete(this.#ids[this.#oldest]!)
    this.#ids[this.#oldest] = recordId
    this.#oldest = (this.#oldest + 1) % this.#maxRecordIds
  }

  get size(): number {
    return this.#known.size
  }
}

function isSamePlace(a: Place, b: Place): boolean {
  return a.shardId === b.shardId && a.sequenceNumber === b.sequenceNumber && a.subSequenceNumber === b.subSequenceNumber
}
