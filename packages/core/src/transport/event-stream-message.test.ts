import { crc32 } from 'node:zlib'
import { EventStreamCodec, Int64 } from '@smithy/core/event-streams'
import { fromUtf8, toUtf8 } from '@smithy/core/serde'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeMessage, messageLength, PRELUDE_BYTES } from './event-stream-message.js'
import { MalformedAnswerError } from './wire-format.js'

const codec = new EventStreamCodec(toUtf8, fromUtf8)
const header = fc.oneof(
  fc.record({ type: fc.constant('string' as const), value: fc.string({ unit: 'grapheme', maxLength: 300 }) }),
  fc.record({ type: fc.constant('boolean' as const), value: fc.boolean() }),
  fc.record({ type: fc.constant('byte' as const), value: fc.integer({ min: -128, max: 127 }) }),
  fc.record({ type: fc.constant('short' as const), value: fc.integer({ min: -32_768, max: 32_767 }) }),
  fc.record({ type: fc.constant('integer' as const), value: fc.integer() }),
  fc.record({ type: fc.constant('long' as const), value: fc.integer().map((value) => Int64.fromNumber(value)) }),
  fc.record({ type: fc.constant('binary' as const), value: fc.uint8Array({ maxLength: 300 }) }),
  fc.record({ type: fc.constant('timestamp' as const), value: fc.date({ noInvalidDate: true }) }),
  fc.record({ type: fc.constant('uuid' as const), value: fc.uuid() }),
)
const headers = fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), header, { noNullPrototype: true })

/** With CRCs that match, whatever else is wrong. */
function sealed(message: Buffer): Buffer {
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8)
  message.writeUInt32BE(crc32(message.subarray(0, -4)), message.length - 4)
  return message
}

describe('a message', () => {
  test("of the SDK's codec is read as it was written: its text headers, its payload, its length", () => {
    fc.assert(
      fc.property(headers, fc.uint8Array({ maxLength: 2_000 }), (given, body) => {
        const bytes = Buffer.from(codec.encode({ headers: given, body }))
        expect(messageLength(bytes.subarray(0, PRELUDE_BYTES))).toBe(bytes.length)
        const { headers: read, payload } = decodeMessage(bytes)
        expect(Buffer.from(payload)).toEqual(Buffer.from(body))
        const texts = Object.entries(given).filter(([, { type }]) => type === 'string')
        expect([...read]).toEqual(texts.map(([name, { value }]) => [name, value]))
      }),
    )
  })

  test('with any byte changed is refused', () => {
    const body = Buffer.from('{"Records":[]}')
    const good = Buffer.from(codec.encode({ headers: { ':message-type': { type: 'string', value: 'event' } }, body }))
    for (let at = 0; at < good.length; at++) {
      const bytes = Buffer.from(good)
      bytes[at]! ^= 0x10
      expect(() => {
        messageLength(bytes.subarray(0, PRELUDE_BYTES))
        decodeMessage(bytes)
      }).toThrow(MalformedAnswerError)
    }
  })

  const impossible: [string, number, number][] = [
    ['longer than any message', 2 ** 30, 0],
    ['shorter than its prelude', 8, 0],
    ['shorter than its headers', 20, 5],
  ]
  test.each(impossible)('%s is refused at its prelude, though the CRC matches', (_what, total, length) => {
    const prelude = Buffer.alloc(20)
    prelude.writeUInt32BE(total, 0)
    prelude.writeUInt32BE(length, 4)
    expect(() => messageLength(sealed(prelude).subarray(0, PRELUDE_BYTES))).toThrow(/impossible lengths/)
  })

  const unreadable: [string, number[]][] = [
    ['a name that is longer than they are', [200, 0x61]],
    ['a type that does not exist', [1, 0x61, 77]],
    ['a text that is longer than they are', [1, 0x61, 7, 0, 9, 0x62]],
    ['a length that is cut', [1, 0x61, 7, 0]],
    ['no type', [1, 0x61]],
  ]
  test.each(unreadable)('whose headers have %s is refused, though the CRC matches', (_what, bytes) => {
    const message = Buffer.alloc(PRELUDE_BYTES + bytes.length + 4)
    message.writeUInt32BE(message.length, 0)
    message.writeUInt32BE(bytes.length, 4)
    message.set(bytes, PRELUDE_BYTES)
    expect(() => decodeMessage(sealed(message))).toThrow(MalformedAnswerError)
  })
})
