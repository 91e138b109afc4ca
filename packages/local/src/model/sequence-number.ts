/**
 * A sequence number is a 186-bit integer written in decimal: 56 digits. From the most significant bit:
 *
 * | bits | field |
 * |---|---|
 * | 2 | the number 2, a version |
 * | 36 | second (Unix time) in which the shard began |
 * | 4 | low digit of the shard's number |
 * | 64 | position of the record in its shard; 2^63-1 in the number that ends a closed shard |
 * | 8 | zero |
 * | 36 | second (Unix time) in which the record arrived |
 * | 32 | the shard's number |
 * | 4 | the number 2, a version |
 *
 * So numbers grow within a shard, and a child's are above its parents' because it begins in a later second.
 * Source: KCL's SequenceNumberValidator (version 2: 186 bits, shard number at bit offset 4) and what kinesalite found on the service.
 */
export interface SequenceNumber {
  readonly beganSecond: number
  readonly shardIndex: number
  /** Exact up to 2^53; a larger one (the end of a shard) is END_POSITION. */
  readonly position: number
  readonly second: number
}

/** Stands for every position that no record can reach: the end of a closed shard. */
export const END_POSITION: number = Number.MAX_SAFE_INTEGER

const END_BITS = 2n ** 63n - 1n
const POSITION_SHIFT = 80n
const SECOND_SHIFT = 36n
/** What the next record's number is above the last one's when both arrived in the same second. */
const POSITION_STEP = 1n << POSITION_SHIFT
const MASK_36 = (1n << 36n) - 1n
const MASK_32 = (1n << 32n) - 1n

function numberOf(parts: SequenceNumber): bigint {
  const position = parts.position >= END_POSITION ? END_BITS : BigInt(parts.position)
  return (
    (2n << 184n) |
    (BigInt(parts.beganSecond) << 148n) |
    (BigInt(parts.shardIndex & 15) << 144n) |
    (position << POSITION_SHIFT) |
    (BigInt(parts.second) << SECOND_SHIFT) |
    (BigInt(parts.shardIndex) << 4n) |
    2n
  )
}

export function formatSequenceNumber(parts: SequenceNumber): string {
  return numberOf(parts).toString()
}

/** Undefined for what is not a sequence number of this layout. */
export function parseSequenceNumber(text: string): SequenceNumber | undefined {
  if (!/^[1-9]\d{55}$/.test(text)) return undefined
  const value = BigInt(text)
  if (value >> 184n !== 2n || (value & 15n) !== 2n) return undefined
  const position = (value >> POSITION_SHIFT) & (2n ** 64n - 1n)
  const shardIndex = Number((value >> 4n) & MASK_32)
  if (position > END_BITS || ((value >> 144n) & 15n) !== BigInt(shardIndex & 15)) return undefined
  return {
    beganSecond: Number((value >> 148n) & MASK_36),
    shardIndex,
    position: position >= BigInt(END_POSITION) ? END_POSITION : Number(position),
    second: Number((value >> SECOND_SHIFT) & MASK_36),
  }
}

/** Issues the numbers of one shard's records: one addition and one conversion to decimal each. */
export class SequenceNumberSource {
  readonly #beganSecond: number
  readonly #shardIndex: number
  #second = -1
  #last = 0n

  constructor(beganSecond: number, shardIndex: number) {
    this.#beganSecond = beganSecond
    this.#shardIndex = shardIndex
  }

  /** The positions given must count up by one from call to call, the seconds must not decrease. */
  issue(position: number, second: number): string {
    if (second === this.#second) this.#last += POSITION_STEP
    else {
      this.#second = second
      this.#last = numberOf({ beganSecond: this.#beganSecond, shardIndex: this.#shardIndex, position, second })
    }
    return this.#last.toString()
  }
}
