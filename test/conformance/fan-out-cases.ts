import {
  type Consumer,
  DeleteStreamCommand,
  DeregisterStreamConsumerCommand,
  DescribeStreamConsumerCommand,
  ListStreamConsumersCommand,
  ListTagsForResourceCommand,
  RegisterStreamConsumerCommand,
  SplitShardCommand,
  type StartingPosition,
  SubscribeToShardCommand,
  type SubscribeToShardEvent,
} from '@aws-sdk/client-kinesis'
import { expect } from 'vitest'
import type { ConformanceCase } from './conformance-case.js'
import type { ServiceUnderTest } from './service-under-test.js'

const SHARD = 'shardId-000000000000'

async function streamArn(service: ServiceUnderTest, StreamName: string): Promise<string> {
  return (await service.summary(StreamName)).StreamARN!
}

/** Registers a consumer and waits until it is ACTIVE. */
async function register(service: ServiceUnderTest, StreamName: string, ConsumerName = 'reader'): Promise<Consumer> {
  const StreamARN = await streamArn(service, StreamName)
  const { Consumer } = await unthrottled(service, () =>
    service.client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName })),
  )
  const describe = new DescribeStreamConsumerCommand({ ConsumerARN: Consumer!.ConsumerARN })
  for (;;) {
    const { ConsumerDescription } = await unthrottled(service, () => service.client.send(describe))
    if (ConsumerDescription?.ConsumerStatus === 'ACTIVE') return ConsumerDescription
    await service.pause()
  }
}

/** Five consumers a second may be registered in an account, and five be CREATING. */
async function unthrottled<T>(service: ServiceUnderTest, call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if ((error as Error).name !== 'LimitExceededException') throw error
      await service.wait(250)
    }
  }
}

async function subscribe(
  service: ServiceUnderTest,
  consumer: Consumer,
  position: StartingPosition = { Type: 'TRIM_HORIZON' },
  ShardId = SHARD,
): Promise<AsyncGenerator<SubscribeToShardEvent>> {
  const { EventStream } = await service.client.send(
    new SubscribeToShardCommand({ ConsumerARN: consumer.ConsumerARN, ShardId, StartingPosition: position }),
  )
  return (async function* () {
    for await (const { SubscribeToShardEvent } of EventStream!)
      if (SubscribeToShardEvent !== undefined) yield SubscribeToShardEvent
  })()
}

/** Events until they have brought so many records. Quiet events are passed over. */
async function read(
  events: AsyncGenerator<SubscribeToShardEvent>,
  count: number,
): Promise<{ readonly texts: string[]; readonly last: SubscribeToShardEvent }> {
  const texts: string[] = []
  for (;;) {
    const { value, done } = await events.next()
    if (done === true) throw new Error(`The subscription ended after ${texts.length} records of ${count}`)
    texts.push(...value.Records!.map(({ Data }) => new TextDecoder().decode(Data)))
    if (texts.length >= count) return { texts, last: value }
  }
}

export const fanOutCases: readonly ConformanceCase[] = [
  {
    key: 'consumers',
    title: 'a consumer is described, listed, counted and deregistered',
    async run(service) {
      const StreamName = await service.stream()
      const StreamARN = await streamArn(service, StreamName)
      const consumer = await register(service, StreamName)
      expect(consumer).toMatchObject({ ConsumerName: 'reader', ConsumerStatus: 'ACTIVE', StreamARN })
      expect(consumer.ConsumerARN).toMatch(new RegExp(`^${StreamARN}/consumer/reader:\\d+$`))
      expect(consumer.ConsumerCreationTimestamp).toBeInstanceOf(Date)
      const byName = new DescribeStreamConsumerCommand({ StreamARN, ConsumerName: 'reader' })
      expect((await service.client.send(byName)).ConsumerDescription).toEqual(consumer)
      const { Consumers } = await service.client.send(new ListStreamConsumersCommand({ StreamARN }))
      expect(Consumers).toMatchObject([{ ConsumerName: 'reader', ConsumerARN: consumer.ConsumerARN }])
      expect((await service.summary(StreamName)).ConsumerCount).toBe(1)
      const again = service.client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'reader' }))
      expect((await service.refusal(again)).name).toBe('ResourceInUseException')
      await service.client.send(new DeregisterStreamConsumerCommand({ ConsumerARN: consumer.ConsumerARN }))
      for (;;) {
        if ((await service.client.send(new ListStreamConsumersCommand({ StreamARN }))).Consumers!.length === 0) break
        await service.pause()
      }
      expect((await service.refusal(service.client.send(byName))).name).toBe('ResourceNotFoundException')
    },
  },
  {
    key: 'consumer-keeps-stream',
    title: 'a stream with consumers is deleted only with them',
    async run(service) {
      const StreamName = await service.stream()
      await register(service, StreamName)
      const refusal = await service.refusal(service.client.send(new DeleteStreamCommand({ StreamName })))
      expect(refusal).toMatchObject({ name: 'ResourceInUseException', status: 400 })
      await service.client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }))
    },
  },
  {
    key: 'consumer-tags',
    title: 'a consumer has tags of its own',
    async run(service) {
      const StreamName = await service.stream()
      const StreamARN = await streamArn(service, StreamName)
      const input = { StreamARN, ConsumerName: 'tagged', Tags: { team: 'flights' } }
      const { Consumer } = await unthrottled(service, () => service.client.send(new RegisterStreamConsumerCommand(input)))
      const { Tags } = await service.client.send(new ListTagsForResourceCommand({ ResourceARN: Consumer!.ConsumerARN }))
      expect(Tags, 'tags').toEqual([{ Key: 'team', Value: 'flights' }])
    },
  },
  {
    key: 'subscribe',
    title: 'a subscription brings what is there and what comes, with the number to go on after',
    async run(service) {
      const StreamName = await service.stream()
      const consumer = await register(service, StreamName)
      await service.put(StreamName, ['a', 'b'])
      const events = await subscribe(service, consumer)
      expect((await read(events, 2)).texts).toEqual(['a', 'b'])
      await service.put(StreamName, ['c'])
      const { texts, last } = await read(events, 1)
      expect(texts).toEqual(['c'])
      expect(last.ContinuationSequenceNumber).toMatch(/^[1-9]\d{55}$/)
      expect(last.MillisBehindLatest).toBeGreaterThanOrEqual(0)
      await events.return(undefined)
      const other = await register(service, StreamName, 'other')
      await service.put(StreamName, ['d'])
      const on = await subscribe(service, other, {
        Type: 'AFTER_SEQUENCE_NUMBER',
        SequenceNumber: last.ContinuationSequenceNumber,
      })
      expect((await read(on, 1)).texts).toEqual(['d'])
      await on.return(undefined)
    },
  },
  {
    key: 'quiet-number',
    title: 'an event without records has a number to go on after, and nothing is missed',
    async run(service) {
      const StreamName = await service.stream()
      const consumer = await register(service, StreamName)
      const events = await subscribe(service, consumer, { Type: 'LATEST' })
      const { value } = await events.next()
      expect(value.Records).toEqual([])
      expect(value.ContinuationSequenceNumber, 'number').toMatch(/^[1-9]\d{55}$/)
      await events.return(undefined)
      const other = await register(service, StreamName, 'other')
      await service.put(StreamName, ['a'])
      const on = await subscribe(service, other, {
        Type: 'AFTER_SEQUENCE_NUMBER',
        SequenceNumber: value.ContinuationSequenceNumber,
      })
      expect((await read(on, 1)).texts).toEqual(['a'])
      await on.return(undefined)
    },
  },
  {
    key: 'subscribe-refusals',
    title: 'who names no consumer, no shard or no position is refused before there is a stream of events',
    async run(service) {
      const StreamName = await service.stream()
      const consumer = await register(service, StreamName)
      const refused = async (...input: Parameters<typeof subscribe>) => {
        const { name, status } = await service.refusal(subscribe(...input))
        return `${name} ${status}`
      }
      const nobody = { ...consumer, ConsumerARN: `${consumer.ConsumerARN}0` }
      expect(await refused(service, nobody)).toBe('ResourceNotFoundException 400')
      expect(await refused(service, consumer, { Type: 'LATEST' }, 'shardId-000000000009')).toBe('ResourceNotFoundException 400')
      expect(await refused(service, consumer, { Type: 'AFTER_SEQUENCE_NUMBER' })).toBe('InvalidArgumentException 400')
    },
  },
  {
    key: 'subscribe-twice',
    title: 'within five seconds nobody else gets the shard, afterwards the newcomer does',
    async run(service) {
      const StreamName = await service.stream()
      const consumer = await register(service, StreamName)
      const first = await subscribe(service, consumer)
      const lost = (async () => {
        for await (const _ of first);
        return 'ended'
      })().catch(({ name }: Error) => name)
      // The one a second comes first, then the five seconds.
      const refusal = await service.refusal(subscribe(service, consumer))
      expect(['LimitExceededException', 'ResourceInUseException']).toContain(refusal.name)
      const seen = new Set<string>()
      let second: AsyncGenerator<SubscribeToShardEvent> | undefined
      while (second === undefined) {
        await service.wait(1100)
        second = await subscribe(service, consumer).catch(({ name }: Error) => void seen.add(name))
      }
      expect([...seen]).toEqual(['ResourceInUseException'])
      // "Expires or fails", says the API reference.
      expect(['ended', 'ResourceInUseException']).toContain(await lost)
      await service.put(StreamName, ['a'])
      expect((await read(second, 1)).texts).toEqual(['a'])
      await second.return(undefined)
    },
  },
  {
    key: 'subscribe-shard-end',
    title: 'at the end of a shard come its children and no number, and then the end',
    async run(service) {
      const StreamName = await service.stream()
      const consumer = await register(service, StreamName)
      const events = await subscribe(service, consumer)
      await service.put(StreamName, ['a'])
      expect((await read(events, 1)).texts).toEqual(['a'])
      const NewStartingHashKey = String(2n ** 127n)
      await service.client.send(new SplitShardCommand({ StreamName, ShardToSplit: SHARD, NewStartingHashKey }))
      await service.active(StreamName)
      let last: SubscribeToShardEvent | undefined
      for (let event = await events.next(); event.done !== true; event = await events.next()) last = event.value
      expect(last?.ChildShards?.map(({ ShardId }) => ShardId).sort()).toEqual(['shardId-000000000001', 'shardId-000000000002'])
      expect(last?.ContinuationSequenceNumber).toBeUndefined()
    },
  },
]
