/**
 * How far a shard has been read: the last completed record, or one of KCL's sentinels. Reading resumes *after* a sequence position.
 * `latest` and `at-timestamp` get their time from the lease (`startAt`).
 */
export type Position =
  | { readonly kind: 'trim-horizon' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'at-timestamp' }
  | SequencePosition
  | { readonly kind: 'shard-end' }

/** A record. */
export interface SequencePosition {
  readonly kind: 'sequence'
  readonly sequenceNumber: string
  readonly subSequenceNumber: number
}

/** The two attributes of a lease row that hold a position, as KCL writes them. */
export interface PositionAttributes {
  readonly checkpoint: string
  readonly checkpointSubSequenceNumber: number
}

export const TRIM_HORIZON: Position = { kind: 'trim-horizon' }
export const LATEST: Position = { kind: 'latest' }
export const AT_TIMESTAMP: Position = { kind: 'at-timestamp' }
export const SHARD_END: Position = { kind: 'shard-end' }

/** KCL's names and KCL's order (ExtendedSequenceNumber.java): the starting points, then every sequence number, then the end. */
const SENTINELS = { AT_TIMESTAMP, TRIM_HORIZON, LATEST, SHARD_END }
const RANK = { 'at-timestamp': 0, 'trim-horizon': 1, latest: 2, sequence: 3, 'shard-end': 4 }
const DECIMAL = /^(0|[1-9]\d*)$/
/** Looked at last, and a decimal. The records of an aggregate have one number, and a record is asked for its position again and again. */
let decimal = '0'

/** `sequenceNumber` must be a decimal without leading zeros, as Kinesis gives it; `subSequenceNumber` 0 for a record that is no aggregate. */
export function sequencePosition(sequenceNumber: string, subSequenceNumber = 0): SequencePosition {
  if (sequenceNumber !== decimal) {
    if (!DECIMAL.test(sequenceNumber)) {
      throw new RangeError(
        `A sequence number must be a decimal number as Kinesis gives it, got ${JSON.stringify(sequenceNumber)}`,
      )
    }
    decimal = sequenceNumber
  }
  if (!Number.isSafeInteger(subSequenceNumber) || subSequenceNumber < 0) {
    throw new RangeError(`A sub-sequence number must be a whole number from 0 up, got ${subSequenceNumber}`)
  }
  return { kind: 'sequence', sequenceNumber, subSequenceNumber }
}

/** Negative when `a` lies before `b`, 0 when they are the same, positive when it lies after. */
export function comparePositions(a: Position, b: Position): number {
  if (a.kind !== 'sequence' || b.kind !== 'sequence') return RANK[a.kind] - RANK[b.kind]
  return compareSequenceNumbers(a.sequenceNumber, b.sequenceNumber) || a.subSequenceNumber - b.subSequenceNumber
}

/** Compares decimals without leading zeros, of any length. */
export function compareSequenceNumbers(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

export function formatPosition(position: Position): PositionAttributes {
  switch (position.kind) {
    case 'sequence':
      return { checkpoint: position.sequenceNumber, checkpointSubSequenceNumber: position.subSequenceNumber }
    case 'trim-horizon':
      return { checkpoint: 'TRIM_HORIZON', checkpointSubSequenceNumber: 0 }
    case 'latest':
      return { checkpoint: 'LATEST', checkpointSubSequenceNumber: 0 }
    case 'at-timestamp':
      return { checkpoint: 'AT_TIMESTAMP', checkpointSubSequenceNumber: 0 }
    case 'shard-end':
      return { checkpoint: 'SHARD_END', checkpointSubSequenceNumber: 0 }
  }
}

/** Throws RangeError when the checkpoint is neither a sentinel nor a sequence number. */
export function parsePosition(attributes: PositionAttributes): Position {
  const sentinel = Object.hasOwn(SENTINELS, attributes.checkpoint)
    ? SENTINELS[attributes.checkpoint as keyof typeof SENTINELS]
    : undefined
  return sentinel ?? sequencePosition(attributes.checkpoint, attributes.checkpointSubSequenceNumber)
}
