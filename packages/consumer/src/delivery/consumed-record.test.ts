import { AggregateBuilder, type Tag } from '@shardwise/aggregation'
import { type Codec, type CodecContext, json } from '@shardwise/core/codec'
import { tagsOf } from '@shardwise/core/record-tags'
import { describe, expect, it, vi } from 'vitest'
import { TRIM_HORIZON } from '../checkpoints/position.js'
import type { ConsumedRecord } from './consumed-record.js'
import { UnpackedRead } from './unpacked-read.js'
import { UserRecords } from './user-records.js'

const ARN = 'arn:aws:kinesis:us-east-1:123456789012:stream/flights'

function read(data: Uint8Array, stream = 'flights', codec?: Codec<unknown>): ConsumedRecord[] {
  const records = new UserRecords({ stream, shardId: 'shard-1', range: undefined, resumeFrom: TRIM_HORIZON, codec })
  return new UnpackedRead([{ SequenceNumber: '49', PartitionKey: 'k', Data: data }], records).take().records
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

describe("a record's data", () => {
  it('are its bytes without a codec, also in a copy', () => {
    const [record] = read(Buffer.from('x'))
    expect(record!.data).toBe(record!.bytes)
    expect({ ...record! }.data).toBe(record!.bytes)
  })

  it('are decoded when they are asked for, once, with what the codec is told; bytes stay; a copy has them too', () => {
    const told: CodecContext[] = []
    const codec = json<unknown>()
    const decode = vi.fn((bytes: Uint8Array, context: CodecContext) => {
      told.push(context)
      return codec.decode(bytes, context)
    })
    const [record] = read(Buffer.from('{"a":1}'), ARN, { ...codec, decode })
    expect(decode).not.toHaveBeenCalled()
    expect(record!.data).toEqual({ a: 1 })
    expect(record!.data).toBe(record!.data)
    expect({ ...record! }.data).toBe(record!.data)
    expect(decode).toHaveBeenCalledTimes(1)
    expect(told).toEqual([{ stream: ARN, partitionKey: 'k', headers: undefined }])
    expect(Buffer.from(record!.bytes).toString()).toBe('{"a":1}')
  })

  it('undefined is decoded once as well', () => {
    const decode = vi.fn(() => undefined)
    const [record] = read(Buffer.from('x'), 'flights', { encode: () => Buffer.from(''), decode })
    expect([record!.data, record!.data]).toEqual([undefined, undefined])
    expect(decode).toHaveBeenCalledTimes(1)
  })

  it('of an aggregate: each member has its own, and its headers', () => {
    const told: unknown[] = []
    const codec: Codec<unknown> = {
      encode: () => Buffer.from(''),
      decode: (bytes, { headers }) => {
        told.push(headers)
        return `${Buffer.from(bytes)}`
      },
    }
    const records = read(aggregate(tagsOf(undefined, { a: '1' }), undefined), 'flights', codec)
    expect(records.map(({ data }) => data)).toEqual(['x', 'x'])
    expect(told.map((headers) => headers && { ...headers })).toEqual([{ a: '1' }, undefined])
  })

  it('that cannot be decoded say which record and codec, and are tried again', () => {
    class GlueCodec implements Codec<unknown> {
      calls = 0
      encode(): Uint8Array {
        return Buffer.from('')
      }
      decode(): unknown {
        if (this.calls++ === 0) throw new TypeError('no schema 7')
        return 'fine'
      }
    }
    const [record] = read(Buffer.from('x'), 'flights', new GlueCodec())
    expect(() => record!.data).toThrow('The codec GlueCodec cannot decode record 49/0 of shard-1 of flights: no schema 7')
    expect(record!.data).toBe('fine')
    const plain = read(Buffer.from('{'), 'flights', json())
    expect(() => plain[0]!.data).toThrow(/^The codec cannot decode record 49\/0 of shard-1 of flights: /)
    const cause = catching(() => plain[0]!.data).cause
    expect(cause).toBeInstanceOf(SyntaxError)
  })
})

function catching(run: () => unknown): Error {
  try {
    run()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}
