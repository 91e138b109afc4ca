import { bytes, type Codec } from '@shardwise/core/codec'
import { type Headers, RESERVED_PREFIX, tagsOf } from '@shardwise/core/record-tags'
import { MAX_RECORD_BYTES_CEILING } from '@shardwise/core/service-limits'
import type { Telemetry } from '@shardwise/core/telemetry'
import { LoneRecords } from './lone-records.js'
import { RecordRejectedError } from './producer-error.js'
import type { Settings } from './producer-options.js'
import { RecordIds } from './record-ids.js'
import { brief, bytesOf, checkAddress, type PutInput, plainRecord, tooLarge, toUserRecord, UserRecord } from './user-record.js'

/** Makes records of what callers put: encodes, adds ids and trace context, and checks all that can be known before the stream is. */
export class RecordMaker<T> {
  readonly #codec: Codec<T>
  readonly #ids: RecordIds | undefined
  readonly #telemetry: Telemetry | undefined
  /** Nothing is encoded or added, so that no code of the caller's runs. */
  readonly isPlain: boolean
  readonly #lone: LoneRecords = new LoneRecords()

  constructor(settings: Pick<Settings, 'codec' | 'recordIds' | 'telemetry' | 'random'>) {
    const { codec, recordIds, telemetry, random } = settings
    this.#codec = codec as Codec<T>
    this.#ids = recordIds ? new RecordIds(random) : undefined
    this.#telemetry = telemetry?.inject === undefined ? undefined : telemetry
    this.isPlain = codec === bytes() && this.#ids === undefined && this.#telemetry === undefined
  }

  /** Throws RecordRejectedError. The stream's own rules are checked when the stream is known. */
  make(input: PutInput<T>, stream: string): UserRecord {
    if (this.isPlain && input?.headers === undefined && input?.recordId === undefined) return toUserRecord(input as PutInput)
    const keyBytes = checkAddress(input)
    const { partitionKey, explicitHashKey, headers } = input
    if (headers !== undefined) checkHeaders(headers)
    const tags = tagsOf(this.#idOf(input), this.#telemetry === undefined ? headers : this.#withTrace(headers))
    const data = bytesOf(this.#encoded(input, stream))
    if (tags === undefined) return plainRecord({ partitionKey, explicitHashKey, data }, data, keyBytes)
    const size = this.#lone.envelopeBytes(partitionKey, explicitHashKey, data, tags)
    if (size > MAX_RECORD_BYTES_CEILING) throw tooLarge(size, MAX_RECORD_BYTES_CEILING, 'any stream', true)
    const hasHeaders = headers !== undefined && Object.keys(headers).length > 0
    return new UserRecord(partitionKey, explicitHashKey, data, size, tags, hasHeaders)
  }

  #encoded(input: PutInput<T>, stream: string): Uint8Array {
    const { partitionKey, headers } = input
    try {
      return this.#codec.encode(input.data, { stream, partitionKey, headers })
    } catch (cause) {
      const problem = cause instanceof Error ? cause.message : String(cause)
      throw new RecordRejectedError('data', `was refused by the codec: ${problem}`, { cause })
    }
  }

  #idOf({ recordId }: PutInput<T>): string | undefined {
    if (recordId === undefined) return this.#ids?.next()
    if (typeof recordId !== 'string' || recordId === '' || !isWellFormed(recordId)) {
      throw new RecordRejectedError('recordId', `must be a text of one character or more, well-formed, got ${brief(recordId)}`)
    }
    return recordId
  }

  /** With what the telemetry sets. It must not keep a record from being sent, so what cannot be a header is left out. */
  #withTrace(headers: Headers | undefined): Headers {
    const carrier: Record<string, string> = { ...headers }
    this.#telemetry!.inject!(carrier)
    for (const name of Object.keys(carrier)) if (!isHeader(name, carrier[name])) delete carrier[name]
    return carrier
  }
}

function checkHeaders(headers: Headers): void {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    throw new RecordRejectedError('headers', `must be an object of texts by name, got ${brief(headers)}`)
  }
  // A Map, or the Headers of fetch: it has no names of its own, and all would silently be left out.
  if (Symbol.iterator in headers) {
    throw new RecordRejectedError(
      'headers',
      `must be an object of texts by name, got ${brief(headers)}: use Object.fromEntries(headers)`,
    )
  }
  for (const name of Object.keys(headers)) {
    if (isHeader(name, headers[name])) continue
    const value: unknown = headers[name]
    const problem =
      typeof value !== 'string' || !isWellFormed(value)
        ? `has for ${brief(name)} ${brief(value)}, which is no well-formed text`
        : name.startsWith(RESERVED_PREFIX)
          ? `has ${brief(name)}: names that begin with ${RESERVED_PREFIX} are reserved. Use the option recordIds, or recordId, for ids`
          : `has the name ${brief(name)}: a name must be a text of one character or more, well-formed`
    throw new RecordRejectedError('headers', problem)
  }
}

function isHeader(name: string, value: unknown): boolean {
  if (name === '' || name.startsWith(RESERVED_PREFIX) || !isWellFormed(name)) return false
  return typeof value === 'string' && isWellFormed(value)
}

/** Half of a surrogate pair would arrive as another character. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed()
}
