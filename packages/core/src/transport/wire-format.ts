import { isAscii } from 'node:buffer'
import { decodeCbor, encodeCbor } from '../cbor.js'
import { parseRecords } from './get-records-json.js'
import { putRecordsJson } from './put-records-json.js'

/** An answer that can be decoded and yet is not of the shape that the API has. */
export class MalformedAnswerError extends Error {
  override readonly name = 'MalformedAnswerError'
}

/** How the bodies of one operation's requests and answers are written. `undefined` leaves that body to the SDK's own serialisation. */
export interface WireFormat {
  readonly contentType: string
  encode(operation: string, input: object): Uint8Array | undefined
  /** Undefined when the SDK decodes the answer of this operation. */
  decoder(operation: string): ((body: Uint8Array) => object) | undefined
}

/**
 * AWS JSON 1.1, the API's documented protocol, with the two large bodies written and read by hand, for the SDK's base64 is plain JavaScript.
 * What that gains: put-records-json.ts and get-records-json.ts.
 */
export const jsonFormat: WireFormat = {
  contentType: 'application/x-amz-json-1.1',
  encode: (operation, input) => {
    if (operation === 'PutRecords') return putRecordsJson(input)
    return operation === 'GetRecords' ? plainJson(input) : undefined
  },
  decoder: (operation) => (operation === 'GetRecords' ? decodeRecordsJson : operation === 'PutRecords' ? decodeJson : undefined),
}

/**
 * `application/x-amz-cbor-1.1`, what the Java SDK speaks to Kinesis: no base64, and answers decode without copying the data.
 * Source: https://github.com/aws/aws-sdk-java-v2/blob/master/services/kinesis/src/main/resources/codegen-resources/customization.config
 */
export const cborFormat: WireFormat = {
  contentType: 'application/x-amz-cbor-1.1',
  encode: (_operation, input) => encodeCbor(input),
  decoder: () => (body) => (body.length === 0 ? {} : normalised(decodeCbor(body))),
}

const EVENT_STREAM = 'application/vnd.amazon.eventstream'

export function isEventStream(contentType: string | undefined): boolean {
  return contentType?.startsWith(EVENT_STREAM) === true
}

/** What a 2xx answer says. Undefined where that is for the SDK to decode, or to refuse. Throws for what cannot be decoded. */
export function decodedAnswer(
  format: WireFormat,
  operation: string,
  contentType: string | undefined,
  body: Uint8Array,
): object | undefined {
  if (isEventStream(contentType) || (isCborContent(format.contentType) && !isCborContent(contentType))) return undefined
  return format.decoder(operation)?.(body)
}

/** First bytes of CBOR maps; no JSON text has them. */
const CBOR_MAP = 0xa0

/** The payload of an event, which is in the encoding of the request: its first byte tells for certain. */
export function decodePayload(payload: Uint8Array): object {
  if (payload.length === 0) return {}
  return payload[0]! >= CBOR_MAP ? normalised(decodeCbor(payload)) : decodeRecordsJson(payload)
}

export function isCborContent(contentType: string | undefined): boolean {
  return contentType !== undefined && /cbor/i.test(contentType)
}

function decodeRecordsJson(body: Uint8Array): object {
  const records = parseRecords(Buffer.from(body.buffer, body.byteOffset, body.byteLength))
  return records === undefined ? decodeJson(body) : normalised(records)
}

function decodeJson(body: Uint8Array): object {
  // Most answers are ASCII, which is seen and copied in a fraction of the time that it takes as UTF-8 (getrecords-body-plain-json).
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString(isAscii(body) ? 'latin1' : 'utf8')
  return normalised(text === '' ? {} : JSON.parse(text))
}

/** The inputs of reads are of text and numbers. Undefined for one that is not: the SDK may know it. */
function plainJson(input: object): Uint8Array | undefined {
  for (const value of Object.values(input)) {
    if (typeof value !== 'string' && typeof value !== 'number' && value !== undefined) return undefined
  }
  return Buffer.from(JSON.stringify(input))
}

/** Turns what the wire has in place of bytes and dates into these, wherever the operations of our port have them. */
function normalised(answer: unknown): object {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer))
    throw new MalformedAnswerError('The answer is not an object')
  const { Records: records, ...described } = answer as Record<string, unknown>
  if (Array.isArray(records)) for (const record of records) normaliseRecord(record)
  const { StreamDescriptionSummary: summary, Consumer: consumer, ConsumerDescription: consumerToo = consumer } = described
  if (isObject(summary)) normaliseTime(summary, 'StreamCreationTimestamp')
  if (isObject(consumerToo)) normaliseTime(consumerToo, 'ConsumerCreationTimestamp')
  return answer
}

function normaliseRecord(record: unknown): void {
  if (!isObject(record)) throw new MalformedAnswerError('A record of the answer is not an object')
  if (typeof record.Data === 'string') record.Data = Buffer.from(record.Data, 'base64')
  normaliseTime(record, 'ApproximateArrivalTimestamp')
}

/** Earlier than 1973 in milliseconds, and beyond the year 5000 in seconds: which of the two a number is shows in its size. */
const LARGEST_SECONDS = 1e11

function normaliseTime(holder: Record<string, unknown>, member: string): void {
  const given = holder[member]
  if (given === undefined || given === null) return
  const time = given instanceof Date ? given.getTime() : Number(given)
  const date = new Date(Math.round(Math.abs(time) < LARGEST_SECONDS ? time * 1000 : time))
  if (Number.isNaN(date.getTime())) throw new MalformedAnswerError(`${member} of the answer is not a time: ${String(given)}`)
  holder[member] = date
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
