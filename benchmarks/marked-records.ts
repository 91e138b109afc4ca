import { awsKinesisAgg, type KeyedRecord } from './aggregate-codec.js'
import { freshKeys, KEY_CHARACTERS } from './fresh-keys.js'
import { WrongResult } from './rounds.js'

export const RECORD_BYTES = 100
const DIFFERENT_KEYS = 1000
const DIGITS = 10
/** Two numbers of ten digits between what makes it an object in JSON, which is the only thing that some peers take. */
const HEAD = '{"turn":"'
const SECOND = '","index":"'
const THIRD = '","fill":"'
const TAIL = '"}'
const FILL_CHARACTERS = RECORD_BYTES - HEAD.length - SECOND.length - THIRD.length - TAIL.length - 2 * DIGITS

/**
 * Records of 100 bytes that say which they are: turn and index, then characters that differ from record to record. Whoever knows turn and
 * count can tell whether all came, and nothing else. Fresh keys and buffers at each call.
 */
export function markedRecords(turn: number, count: number): KeyedRecord[] {
  const bytes = markedBytes(turn, count)
  return freshKeys(count, DIFFERENT_KEYS).map((partitionKey, index) => ({ partitionKey, data: dataIn(bytes, index) }))
}

export interface MarkedRecord extends KeyedRecord {
  readonly index: number
}

/** The same records, each made when it is asked for, its key too, as a service makes them: millions of objects that wait for their turn would be what is measured. */
export class MarkedLoad {
  readonly #bytes: Buffer
  readonly #keys: Buffer = Buffer.from(freshKeys(DIFFERENT_KEYS, DIFFERENT_KEYS).join(''), 'latin1')

  constructor(turn: number, count: number) {
    this.#bytes = markedBytes(turn, count)
  }

  record(index: number): MarkedRecord {
    const at = (index % DIFFERENT_KEYS) * KEY_CHARACTERS
    return { partitionKey: this.#keys.toString('latin1', at, at + KEY_CHARACTERS), data: dataIn(this.#bytes, index), index }
  }
}

function markedBytes(turn: number, count: number): Buffer {
  const bytes = Buffer.allocUnsafe(count * RECORD_BYTES)
  for (let index = 0; index < count; index++) bytes.write(textOf(turn, index), index * RECORD_BYTES, 'latin1')
  return bytes
}

function dataIn(bytes: Buffer, index: number): Buffer {
  return bytes.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES)
}

const padded = (number: number): string => String(number).padStart(DIGITS, '0')

function textOf(turn: number, index: number): string {
  // Two rounds of a linear congruential generator, told as base 36: no two records look alike.
  let state = (Math.imul(turn + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0
  let fill = ''
  while (fill.length < FILL_CHARACTERS) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    fill += state.toString(36)
  }
  return `${HEAD}${padded(turn)}${SECOND}${padded(index)}${THIRD}${fill.slice(0, FILL_CHARACTERS)}${TAIL}`
}

/** As readers give it: bytes, base64, or parsed. */
export type MarkedData = Uint8Array | string | { readonly fill: string }

function textIn(data: MarkedData): string {
  if (typeof data === 'string') return Buffer.from(data, 'base64').toString('latin1')
  if (!(data instanceof Uint8Array)) return JSON.stringify(data)
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1')
}

const LAST_BYTE = RECORD_BYTES - TAIL.length - 1
const IN_BASE64 = Math.floor((LAST_BYTE * 4) / 3)

/**
 * A number from the ends of key and data, cheap enough to be taken of each record while time counts. It depends on the form of the data;
 * the sum over all records does not depend on their order.
 */
export function printOf(partitionKey: string, data: MarkedData): number {
  const ofKey = partitionKey.charCodeAt(partitionKey.length - 1) << 8
  if (typeof data === 'string') return ofKey + data.charCodeAt(IN_BASE64)
  if (ArrayBuffer.isView(data)) return ofKey + data[LAST_BYTE]!
  return ofKey + data.fill.charCodeAt(data.fill.length - 1)
}

const INDEX_AT = HEAD.length + DIGITS + SECOND.length

/** Of a record's text. */
export function indexIn(text: string): number {
  return Number(text.slice(INDEX_AT, INDEX_AT + DIGITS))
}

const MAGIC = Buffer.from('f3899ac2', 'hex')

/** Looks at what arrived of a turn: each record once, key and bytes, and nothing else. */
export class MarkedRecordsCheck {
  readonly #turn: number
  readonly #seen: Uint8Array
  readonly #keys: readonly string[]
  readonly #mayRepeat: boolean
  #found = 0

  constructor(turn: number, count: number, { mayRepeat = false }: { readonly mayRepeat?: boolean } = {}) {
    this.#turn = turn
    this.#mayRepeat = mayRepeat
    this.#seen = new Uint8Array(count)
    this.#keys = freshKeys(Math.min(count, DIFFERENT_KEYS), DIFFERENT_KEYS)
  }

  get found(): number {
    return this.#found
  }

  /** Throws WrongResult. */
  take(partitionKey: string, data: MarkedData): void {
    const text = textIn(data)
    const index = indexIn(text)
    if (text !== textOf(this.#turn, index)) throw new WrongResult(`something came that nobody put: ${text.slice(0, 200)}`)
    if (partitionKey !== this.#keys[index % DIFFERENT_KEYS]) {
      throw new WrongResult(`record ${index} came with the key '${partitionKey}'`)
    }
    if (index >= this.#seen.length) throw new WrongResult(`record ${index} was not put`)
    if (this.#seen[index] === 1) {
      if (this.#mayRepeat) return
      throw new WrongResult(`record ${index} came twice`)
    }
    this.#seen[index] = 1
    this.#found++
  }

  /** All user records of a Kinesis record, aggregates read by aws-kinesis-agg. `onKey` may throw. */
  takeKinesisRecord(partitionKey: string, data: Uint8Array, onKey: (partitionKey: string) => void): void {
    const take = (key: string, found: Uint8Array | string): void => {
      onKey(key)
      this.take(key, found)
    }
    if (MAGIC.equals(data.subarray(0, MAGIC.length))) awsKinesisAgg.decoder([data])(take)
    else take(partitionKey, data)
  }

  /** Throws WrongResult unless all have come. */
  finish(): void {
    if (this.#found < this.#seen.length) throw new WrongResult(`${this.#found} of ${this.#seen.length} records came`)
  }
}
