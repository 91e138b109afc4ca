import { seededRandom } from '@shardwise/core/random'

/** Of each producer. */
export const KEYS = 40

const HEADER_BYTES = 12
const NOISE_BYTES = 1 << 16
const noise = Buffer.from(Uint8Array.from({ length: NOISE_BYTES }, noiseBytes(1)))

/** A record that tells whose it is, and can be checked byte by byte. */
export interface MadeRecord {
  readonly partitionKey: string
  readonly data: Uint8Array
  readonly record: number
}

/** Which key of its producer a record has. */
export function keyOf(record: number): number {
  return (Math.imul(record + 1, 0x9e3779b1) >>> 16) % KEYS
}

export function makeRecord(producer: number, record: number, meanBytes: number): MadeRecord {
  const size = HEADER_BYTES + Math.floor(meanBytes * 2 * ((Math.imul(record + 1, 0x85ebca6b) >>> 8) / 2 ** 24))
  const data = Buffer.allocUnsafe(size)
  data.writeUInt32LE(producer, 0)
  data.writeUInt32LE(record, 4)
  data.writeUInt32LE(size, 8)
  const from = noiseStart(record)
  noise.copy(data, HEADER_BYTES, from, from + size - HEADER_BYTES)
  return { partitionKey: partitionKey(producer, record), data, record }
}

/** Undefined when a byte is not as it was made. */
export function readRecord(data: Uint8Array, key: string): { readonly producer: number; readonly record: number } | undefined {
  if (data.length < HEADER_BYTES) return undefined
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length)
  const producer = bytes.readUInt32LE(0)
  const record = bytes.readUInt32LE(4)
  const from = noiseStart(record)
  const body = noise.subarray(from, from + data.length - HEADER_BYTES)
  const intact = bytes.readUInt32LE(8) === data.length && bytes.subarray(HEADER_BYTES).equals(body)
  return intact && key === partitionKey(producer, record) ? { producer, record } : undefined
}

function partitionKey(producer: number, record: number): string {
  return `producer-${producer}-key-${keyOf(record)}`
}

/** Room for the largest record behind it. */
function noiseStart(record: number): number {
  return (Math.imul(record, 0xc2b2ae35) >>> 0) % (NOISE_BYTES / 2)
}

function noiseBytes(seed: number): () => number {
  const random = seededRandom(seed)
  return () => Math.floor(random() * 256)
}
