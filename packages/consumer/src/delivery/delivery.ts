import type { RecordPosition } from './completed-prefix.js'
import type { ConsumedRecord } from './consumed-record.js'

export type Completed = (duplicates: number) => void

/** Hands the records of one shard over to its handler. */
export interface Delivery {
  /** Records handed in that are not completed, or lie behind one that is not. */
  readonly outstanding: number
  /** So many records at most should be handed in together. Undefined: as many as there may be in a batch. */
  readonly partRecords?: number | undefined
  /** The record at which a failure stopped the shard. */
  readonly blockedAt: RecordPosition | undefined
  /**
   * Takes records, in shard order, when `room` has said so. Calls `completed` when all of them are completed or given up (`duplicates` of them
   * without a call, see RecordIdWindow), and resolves to true then; to false when halted before. Rejects with a fault of ours. Where it does not resolve to true no call is in hand any more.
   */
  deliver(records: readonly ConsumedRecord[], millisBehindLatest: number | undefined, completed?: Completed): Promise<boolean>
  /** True when more records may be handed in, false when that is not to be: halted. Rejects as `deliver`. */
  room(): Promise<boolean>
}
