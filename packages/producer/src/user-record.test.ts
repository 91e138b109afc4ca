import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { type PutInput, toUserRecord } from './user-record.js'

const data = new Uint8Array(3)

describe('toUserRecord', () => {
  test.each<[string, PutInput, number]>([
    ['a key', { partitionKey: 'a', data }, 4],
    ['256 characters outside the basic plane', { partitionKey: '😀'.repeat(256), data }, 1027],
    ['hash key zero', { partitionKey: 'a', explicitHashKey: '0', data }, 4],
    ['the last hash key', { partitionKey: 'a', explicitHashKey: (2n ** 128n - 1n).toString(), data: Buffer.alloc(0) }, 1],
    ['10 MiB', { partitionKey: 'a', data: new Uint8Array(10 * 1024 * 1024 - 1) }, 10 * 1024 * 1024],
  ])('takes %s', (_, input, bytes) => {
    expect(toUserRecord(input)).toMatchObject({ bytes, partitionKey: input.partitionKey, explicitHashKey: input.explicitHashKey })
  })

  test('takes bytes of another realm, as they are under jest, as ours: the SDK would not know them', () => {
    const foreign = runInNewContext('new Uint8Array([0, 1, 2, 3]).subarray(1, 3)') as Uint8Array
    expect(foreign).not.toBeInstanceOf(Uint8Array)
    const record = toUserRecord({ partitionKey: 'a', data: foreign })
    expect(record.data).toBeInstanceOf(Uint8Array)
    expect([...record.data, record.bytes]).toEqual([1, 2, 3])
  })

  test.each<[string, unknown, string, RegExp]>([
    ['nothing', undefined, 'record', /must be an object \{ partitionKey, data \}, got undefined/],
    ['null', null, 'record', /got null/],
    ['text', 'flight', 'record', /got string/],
    ['no key', { data }, 'partitionKey', /string of 1 to 256 Unicode characters, got undefined/],
    ['an empty key', { partitionKey: '', data }, 'partitionKey', /got 0 characters/],
    ['257 characters', { partitionKey: 'a'.repeat(257), data }, 'partitionKey', /got 257 characters/],
    ['257 emoji', { partitionKey: '😀'.repeat(257), data }, 'partitionKey', /got 257 characters/],
    ['half a surrogate pair', { partitionKey: '\ud800x', data }, 'partitionKey', /half of a surrogate pair/],
    [
      'a hash key of 2^128',
      { partitionKey: 'a', explicitHashKey: (2n ** 128n).toString(), data },
      'explicitHashKey',
      /0 to 2\^128-1/,
    ],
    ['a signed hash key', { partitionKey: 'a', explicitHashKey: '-1', data }, 'explicitHashKey', /got "-1"/],
    ['a numeric hash key', { partitionKey: 'a', explicitHashKey: 5, data }, 'explicitHashKey', /got 5/],
    ['text as data', { partitionKey: 'a', data: 'text' }, 'data', /Uint8Array or Buffer, got "text"/],
    ['no data', { partitionKey: 'a' }, 'data', /got undefined/],
    ['more than 10 MiB with the key', { partitionKey: 'a', data: new Uint8Array(10 * 1024 * 1024) }, 'data', /10485761 bytes/],
  ])('refuses %s', (_, input, field, message) => {
    expect(() => toUserRecord(input as PutInput)).toThrow(
      expect.objectContaining({ name: 'RecordRejectedError', field, message: expect.stringMatching(message) }),
    )
  })
})
