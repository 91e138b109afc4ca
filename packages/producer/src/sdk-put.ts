import { PutRecordCommand, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { DEFAULT_MAX_RECORD_BYTES, MAX_PUT_REQUEST_BYTES, MAX_RECORDS_PER_PUT } from '@shardwise/core/service-limits'
import { RecordRejectedError } from './producer-error.js'
import { isStream, type Ordering } from './producer-options.js'
import { type PutInput, toUserRecord } from './user-record.js'

/** A put command of the SDK as a producer takes it. */
export interface SdkPut {
  readonly operation: 'PutRecord' | 'PutRecords'
  readonly records: readonly AddressedPut[]
}

/** The stream by name or ARN, as the command has it. */
export type AddressedPut = PutInput & { readonly stream: string }

/** The fields of the two inputs and of an entry, all that the SDK may know of one day included. */
type Fields = Readonly<Record<string, unknown>>

const STREAM_FIELDS = ['StreamName', 'StreamARN']
const ENTRY_FIELDS = ['Data', 'PartitionKey', 'ExplicitHashKey']

/**
 * What a producer can do for the command, or undefined if it must be sent as it is: it is another command, has middleware of its own, says
 * something that PutRecords cannot carry for one record, or breaks a rule, which the service words best.
 *
 * With order kept, what a command passes by would overtake what is queued. So a sequence number for ordering is left out there, being
 * honoured by the order itself (the put that it names has been answered); records that break a rule of ours throw RecordRejectedError; and
 * large ones go with the rest.
 */
export function readSdkPut(command: object, ordering: Ordering): SdkPut | undefined {
  const ordered = ordering !== 'none'
  if (command instanceof PutRecordCommand) {
    const known = [...STREAM_FIELDS, ...ENTRY_FIELDS, ...(ordered ? ['SequenceNumberForOrdering'] : [])]
    return hasMiddleware(command) ? undefined : readable('PutRecord', fields(command.input), known, ordered)
  }
  if (command instanceof PutRecordsCommand) {
    return hasMiddleware(command)
      ? undefined
      : readable('PutRecords', fields(command.input), [...STREAM_FIELDS, 'Records'], ordered)
  }
  return undefined
}

function hasMiddleware(command: PutRecordCommand | PutRecordsCommand): boolean {
  return command.middlewareStack.identify().length > 0
}

function readable(operation: SdkPut['operation'], input: Fields, known: readonly string[], ordered: boolean): SdkPut | undefined {
  const { StreamName, StreamARN } = input
  const stream = StreamName ?? StreamARN
  if (!isStream(stream)) return undefined
  if ((StreamName !== undefined && StreamARN !== undefined) || !hasOnly(input, known)) return undefined
  const entries: unknown = operation === 'PutRecord' ? [input] : input.Records
  if (!Array.isArray(entries) || entries.length === 0 || entries.length > MAX_RECORDS_PER_PUT) return undefined
  const records: AddressedPut[] = []
  let bytes = 0
  for (const entry of entries as readonly unknown[]) {
    const given = fields(entry)
    if (operation === 'PutRecords' && !hasOnly(given, ENTRY_FIELDS)) return undefined
    const record = {
      stream,
      partitionKey: given.PartitionKey,
      explicitHashKey: given.ExplicitHashKey,
      data: copied(given.Data),
    } as AddressedPut
    const size = sizeOf(record, ordered)
    if (size === undefined || (size > DEFAULT_MAX_RECORD_BYTES && !ordered)) return undefined
    records.push(record)
    bytes += size
  }
  return bytes > MAX_PUT_REQUEST_BYTES ? undefined : { operation, records }
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

function hasOnly(given: Fields, known: readonly string[]): boolean {
  return Object.keys(given).every((key) => given[key] === undefined || known.includes(key))
}

/**
 * The SDK reads the data as soon as it is given a command, and so its callers may use their buffer again; a producer reads it when it packs.
 * Strings, which its types do not allow, the SDK sends as UTF-8.
 */
function copied(data: unknown): unknown {
  if (typeof data === 'string') return Buffer.from(data)
  // Not instanceof: under jest the arrays of tests are those of another realm.
  return ArrayBuffer.isView(data) && Object.prototype.toString.call(data) === '[object Uint8Array]'
    ? new Uint8Array(data as Uint8Array)
    : data
}

function sizeOf(record: PutInput, ordered: boolean): number | undefined {
  try {
    return toUserRecord(record).bytes
  } catch (error) {
    if (ordered || !(error instanceof RecordRejectedError)) throw error
    return undefined
  }
}
