import { createHash } from 'node:crypto'
import { GetRecordsCommand, GetShardIteratorCommand, PutRecordCommand, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { expect } from 'vitest'
import type { ConformanceCase } from './conformance-case.js'
import type { ServiceUnderTest } from './service-under-test.js'

const MIB = 1_048_576
const entry = (PartitionKey: string, bytes = 1) => ({ PartitionKey, Data: new Uint8Array(bytes) })

export const recordCases: readonly ConformanceCase[] = [
  {
    key: 'routing',
    title: 'a record lies where the MD5 of its UTF-8 key or its explicit hash key says',
    async run(service) {
      const StreamName = await service.stream({ ShardCount: 2 })
      const keys = ['a', 'b', 'c', 'd', 'e', 'ключ', '日本語', '__proto__', '10', 'x'.repeat(256)]
      const results = await service.put(StreamName, keys)
      expect(results.map(({ ShardId }) => ShardId)).toEqual(
        keys.map((key) => `shardId-00000000000${createHash('md5').update(key, 'utf8').digest()[0]! < 128 ? 0 : 1}`),
      )
      const explicit = async (ExplicitHashKey: string) => (await service.put(StreamName, ['a'], { ExplicitHashKey }))[0]!.ShardId
      expect([await explicit('0'), await explicit(`${2n ** 127n}`), await explicit(`${2n ** 128n - 1n}`)]).toEqual([
        'shardId-000000000000',
        'shardId-000000000001',
        'shardId-000000000001',
      ])
    },
  },
  {
    key: 'order',
    title: 'records of a shard are read in order of acceptance, under growing numbers of 56 digits within the shard’s range',
    async run(service) {
      const StreamName = await service.stream()
      const texts = Array.from({ length: 30 }, (_, index) => `record ${index}`)
      const results = [
        ...(await service.put(StreamName, texts.slice(0, 20))),
        ...(await service.put(StreamName, texts.slice(20))),
      ]
      const numbers = results.map(({ SequenceNumber }) => SequenceNumber!)
      for (const number of numbers) expect(number).toMatch(/^\d{56}$/)
      const { records } = await service.read(await service.iterator(StreamName, 'TRIM_HORIZON'), 30)
      const read = records.map(({ SequenceNumber }) => SequenceNumber!)
      expect([...read].sort()).toEqual(read)
      expect([...read].sort()).toEqual([...numbers].sort())
      const byNumber = new Map(numbers.map((number, index) => [number, texts[index]!]))
      expect(records.map(({ Data }) => new TextDecoder().decode(Data))).toEqual(read.map((number) => byNumber.get(number)))
      const [shard] = await service.shards(StreamName)
      expect(shard!.SequenceNumberRange!.StartingSequenceNumber! < read[0]!).toBe(true)
      expect(records[0]!.ApproximateArrivalTimestamp).toBeInstanceOf(Date)
    },
  },
  {
    key: 'put-record-order',
    title: 'PutRecord after a given sequence number gets a higher one',
    async run(service) {
      const StreamName = await service.stream()
      const first = await service.client.send(new PutRecordCommand({ StreamName, ...entry('k') }))
      const second = await service.client.send(
        new PutRecordCommand({ StreamName, ...entry('k'), SequenceNumberForOrdering: first.SequenceNumber! }),
      )
      expect(second.SequenceNumber! > first.SequenceNumber!).toBe(true)
    },
  },
  ...(
    [
      ['hash-key-range', `${2n ** 128n}`, 'InvalidArgumentException', 'out of range'],
      ['malformed-hash-key', 'x', 'ValidationException', 'that is no number'],
    ] as const
  ).map(([key, ExplicitHashKey, name, what]) => ({
    key,
    title: `an explicit hash key ${what} refuses the whole request`,
    async run(service: ServiceUnderTest) {
      const StreamName = await service.stream()
      const Records = [entry('k'), { ...entry('k'), ExplicitHashKey }]
      const refusal = await service.refusal(service.client.send(new PutRecordsCommand({ StreamName, Records })))
      expect(`${refusal.name} ${refusal.status}`).toBe(`${name} 400`)
      expect((await service.get(await service.iterator(StreamName, 'TRIM_HORIZON'))).Records).toEqual([])
    },
  })),
  {
    key: 'five-hundred-records',
    title: 'a request holds at most 500 records',
    async run(service) {
      const StreamName = await service.stream()
      const Records = Array.from({ length: 501 }, (_, index) => entry(`${index}`))
      const refusal = await service.refusal(service.client.send(new PutRecordsCommand({ StreamName, Records })))
      expect(refusal).toMatchObject({ name: 'ValidationException', status: 400 })
    },
  },
  {
    key: 'oversize-refuses-request',
    title: 'one record over the stream’s size refuses the whole request',
    async run(service) {
      const StreamName = await service.stream()
      const Records = [entry('k'), entry('k', 2 * MIB)]
      expect((await service.refusal(service.client.send(new PutRecordsCommand({ StreamName, Records })))).status).toBe(400)
    },
  },
  {
    key: 'key-counts',
    title: 'the partition key counts towards the size of a record',
    async run(service) {
      const StreamName = await service.stream()
      const input = { StreamName, ...entry('k'.repeat(100), MIB - 50) }
      expect((await service.refusal(service.client.send(new PutRecordCommand(input)))).status).toBe(400)
    },
  },
  {
    key: 'request-bytes',
    title: 'a request holds at most 10 MiB',
    async run(service) {
      const StreamName = await service.stream({ ShardCount: 1, MaxRecordSizeInKiB: 10_240 })
      const Records = [entry('k', 6 * MIB), entry('k', 5 * MIB)]
      expect((await service.refusal(service.client.send(new PutRecordsCommand({ StreamName, Records })))).status).toBe(400)
    },
  },
  {
    key: 'write-quota',
    title: 'a shard takes 1,000 records a second, and throttles the rest one by one',
    async run(service) {
      const StreamName = await service.stream()
      const Records = Array.from({ length: 500 }, (_, index) => entry(`${index}`))
      const answers = await Promise.all(
        Array.from({ length: 6 }, () => service.client.send(new PutRecordsCommand({ StreamName, Records }))),
      )
      const failed = answers.flatMap((answer) => answer.Records!.filter(({ ErrorCode }) => ErrorCode !== undefined))
      expect(failed.length, 'throttled records').toBeGreaterThan(0)
      expect(failed.length).toBe(answers.reduce((sum, answer) => sum + answer.FailedRecordCount!, 0))
      expect(failed[0]!.ErrorCode).toBe('ProvisionedThroughputExceededException')
      expect(failed[0]!.ErrorMessage).toMatch(
        new RegExp(`^Rate exceeded for shard shardId-000000000000 in stream ${StreamName} under account \\d{12}\\.$`),
      )
      expect(failed[0]!.SequenceNumber).toBeUndefined()
    },
  },
  {
    key: 'read-quota',
    title: 'a shard answers five GetRecords calls a second',
    async run(service) {
      const StreamName = await service.stream()
      const ShardIterator = await service.iterator(StreamName, 'TRIM_HORIZON')
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, () => service.client.send(new GetRecordsCommand({ ShardIterator }))),
      )
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
      expect(refused.length, 'refused calls').toBeGreaterThan(0)
      for (const { reason } of refused) expect(reason.name).toBe('ProvisionedThroughputExceededException')
    },
  },
  {
    key: 'iterators',
    title: 'iterators start where their type says',
    async run(service) {
      const StreamName = await service.stream()
      const [a] = await service.put(StreamName, ['a'])
      const latest = await service.iterator(StreamName, 'LATEST')
      const [b] = await service.put(StreamName, ['b'])
      await service.put(StreamName, ['c'])
      expect(await service.texts(latest, 2)).toEqual(['b', 'c'])
      expect(await service.texts(await service.iterator(StreamName, 'TRIM_HORIZON'), 3)).toEqual(['a', 'b', 'c'])
      const at = { StartingSequenceNumber: b!.SequenceNumber! }
      expect(await service.texts(await service.iterator(StreamName, 'AT_SEQUENCE_NUMBER', at), 2)).toEqual(['b', 'c'])
      expect(await service.texts(await service.iterator(StreamName, 'AFTER_SEQUENCE_NUMBER', at), 1)).toEqual(['c'])
      const { records } = await service.read(await service.iterator(StreamName, 'TRIM_HORIZON'), 3)
      const Timestamp = records[0]!.ApproximateArrivalTimestamp!
      expect(await service.texts(await service.iterator(StreamName, 'AT_TIMESTAMP', { Timestamp }), 3)).toEqual(['a', 'b', 'c'])
      expect(a!.SequenceNumber).toBe(records[0]!.SequenceNumber)
    },
  },
  {
    key: 'number-of-no-record',
    title: 'an iterator may start at any number of the shard, not only at a record’s',
    async run(service) {
      const StreamName = await service.stream()
      await service.put(StreamName, ['a'])
      const [shard] = await service.shards(StreamName)
      const StartingSequenceNumber = shard!.SequenceNumberRange!.StartingSequenceNumber!
      expect(
        await service.texts(await service.iterator(StreamName, 'AT_SEQUENCE_NUMBER', { StartingSequenceNumber }), 1),
      ).toEqual(['a'])
    },
  },
  {
    key: 'bad-iterators',
    title: 'impossible iterators are refused',
    async run(service) {
      const StreamName = await service.stream()
      const ask = (rest: object) =>
        service.refusal(
          service.client.send(
            new GetShardIteratorCommand({ StreamName, ShardId: 'shardId-000000000000', ShardIteratorType: 'LATEST', ...rest }),
          ),
        )
      expect((await ask({ ShardId: 'shardId-000000000009' })).name).toBe('ResourceNotFoundException')
      expect((await ask({ ShardIteratorType: 'AT_TIMESTAMP' })).name).toBe('InvalidArgumentException')
      expect((await ask({ ShardIteratorType: 'AT_SEQUENCE_NUMBER' })).name).toBe('InvalidArgumentException')
    },
  },
  {
    key: 'garbage-iterator',
    title: 'what is no iterator is an InvalidArgumentException',
    async run(service) {
      const refusal = await service.refusal(service.client.send(new GetRecordsCommand({ ShardIterator: 'garbage' })))
      expect(`${refusal.name} ${refusal.status}`).toBe('InvalidArgumentException 400')
    },
  },
  {
    key: 'limit-and-lag',
    title: 'Limit bounds an answer, which says how far behind it is, and zero at the tip',
    async run(service) {
      const StreamName = await service.stream()
      await service.put(StreamName, ['a'])
      await service.pause()
      await service.put(StreamName, ['b', 'c'])
      const first = await service.get(await service.iterator(StreamName, 'TRIM_HORIZON'), 1)
      expect(first.Records).toHaveLength(1)
      expect(first.MillisBehindLatest).toBeGreaterThan(0)
      const { last } = await service.read(first.NextShardIterator!, 2)
      expect((await service.get(last.NextShardIterator!)).MillisBehindLatest).toBe(0)
    },
  },
]
