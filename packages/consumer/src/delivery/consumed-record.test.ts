import { AggregateBuilder, type Tag } from '@shardwise/aggregation'
import { tagsOf } from '@shardwise/core/record-tags'
import { describe, expect, it } from 'vitest'
import { TRIM_HORIZON } from '../checkpoints/position.js'
import type { ConsumedRecord } from './consumed-record.js'
import { UserRecords } from './user-records.js'

const ARN = 'arn:aws:kinesis:us-east-1:123456789012:stream/flights'

function read(data: Uint8Array, stream = 'flights'): ConsumedRecord[] {
  const records = new UserRecords({ stream, shardId: 'shard-1', range: undefined, resumeFrom: TRIM_HORIZON })
  return [...records.batches([{ SequenceNumber: '49', PartitionKey: 'k', Data: data }])].flat()
}

function aggregate(...members: readonly (readonly Tag[] | undefined)[]): Uint8Array {
  const builder = new AggregateBuilder()
  for (const tags of members) expect(builder.tryAdd('k', Buffer.from('x'), undefined, tags)).toBe(true)
  return builder.seal().bytes.slice()
}

describe('a consumed record', () => {
  it('has the headers and the id of its own tags', () => {
    const [first, second, third] = read(aggregate(tagsOf('id-1', { a: '1', b: '' }), undefined, tagsOf(undefined, { a: '2' })))
    expect([{ ...first!.headers }, first!.recordId, first!.idempotencyKey]).toEqual([{ a: '1', b: '' }, 'id-1', 'id-1'])
    expect([{ ...second!.headers }, second!.recordId]).toEqual([{}, undefined])
    expect([{ ...third!.headers }, third!.recordId]).toEqual([{ a: '2' }, undefined])
  })

  it('keeps headers as they were read, whatever becomes of the bytes, and lets nobody change them', () => {
    const data = aggregate(tagsOf(undefined, { a: '1' }))
    const [record] = read(data)
    const { headers } = record!
    data.fill(0)
    expect(record!.headers).toBe(headers)
    expect(headers.a).toBe('1')
    expect(() => Object.assign(headers, { a: '2' })).toThrow(TypeError)
  })

  it.each([
    {
      name: 'a member of an aggregate',
      data: aggregate(undefined, undefined),
      keys: ['flights/shard-1/49/0', 'flights/shard-1/49/1'],
    },
    { name: 'a plain record', data: Buffer.from('x'), keys: ['flights/shard-1/49/0'] },
    { name: 'an empty id', data: aggregate([{ key: 'shardwise-id', value: '' }]), keys: ['flights/shard-1/49/0'] },
  ])('without an id is known by its place, by name and by ARN the same: $name', ({ data, keys }) => {
    for (const stream of ['flights', ARN]) expect(read(data, stream).map((record) => record.idempotencyKey)).toEqual(keys)
    expect(read(data).map((record) => record.recordId)).toEqual(keys.map(() => undefined))
  })

  it('plain, has no headers', () => {
    expect({ ...read(Buffer.from('x'))[0]!.headers }).toEqual({})
  })
})
