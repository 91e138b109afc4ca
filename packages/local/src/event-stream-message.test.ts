import { EventStreamCodec } from '@smithy/core/event-streams'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { eventStreamMessage } from './event-stream-message.js'

const sdk = new EventStreamCodec(
  (bytes) => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString()),
  (text) => Buffer.from(text),
)

it('is what the SDK reads, and what the SDK writes', () => {
  const name = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme-ascii' }).filter((text) => text !== '__proto__')
  const headers = fc.dictionary(name, fc.string({ unit: 'grapheme', maxLength: 200 }), { maxKeys: 5, noNullPrototype: true })
  fc.assert(
    fc.property(headers, fc.uint8Array({ maxLength: 1000 }), (given, payload) => {
      const message = eventStreamMessage(given, payload)
      const typed = Object.fromEntries(Object.entries(given).map(([key, value]) => [key, { type: 'string' as const, value }]))
      const read = sdk.decode(message)
      expect({ ...read.headers }).toEqual(typed)
      expect(Buffer.from(read.body).equals(payload)).toBe(true)
      expect(message.equals(sdk.encode({ headers: typed, body: payload }))).toBe(true)
    }),
  )
})

it('a damaged bit is noticed', () => {
  const message = eventStreamMessage({ ':event-type': 'SubscribeToShardEvent' }, Buffer.from('{"Records":[]}'))
  for (let bit = 0; bit < message.length * 8; bit++) {
    const damaged = Buffer.from(message)
    damaged[bit >> 3]! ^= 1 << (bit & 7)
    expect(() => sdk.decode(damaged), `bit ${bit}`).toThrow()
  }
})
