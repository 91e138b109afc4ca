import type { ServiceInput } from './faults.js'
import { serialization, shown, type WireFormat } from './wire-format.js'

type Members = Record<string, unknown>

/**
 * Where operations take bytes and timestamps. By place and not by name alone: tags may be called `Data` or `Timestamp` too.
 * Each changes the freshly parsed input in place.
 */
const READERS: Readonly<Record<string, (input: Members, format: WireFormat) => void>> = {
  PutRecord: (input, format) => readBytes(input, 'Data', format, ''),
  PutRecords(input, format) {
    if (!Array.isArray(input.Records)) return
    for (const [index, entry] of input.Records.entries()) {
      if (typeof entry !== 'object' || entry === null)
        throw serialization(`Records[${index}] must be an object, got ${shown(entry)}`)
      readBytes(entry as Members, 'Data', format, index)
    }
  },
  ListStreamConsumers: (input, format) => readTimestamp(input, 'StreamCreationTimestamp', format),
  SubscribeToShard(input, format) {
    const { StartingPosition: position } = input
    if (typeof position === 'object' && position !== null)
      readTimestamp(position as Members, 'Timestamp', format, 'StartingPosition.')
  },
  GetShardIterator: (input, format) => readTimestamp(input, 'Timestamp', format),
  ListShards(input, format) {
    readTimestamp(input, 'StreamCreationTimestamp', format)
    const { ShardFilter: filter } = input
    if (typeof filter === 'object' && filter !== null) readTimestamp(filter as Members, 'Timestamp', format, 'ShardFilter.')
  },
}

/** The input of an operation in the API's own shape: bytes as Uint8Array, timestamps as Date. Throws SerializationException. */
export function readInput(operation: string, body: Buffer, format: WireFormat): ServiceInput {
  const value = format.parse(body)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw serialization(`The request body must be an object with the members of ${operation}, got ${shown(value)}`)
  }
  if (Object.hasOwn(READERS, operation)) READERS[operation]!(value as Members, format)
  return value as ServiceInput
}

/** `index`: of the entry among Records, for the message; text otherwise. Made into text only when needed: this runs per record. */
function readBytes(members: Members, name: string, format: WireFormat, index: number | ''): void {
  const value = members[name]
  if (value === undefined || value === null) return
  try {
    members[name] = format.bytes(name, value)
  } catch (error) {
    throw index === '' ? error : serialization(`Records[${index}].${(error as Error).message}`)
  }
}

function readTimestamp(members: Members, name: string, format: WireFormat, prefix = ''): void {
  const value = members[name]
  if (value === undefined || value === null) return
  members[name] = format.timestamp(`${prefix}${name}`, value)
}
