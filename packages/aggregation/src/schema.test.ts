import { readFileSync } from 'node:fs'
import protobuf from 'protobufjs'
import { expect, it } from 'vitest'
import { AggregatedRecord, descriptor, Record, Tag } from './schema.js'

it('is what the shipped .proto file says', () => {
  const source = readFileSync(new URL('../proto/aggregated-record.proto', import.meta.url), 'utf8')
  const parsed = JSON.stringify(protobuf.parse(source).root.toJSON(), (key, value: unknown) =>
    key === 'protoName' ? undefined : value,
  )
  // protobufjs 8 also notes the snake-case spelling of each field, which its own types do not allow in a descriptor.
  expect(descriptor).toEqual(JSON.parse(parsed))
})

it('gives the three messages', () => {
  expect([AggregatedRecord, Record, Tag].map((type) => type.fullName)).toEqual([
    '.shardwise.aggregation.AggregatedRecord',
    '.shardwise.aggregation.Record',
    '.shardwise.aggregation.Tag',
  ])
})
