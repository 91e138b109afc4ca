import type { DecodedAggregate, Tag } from '@shardwise/aggregation'
import { bytes, type Codec, type CodecContext, type Decode } from '@shardwise/core/codec'
import type { KinesisRecord } from '@shardwise/core/kinesis-port'
import { type Headers, headersOf, recordIdOf } from '@shardwise/core/record-tags'

/** A user record: what a producer put, taken out of its aggregate where it came in one. `T` is what the consumer's codec makes of the bytes. */
export interface ConsumedRecord<T = Uint8Array> {
  /** Name or ARN, as given in the options. */
  readonly stream: string
  readonly shardId: string
  readonly partitionKey: string
  /** Known for members of aggregates only: Kinesis does not give it back. */
  readonly explicitHashKey: string | undefined
  /**
   * What the codec makes of `bytes`, decoded when it is first asked for, and once; without a codec these bytes. What the codec throws is
   * thrown here, with the place of the record: a handler that lets it pass has failed. It is decoded again then when asked for again.
   */
  readonly data: T
  /** As they were put. For a member of an aggregate a view of the aggregate's bytes: copy it to keep it long, for it keeps all of them alive. */
  readonly bytes: Uint8Array
  /** Of the Kinesis record. Members of one aggregate share it. */
  readonly sequenceNumber: string
  /** Index in the aggregate, from 0; 0 for a record that came alone. */
  readonly subSequenceNumber: number
  readonly aggregated: boolean
  /**
   * The record's hash key does not belong to this shard: a producer aggregated by an outdated shard map while the stream was
   * resharded. KCL drops the whole aggregate and KPL sends it again, so such a record is often delivered a second time.
   */
  readonly outsideShardRange: boolean
  /**
   * What the producer attached by name, trace context (`traceparent`) included: an object without prototype, frozen, empty where there is
   * nothing. Of records in the KPL's format only; Amazon's own libraries write none. This and the two below are read when they are asked for: a
   * copy (`{ ...record }`) is without them.
   */
  readonly headers: Headers
  /** The id that a producer gave it (`recordIds` of @shardwise/producer): the same in all duplicates that retries make. */
  readonly recordId: string | undefined
  /**
   * What to know the record by. The record id if it has one, and then duplicates of any origin share it; else
   * `stream/shard/sequence number/sub-sequence number`, which is the same when the record is delivered again from where it lies.
   */
  readonly idempotencyKey: string
  /** When Kinesis stored it, to the millisecond, by its clock; order in the shard does not follow it exactly. */
  readonly arrivedAt: Date | undefined
}

const NO_BYTES: Uint8Array = new Uint8Array(0)
const NO_TAGS: readonly Tag[] = []

const DECODED: PropertyDescriptor = {
  enumerable: true,
  get(this: UserRecord) {
    return this.decode()
  },
}

/** A Kinesis record that came as it was put, or one member of an aggregate. */
export class UserRecord implements ConsumedRecord {
  readonly stream: string
  readonly shardId: string
  readonly partitionKey: string
  readonly explicitHashKey: string | undefined
  /** What the codec makes of it: bytes by its type, since nobody inside looks at it. */
  declare readonly data: Uint8Array
  readonly bytes: Uint8Array
  readonly sequenceNumber: string
  readonly subSequenceNumber: number
  readonly aggregated: boolean
  readonly outsideShardRange: boolean
  readonly arrivedAt: Date | undefined
  readonly #codec: Codec<unknown>
  /** What the codec has prepared for these bytes. */
  #prepared: Decode<unknown> | undefined
  #decoded: { readonly data: unknown } | undefined
  readonly #aggregate: DecodedAggregate | undefined
  #headers: Headers | undefined

  constructor(
    stream: string,
    shardId: string,
    record: KinesisRecord,
    aggregate: DecodedAggregate | undefined,
    index: number,
    partitionKey: string,
    explicitHashKey: string | undefined,
    outsideShardRange: boolean,
    codec: Codec<unknown>,
  ) {
    this.stream = stream
    this.shardId = shardId
    this.partitionKey = partitionKey
    this.explicitHashKey = explicitHashKey
    this.bytes = aggregate === undefined ? (record.Data ?? NO_BYTES) : aggregate.data(index)
    this.sequenceNumber = record.SequenceNumber!
    this.subSequenceNumber = index
    this.aggregated = aggregate !== undefined
    this.outsideShardRange = outsideShardRange
    this.arrivedAt = record.ApproximateArrivalTimestamp
    this.#aggregate = aggregate
    this.#codec = codec
    // A property of the record itself, not of its class: a copy of the record has it too. Assigned where that can be: where all
    // are defined, consumer-noop-batch takes half as much time again (Node 20).
    if (codec === bytes()) this.data = this.bytes
    else Object.defineProperty(this, 'data', DECODED)
  }

  decode(): unknown {
    this.#decoded ??= { data: decode(this.#codec, this.#prepared, this) }
    return this.#decoded.data
  }

  /** Undefined: it can be decoded at once. Else resolves when it can, and rejects when the codec cannot have what it needs for now. */
  prepare(): Promise<void> | undefined {
    if (this.#prepared !== undefined) return undefined
    const prepared = this.#codec.prepareDecode!(this.bytes, contextOf(this))
    const keep = (decode: Decode<unknown>): void => {
      this.#prepared = decode
    }
    if (prepared instanceof Promise) return prepared.then(keep)
    keep(prepared)
    return undefined
  }

  get headers(): Headers {
    this.#headers ??= headersOf(this.#tags())
    return this.#headers
  }

  get recordId(): string | undefined {
    return recordIdOf(this.#tags())
  }

  get idempotencyKey(): string {
    // The name and not the ARN: whoever reads by the one today may read by the other tomorrow.
    const name = this.stream.slice(this.stream.lastIndexOf('/') + 1)
    return this.recordId ?? `${name}/${this.shardId}/${this.sequenceNumber}/${this.subSequenceNumber}`
  }

  #tags(): readonly Tag[] {
    return this.#aggregate?.tags(this.subSequenceNumber) ?? NO_TAGS
  }
}

function contextOf({ stream, partitionKey, headers }: UserRecord): CodecContext {
  const isEmpty = Object.keys(headers).length === 0
  return { stream, partitionKey, headers: isEmpty ? undefined : headers }
}

function decode(codec: Codec<unknown>, prepared: Decode<unknown> | undefined, record: UserRecord): unknown {
  const { stream, shardId, sequenceNumber, subSequenceNumber } = record
  try {
    const context = contextOf(record)
    return prepared === undefined ? codec.decode(record.bytes, context) : prepared(record.bytes, context)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    const where = `${sequenceNumber}/${subSequenceNumber} of ${shardId} of ${stream}`
    const name = codec.constructor?.name ?? 'Object'
    throw new Error(`The codec${name === 'Object' ? '' : ` ${name}`} cannot decode record ${where}: ${problem}`, { cause })
  }
}
