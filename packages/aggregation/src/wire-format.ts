/**
 * The bytes of an aggregated record, as the KPL writes them (aws/kinesis/core/kinesis_record.cc, aws/kinesis/protobuf/messages.proto):
 * `F3 89 9A C2 | protobuf AggregatedRecord | MD5 of the protobuf bytes`. The message itself is in proto/aggregated-record.proto.
 */
export const MAGIC: readonly [number, number, number, number] = [0xf3, 0x89, 0x9a, 0xc2]
export const MAGIC_BYTES = 4
export const DIGEST_BYTES = 16
export const ENVELOPE_BYTES: number = MAGIC_BYTES + DIGEST_BYTES

// Protobuf tags: field number << 3 | wire type. All of ours fit one byte.
export const PARTITION_KEY_ENTRY = 0x0a
export const EXPLICIT_HASH_KEY_ENTRY = 0x12
export const RECORD = 0x1a
export const RECORD_PARTITION_KEY_INDEX = 0x08
export const RECORD_EXPLICIT_HASH_KEY_INDEX = 0x10
export const RECORD_DATA = 0x1a
export const RECORD_TAG = 0x22
export const TAG_KEY = 0x0a
export const TAG_VALUE = 0x12

/** Bytes of an unsigned varint, for values below 2^35. */
export function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5
}

/** Bytes of a field with a one-byte tag and a length prefix. */
export function lengthDelimitedBytes(length: number): number {
  return 1 + varintBytes(length) + length
}

/** Writes an unsigned 31-bit varint and returns the position after it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

/**
 * Whether these bytes carry the mark of an aggregate: magic number, at least one byte of message, room for the trailer. Cheap, and no
 * proof: only `decodeAggregate` checks the MD5 trailer and the message. The length rule is KCL's (AggregatorUtil.java).
 */
export function isAggregate(data: Uint8Array): boolean {
  return (
    data.length > ENVELOPE_BYTES && data[0] === MAGIC[0] && data[1] === MAGIC[1] && data[2] === MAGIC[2] && data[3] === MAGIC[3]
  )
}
