import { createRequire } from 'node:module'
import { GetRecordsCommand, GetShardIteratorCommand, KinesisClient, type _Record as KinesisRecord } from '@aws-sdk/client-kinesis'
import { decodeAggregate } from '@shardwise/aggregation'
import { json, Producer, type ProducerOptions, type PutInput } from '@shardwise/producer'
import { expect, it } from 'vitest'
import { CREDENTIALS, Deliveries, REGION, StreamHarness } from './consumer-harness.js'

/** npm aws-kinesis-agg, the reader that most of Node uses. It checks the digest and knows nothing of tags. */
interface Peer {
  readonly deaggregateSync: (
    record: { readonly partitionKey: string; readonly sequenceNumber: string; readonly data: string },
    computeChecksums: boolean,
    done: (error: Error | undefined, records: { readonly partitionKey: string; readonly data: string }[]) => void,
  ) => void
}
const peer = createRequire(import.meta.url)('aws-kinesis-agg') as Peer

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

function producerOn<T = Uint8Array>(harness: StreamHarness, options: Partial<ProducerOptions<T>> = {}): Producer<T> {
  const { stream, local } = harness
  const connection = { endpoint: local.kinesisEndpoint, region: REGION, credentials: CREDENTIALS }
  return new Producer<T>({ stream, ...connection, lingerMs: 20, ...options })
}

async function stored(harness: StreamHarness): Promise<KinesisRecord[]> {
  const client = new KinesisClient({ endpoint: harness.local.kinesisEndpoint, region: REGION, credentials: CREDENTIALS })
  const records: KinesisRecord[] = []
  for (const { ShardId } of await harness.openShards()) {
    const start = { StreamName: harness.stream, ShardId, ShardIteratorType: 'TRIM_HORIZON' as const }
    const { ShardIterator } = await client.send(new GetShardIteratorCommand(start))
    records.push(...((await client.send(new GetRecordsCommand({ ShardIterator }))).Records ?? []))
  }
  client.destroy()
  return records
}

function asThePeerReads(records: readonly KinesisRecord[]): [partitionKey: string, data: string][] {
  const read: [string, string][] = []
  for (const { Data, PartitionKey, SequenceNumber } of records) {
    const record = {
      partitionKey: PartitionKey!,
      sequenceNumber: SequenceNumber!,
      data: Buffer.from(Data!).toString('base64'),
    }
    peer.deaggregateSync(record, true, (error, members) => {
      if (error) throw error
      for (const { partitionKey, data } of members) read.push([partitionKey, Buffer.from(data, 'base64').toString()])
    })
  }
  return read.sort()
}

interface Delay {
  readonly flight: string
  readonly minutes: number
}

it.each(['shard', 'off'] as const)(
  "headers, ids and trace context arrive at the consumer, and readers that know none see the same records (aggregation '%s')",
  async (aggregation) => {
    await using harness = await StreamHarness.start(2)
    let span = 0
    const producer = producerOn<Delay>(harness, {
      ...{ aggregation, codec: json<Delay>(), recordIds: true },
      telemetry: {
        inject(carrier) {
          carrier.traceparent = `${TRACEPARENT}-${span++}`
        },
      },
    })
    const inputs = Array.from(
      { length: 30 },
      (_, i): PutInput<Delay> => ({
        partitionKey: `flight-${i}`,
        data: { flight: `flight-${i}`, minutes: i },
        headers: i % 2 === 0 ? { 'content-type': 'application/json', näme: `✈ ${i}` } : undefined,
        recordId: i === 7 ? 'order-7' : undefined,
      }),
    )
    await Promise.all(inputs.map((input) => producer.put(input)))
    await producer.close()

    const got = new Deliveries()
    const consumer = harness.consumer()
    const run = consumer.run(got.by('one'))
    await got.until((all) => all.length === inputs.length)
    await consumer.stop()
    await run
    const byKey = new Map(got.all.map(({ record }) => [record.partitionKey, record]))
    for (const [i, input] of inputs.entries()) {
      const record = byKey.get(input.partitionKey)!
      const headers = { ...input.headers, traceparent: `${TRACEPARENT}-${i}` }
      expect({ ...record.headers }).toEqual(headers)
      expect(json<Delay>().decode(record.data, record)).toEqual(input.data)
      expect(record.idempotencyKey).toBe(record.recordId)
    }
    const ids = new Set(got.all.map(({ record }) => record.recordId))
    expect([ids.size, ids.has(undefined), byKey.get('flight-7')!.recordId]).toEqual([inputs.length, false, 'order-7'])

    const kinesisRecords = await stored(harness)
    expect(kinesisRecords.every(({ Data }) => decodeAggregate(Data!) !== undefined)).toBe(true)
    expect(kinesisRecords.length).toBe(aggregation === 'off' ? inputs.length : 2)
    const plain = inputs.map(({ partitionKey, data }): [string, string] => [partitionKey, JSON.stringify(data)])
    expect(asThePeerReads(kinesisRecords)).toEqual(plain.sort())
  },
)

it('duplicates that a lost answer makes share their record id, and without ids they do not', async () => {
  for (const recordIds of [true, false]) {
    await using harness = await StreamHarness.start(1)
    const producer = producerOn(harness, { recordIds, retry: { baseMs: 1, maxMs: 10 } })
    harness.local.faults.on('PutRecords', { drop: 'after-work' })
    const put = producer.put({ partitionKey: 'a', data: Buffer.from('once') })
    expect((await put).attempts).toBe(2)
    await producer.close()
    const got = new Deliveries()
    const consumer = harness.consumer()
    const run = consumer.run(got.by('one'))
    await got.until((all) => all.length === 2)
    await consumer.stop()
    await run
    expect(got.texts).toEqual(['once', 'once'])
    expect(new Set(got.all.map(({ record }) => record.sequenceNumber)).size).toBe(2)
    expect(new Set(got.all.map(({ record }) => record.idempotencyKey)).size).toBe(recordIds ? 1 : 2)
    const { record } = got.all[0]!
    if (!recordIds) expect(record.idempotencyKey).toBe(`flights/${record.shardId}/${record.sequenceNumber}/0`)
  }
})

it('a record with headers as large as the stream takes arrives, and one byte more is refused before it is sent', async () => {
  await using harness = await StreamHarness.start(1)
  const producer = producerOn(harness)
  await producer.start()
  const requests: object[] = []
  harness.local.faults.on('PutRecords', { observe: (call) => requests.push(call), times: Number.POSITIVE_INFINITY })
  const put = (size: number) => producer.put({ partitionKey: 'a', data: new Uint8Array(size), headers: { a: '12' } })
  // Magic number and digest, the key's table entry, the record's fields, the tag, and the key outside.
  const most = 1024 * 1024 - (20 + 3 + 10 + 9 + 1)
  expect(await put(most)).toMatchObject({ attempts: 1 })
  expect(await put(most + 1).catch((error: Error) => error)).toMatchObject({ name: 'RecordRejectedError', field: 'data' })
  expect(requests).toHaveLength(1)
  await producer.close()
  const [record] = await stored(harness)
  expect(decodeAggregate(record!.Data!)!.data(0).length).toBe(most)
})
