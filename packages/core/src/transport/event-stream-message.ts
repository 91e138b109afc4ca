import { crc32 } from 'node:zlib'
import { MalformedAnswerError } from './wire-format.js'

/** One message of `application/vnd.amazon.eventstream`. Of its headers, those that are text: a service tells by them what the payload is. */
export interface EventStreamMessage {
  readonly headers: ReadonlyMap<string, string>
  readonly payload: Uint8Array
}

/** Total length, length of the headers, CRC of these two. */
export const PRELUDE_BYTES = 12
const CRC_BYTES = 4
/**
 * Far above what a message may have (the largest record is 10 MiB, 14 MiB in base64): a length beyond it is none, whatever its CRC says.
 * Source: https://docs.aws.amazon.com/streams/latest/dev/large-records.html
 */
const LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024

/** Bytes of the values of fixed size, by type: true, false, byte, short, integer, (binary), (text), long... as the format numbers them. */
const FIXED_SIZES: ReadonlyMap<number, number> = new Map([
  [0, 0],
  [1, 0],
  [2, 1],
  [3, 2],
  [4, 4],
  [5, 8],
  [8, 8],
  [9, 16],
])
const BINARY = 6
const TEXT = 7

/** The length of the whole message that begins with this prelude. Throws MalformedAnswerError when it is damaged. */
export function messageLength(prelude: Buffer): number {
  const total = prelude.readUInt32BE(0)
  const headers = prelude.readUInt32BE(4)
  if (crc32(prelude.subarray(0, 8)) !== prelude.readUInt32BE(8)) {
    throw new MalformedAnswerError('An event of the stream is damaged: the CRC of its prelude does not match')
  }
  if (total > LARGEST_MESSAGE_BYTES || total < PRELUDE_BYTES + headers + CRC_BYTES) {
    throw new MalformedAnswerError(`An event of the stream has impossible lengths: ${total} bytes, ${headers} of them headers`)
  }
  return total
}

/**
 * Reads a whole message, of which the prelude has been checked. Its payload is a part of `message`, not a copy.
 * Source of the format: https://smithy.io/2.0/aws/amazon-eventstream.html
 */
export function decodeMessage(message: Buffer): EventStreamMessage {
  const crcAt = message.length - CRC_BYTES
  if (crc32(message.subarray(0, crcAt)) !== message.readUInt32BE(crcAt)) {
    throw new MalformedAnswerError('An event of the stream is damaged: its CRC does not match')
  }
  const payloadAt = PRELUDE_BYTES + message.readUInt32BE(4)
  return { headers: textHeaders(message.subarray(PRELUDE_BYTES, payloadAt)), payload: message.subarray(payloadAt, crcAt) }
}

function textHeaders(bytes: Buffer): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  try {
    for (let at = 0; at < bytes.length; ) {
      const nameEnd = at + 1 + bytes.readUInt8(at)
      const name = bytes.toString('utf8', at + 1, nameEnd)
      const type = bytes.readUInt8(nameEnd)
      at = nameEnd + 1
      if (type === TEXT || type === BINARY) {
        const end = at + 2 + bytes.readUInt16BE(at)
        if (end > bytes.length) throw new RangeError('beyond the end')
        if (type === TEXT) headers.set(name, bytes.toString('utf8', at + 2, end))
        at = end
      } else {
        const size = FIXED_SIZES.get(type)
        if (size === undefined) throw new RangeError(`no type ${type}`)
        at += size
      }
    }
  } catch (cause) {
    throw new MalformedAnswerError('The headers of an event of the stream cannot be read', { cause })
  }
  return headers
}
