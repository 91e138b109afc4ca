import { crc32 } from 'node:zlib'

/** Length of the message, length of its headers, and a checksum of these two. */
const PRELUDE_BYTES = 12
const CHECKSUM_BYTES = 4
const STRING = 7

/**
 * One message of a binary event stream (`application/vnd.amazon.eventstream`), with headers that are texts:
 * https://smithy.io/2.0/aws/amazon-eventstream.html
 */
export function eventStreamMessage(headers: Readonly<Record<string, string>>, payload: Uint8Array): Buffer {
  const fields = Object.entries(headers).map(([name, value]) => ({ name: Buffer.from(name), value: Buffer.from(value) }))
  const headerBytes = fields.reduce((sum, { name, value }) => sum + 1 + name.length + 3 + value.length, 0)
  const message = Buffer.allocUnsafe(PRELUDE_BYTES + headerBytes + payload.length + CHECKSUM_BYTES)
  message.writeUInt32BE(message.length, 0)
  message.writeUInt32BE(headerBytes, 4)
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8)
  let at = PRELUDE_BYTES
  for (const { name, value } of fields) {
    at = message.writeUInt8(name.length, at)
    at += name.copy(message, at)
    at = message.writeUInt8(STRING, at)
    at = message.writeUInt16BE(value.length, at)
    at += value.copy(message, at)
  }
  message.set(payload, at)
  const end = message.length - CHECKSUM_BYTES
  message.writeUInt32BE(crc32(message.subarray(0, end)), end)
  return message
}
