import { isUint8Array } from 'node:util/types'
import type { Tag } from '@shardwise/aggregation'
import { parseHashKey } from '@shardwise/core/hash-key'
import { bytesOfKey } from '@shardwise/core/partition-key'
import { MAX_PARTITION_KEY_CHARACTERS, MAX_RECORD_BYTES_CEILING } from '@shardwise/core/service-limits'
import type { Account } from './account.js'
import type { Cohort } from './cohorts.js'
import { RecordRejectedError } from './producer-error.js'

/** What a caller puts. `T` is what the producer's codec takes. */
export interface PutInput<T = Uint8Array> {
  /** Name or ARN. Default: the producer's own stream. */
  readonly stream?: string | undefined
  /** 1 to 256 Unicode characters. Records with equal keys go to the same shard, and keep their order when `ordering` says so. */
  readonly partitionKey: string
  /** A decimal integer from 0 to 2^128-1 that decides the shard in place of the partition key's MD5. */
  readonly explicitHashKey?: string | undefined
  /** The payload. It is not copied before it is packed: do not change it until the record has settled. */
  readonly data: T
  /**
   * Texts by name, for readers that know of them: @shardwise/consumer does, others never see them. A record with headers travels in the
   * KPL's format in any case, so that every reader of the stream must de-aggregate, and is refused on streams with service-managed
   * distribution (AUTO). Names and values are well-formed, names not empty; those that begin with `shardwise-` are reserved.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * What readers know the record by, whatever duplicates the delivery makes: an id of yours in place of that of `recordIds`. Travels as
   * headers do, and is left out on streams with service-managed distribution.
   */
  readonly recordId?: string | undefined
}

/** Where an acknowledged record lies. */
export interface PutResult {
  readonly shardId: string
  readonly sequenceNumber: string
  /** Index of the record in its aggregate; 0 for a record that was sent plain. */
  readonly subSequenceNumber: number
  /** How many PutRecords requests carried the record. Above 1, readers may see duplicates of it. */
  readonly attempts: number
}

/**
 * Called once when a record settles, with its error or its result, and with the very object that was given as the record. Runs in the
 * middle of the producer's work: be quick. What it throws is rethrown outside, as an uncaught exception, and disturbs nothing else.
 */
export type PutOutcome<R = PutInput> = (error: Error | undefined, result: PutResult | undefined, record: R) => void

/** Why an attempt did not deliver. */
export interface AttemptFailure {
  /** The service's or the platform's name of it. */
  readonly code: string
  /** What happened and what to do. */
  readonly message: string
  readonly cause: unknown
}

/** One record that a caller put, from acceptance to settlement. Flat, because there may be a hundred thousand of them. */
export class UserRecord {
  readonly partitionKey: string
  readonly explicitHashKey: string | undefined
  readonly data: Uint8Array
  /**
   * What the record counts in the buffer and against the stream's record size: data and partition key (UTF-8), or, with tags, the envelope
   * in which it would travel alone, and the key once more.
   */
  readonly bytes: number
  /** Its id and headers as they travel. */
  readonly tags: readonly Tag[] | undefined
  /** Whether the caller gave it headers. Ids and trace context alone may be left out where tags cannot travel. */
  readonly hasHeaders: boolean
  /** Of the data when it was put. Its buffer may be handed to another thread or resized since. */
  readonly dataBytes: number
  /** On the clock's `now` scale: from then on it is not sent again. 0 until the record is admitted. */
  expiresAt = 0
  /** Of the records accepted for its stream, the how manyth. */
  rank = 0
  /** Of the stream that it was put to. */
  account: Account | undefined = undefined
  /** Of those of its account. */
  cohort: Cohort | undefined = undefined
  /** Which flush waits for it. See outstanding.ts. */
  epoch = 0
  /** Requests that carried it, in all the Kinesis records that it was packed into before the present one. */
  attempts = 0
  /** Those of them that were refused for another record's sake. */
  pardoned = 0
  /** Whether one of those requests may have written it. */
  mayBeWritten = false
  lastFailure: AttemptFailure | undefined = undefined
  /** Who wants to know what becomes of it, and what that is told to be about. */
  outcome: PutOutcome<never> | undefined = undefined
  subject: unknown = undefined
  /** Where there is a hook for undelivered records: what was put, and whether the hook put it. See undelivered.ts. */
  input: unknown = undefined
  isOfHook = false

  constructor(
    partitionKey: string,
    explicitHashKey: string | undefined,
    data: Uint8Array,
    bytes: number,
    tags: readonly Tag[] | undefined = undefined,
    hasHeaders = false,
  ) {
    this.partitionKey = partitionKey
    this.explicitHashKey = explicitHashKey
    this.data = data
    this.bytes = bytes
    this.dataBytes = data.byteLength
    this.tags = tags
    this.hasHeaders = hasHeaders
  }

  /** Has `outcome` called with the subject when the record settles. */
  notify<T>(outcome: PutOutcome<T>, subject: T): void {
    this.outcome = outcome
    this.subject = subject
  }

  succeed(result: PutResult): void {
    if (this.outcome !== undefined) tell(this.outcome, undefined, result, this.subject)
  }

  fail(error: Error): void {
    if (this.outcome !== undefined) tell(this.outcome, error, undefined, this.subject)
  }
}

/** As EventSource does with listeners. */
export function tell(
  outcome: PutOutcome<never>,
  error: Error | undefined,
  result: PutResult | undefined,
  subject: unknown,
): void {
  try {
    outcome(error, result, subject as never)
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown
    })
  }
}

/** A record of bytes without anything beside them. Throws RecordRejectedError. */
export function toUserRecord(input: PutInput): UserRecord {
  const keyBytes = checkAddress(input)
  return plainRecord(input, bytesOf(input.data), keyBytes)
}

/** The same of an address that was checked. */
export function plainRecord(
  { partitionKey, explicitHashKey }: PutInput<unknown>,
  data: Uint8Array,
  keyBytes: number,
): UserRecord {
  const bytes = data.byteLength + keyBytes
  if (bytes > MAX_RECORD_BYTES_CEILING) throw tooLarge(bytes, MAX_RECORD_BYTES_CEILING, 'any stream')
  return new UserRecord(partitionKey, explicitHashKey, data, bytes)
}

/** That it is a record, and its keys. Returns the bytes of the partition key. */
export function checkAddress(input: PutInput<unknown>): number {
  if (typeof input !== 'object' || input === null) {
    throw new RecordRejectedError(
      'record',
      `must be an object { partitionKey, data }, got ${input === null ? 'null' : typeof input}`,
    )
  }
  const { partitionKey, explicitHashKey } = input
  const keyBytes = typeof partitionKey === 'string' ? bytesOfKey(partitionKey) : 0
  if (keyBytes === 0) throw badPartitionKey(partitionKey)
  if (explicitHashKey !== undefined && (typeof explicitHashKey !== 'string' || parseHashKey(explicitHashKey) === undefined)) {
    throw new RecordRejectedError(
      'explicitHashKey',
      `must be a decimal integer from 0 to 2^128-1 without sign or leading zeros, got ${brief(explicitHashKey)}`,
    )
  }
  return keyBytes
}

/** Throws RecordRejectedError. Under jest the arrays of tests are those of another realm: they come back as ours, which the SDK knows as bytes. */
export function bytesOf(data: unknown): Uint8Array {
  if (!isUint8Array(data)) {
    throw new RecordRejectedError(
      'data',
      `must be a Uint8Array or Buffer, got ${brief(data)}: encode it first, or give the producer a codec`,
    )
  }
  if (data.byteLength === 0 && isDetached(data)) {
    throw new RecordRejectedError(
      'data',
      'has a buffer that was handed over (postMessage, structuredClone): it holds nothing any more',
    )
  }
  return data instanceof Uint8Array ? data : ours(data)
}

function ours({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** Of an array without bytes, as any such is. Node 20 has no property that says so. */
function isDetached(data: Uint8Array): boolean {
  try {
    return new Uint8Array(data.buffer) === undefined
  } catch {
    return true
  }
}

export function tooLarge(bytes: number, limit: number, whose: string, tagged = false): RecordRejectedError {
  const counted = tagged ? 'and partitionKey, headers and their envelope' : 'and partitionKey'
  return new RecordRejectedError(
    'data',
    `${counted} together have ${bytes} bytes, and ${whose} takes at most ${limit}: split the record or store it elsewhere`,
  )
}

function badPartitionKey(given: unknown): RecordRejectedError {
  const rule = `must be a string of 1 to ${MAX_PARTITION_KEY_CHARACTERS} Unicode characters`
  if (typeof given !== 'string') return new RecordRejectedError('partitionKey', `${rule}, got ${brief(given)}`)
  const characters = [...given].length
  if (characters > 0 && characters <= MAX_PARTITION_KEY_CHARACTERS) {
    return new RecordRejectedError('partitionKey', `${rule}, got ${brief(given)}, which has half of a surrogate pair`)
  }
  return new RecordRejectedError('partitionKey', `${rule}, got ${characters} characters`)
}

/** A value as an error message shows it. */
export function brief(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value)
  return value === null
    ? 'null'
    : typeof value === 'object'
      ? `an object (${value.constructor?.name ?? 'no class'})`
      : String(value)
}
