import type { RecordPosition } from './completed-prefix.js'

/**
 * For `eachBatch` to throw: the batch failed at `record`. The records before it are completed, it and those after it are handed over
 * again. Where it names a record that is not of the batch, the whole batch has failed.
 */
export class FailedAtError extends Error {
  override readonly name = 'FailedAtError'
  readonly code = 'ERR_SHARDWISE_FAILED_AT'
  readonly sequenceNumber: string
  readonly subSequenceNumber: number

  constructor(record: RecordPosition, options: { readonly cause?: unknown } = {}) {
    const { sequenceNumber, subSequenceNumber } = record
    super(
      `Handling failed at record ${sequenceNumber}/${subSequenceNumber}; the records before it in the batch are completed`,
      options,
    )
    this.sequenceNumber = sequenceNumber
    this.subSequenceNumber = subSequenceNumber
  }
}
