import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb'
import { describe, expect, it } from 'vitest'
import { CREDENTIALS, Deliveries, REGION, recorded, StreamHarness } from './consumer-harness.js'

const text = (record: { readonly data: Uint8Array }): string => new TextDecoder().decode(record.data)

/** Resolves when the only lease of the table was written `times` times more. */
async function renewed({ local }: StreamHarness, times: number): Promise<void> {
  const dynamodb = new DynamoDBClient({ endpoint: local.dynamodbEndpoint, region: REGION, credentials: CREDENTIALS })
  const counter = async (): Promise<number> => {
    const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'delays', ConsistentRead: true }))
    return Number(Items[0]?.leaseCounter?.N)
  }
  const first = await counter()
  while ((await counter()) < first + times);
  dynamodb.destroy()
}

describe('a consumer whose handler fails, over the local service', () => {
  it('finds the poison in the batch, dead-letters it, and completes the shard around it, in mid-aggregate too', async () => {
    await using harness = await StreamHarness.start(1)
    await harness.put('a', '0')
    await harness.putAggregate('a', ['1', 'poison', '2', '3'])
    await harness.put('a', '4')
    const consumer = harness.consumer({ retry: { baseMs: 1, maxMs: 2 } })
    const events = recorded(consumer)
    const got: string[] = []
    const dead: string[] = []
    const error = new Error('cannot be parsed')
    await consumer.run(
      {
        eachBatch(records) {
          const texts = records.map(text)
          if (texts.includes('poison')) throw error
          got.push(...texts)
          if (got.length === 5) void consumer.stop()
        },
      },
      { onFailure: { attempts: 2, giveUp: { deadLetter: (record) => void dead.push(text(record)) } } },
    )
    expect(got).toEqual(['0', '1', '2', '3', '4'])
    expect(dead).toEqual(['poison'])
    expect(events.filter(({ type }) => type === 'record-dead-lettered')).toMatchObject([
      { subSequenceNumber: 1, partitionKey: 'a', error },
    ])
    const again = harness.consumer()
    const run = again.run({ eachRecord: () => expect.unreachable() })
    await again.events.next('batch-completed')
    await again.stop()
    await run
  })

  it("'stop-shard': the shard stays where it is, with this worker; a restart begins at the record", async () => {
    await using harness = await StreamHarness.start(1)
    for (const each of ['0', '1', '2']) await harness.put('a', each)
    const one = harness.consumer({ retry: { baseMs: 1, maxMs: 2 } })
    const events = recorded(one)
    const calls: string[] = []
    const run = one.run(
      {
        eachRecord(record) {
          calls.push(text(record))
          if (text(record) === '1') throw new Error('no')
        },
      },
      { onFailure: { attempts: 3, giveUp: 'stop-shard' } },
    )
    expect(await one.events.next('shard-blocked')).toMatchObject({ partitionKey: 'a', subSequenceNumber: 0 })
    // Another worker looks for shards for longer than the failover time (three renewals), and gets none.
    const got = new Deliveries()
    const two = harness.consumer()
    const taken = recorded(two)
    const other = two.run(got.by('two'))
    await two.events.next('consumer-started')
    await renewed(harness, 5)
    expect(taken.filter(({ type }) => type === 'lease-taken')).toEqual([])
    expect(calls).toEqual(['0', '1', '1', '1'])
    await one.stop()
    await run
    expect(events.filter(({ type }) => type === 'shard-stopped')).toMatchObject([{ outcome: 'released' }])
    await got.until((all) => all.length === 2)
    expect(got.texts).toEqual(['1', '2'])
    await two.stop()
    await other
  })

  it('keys side by side: a key that waits holds back no other, and all arrive in their order', async () => {
    await using harness = await StreamHarness.start(1)
    for (let i = 0; i < 4; i++) for (const key of ['a', 'b', 'c']) await harness.put(key, `${key}${i}`)
    const consumer = harness.consumer()
    let inHand = 0
    let most = 0
    const done: string[] = []
    let others: (() => void) | undefined
    const othersDone = new Promise<void>((resolve) => {
      others = resolve
    })
    await consumer.run(
      {
        async eachRecord(record) {
          most = Math.max(most, ++inHand)
          if (text(record) === 'a0') await othersDone
          else await new Promise((resolve) => setImmediate(resolve))
          inHand--
          done.push(text(record))
          if (done.length === 8) others!()
          if (done.length === 12) void consumer.stop()
        },
      },
      { concurrency: 2, order: 'key' },
    )
    expect(most).toBe(2)
    expect(done.slice(0, 8).toSorted()).toEqual(['b0', 'b1', 'b2', 'b3', 'c0', 'c1', 'c2', 'c3'])
    for (const key of ['a', 'b', 'c']) expect(done.filter((each) => each[0] === key)).toEqual([0, 1, 2, 3].map((i) => key + i))
  })
})
