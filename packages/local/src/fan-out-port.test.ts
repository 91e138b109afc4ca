import { ManualClock } from '@shardwise/core/clock'
import type { FanOutPort, ShardSubscription, SubscribeToShardEvent } from '@shardwise/core/fan-out-port'
import { seededRandom } from '@shardwise/core/random'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fanOutPort, KinesisModel } from './model/index.js'

const SHARD = 'shardId-000000000000'
let clock: ManualClock
let model: KinesisModel
let port: FanOutPort
let consumerArn: string

beforeEach(async () => {
  clock = new ManualClock()
  model = new KinesisModel({ clock, random: seededRandom(1), transitionMs: { create: 0, consumer: 0 } })
  port = fanOutPort(model, clock)
  model.call('CreateStream', { StreamName: 's', ShardCount: 1 })
  const StreamARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/s'
  const { Consumer } = await port.registerStreamConsumer({ StreamARN, ConsumerName: 'c' })
  consumerArn = Consumer!.ConsumerARN!
})

afterEach(() => expect(clock.pendingTimers).toBe(0))

function subscribe(signal?: AbortSignal): Promise<ShardSubscription> {
  return port.subscribeToShard(
    { ConsumerARN: consumerArn, ShardId: SHARD, StartingPosition: { Type: 'TRIM_HORIZON' } },
    signal && { signal },
  )
}

function put(text: string): void {
  model.call('PutRecord', { StreamName: 's', PartitionKey: 'k', Data: Buffer.from(text) })
}

const texts = (event: SubscribeToShardEvent | undefined) => event?.Records?.map(({ Data }) => Buffer.from(Data!).toString())

describe('fanOutPort', () => {
  it('describes, subscribes, and is woken by a put without any time passing', async () => {
    const { ConsumerDescription } = await port.describeStreamConsumer({ ConsumerARN: consumerArn })
    expect(ConsumerDescription).toMatchObject({ ConsumerName: 'c', ConsumerStatus: 'ACTIVE' })
    const subscription = await subscribe()
    const next = subscription.next()
    put('a')
    put('b')
    expect(texts(await next)).toEqual(['a', 'b'])
    subscription.close()
  })

  it('names errors as the SDK does, when it subscribes and later', async () => {
    const subscription = await subscribe()
    await expect(subscribe()).rejects.toMatchObject({ name: 'LimitExceededException', $metadata: { httpStatusCode: 400 } })
    const lost = expect(subscription.next()).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
    model.call('DeregisterStreamConsumer', { ConsumerARN: consumerArn })
    await lost
  })

  it('ends in good order after five minutes', async () => {
    const subscription = await subscribe()
    let quiet = 0
    const read = (async () => {
      while ((await subscription.next()) !== undefined) quiet++
    })()
    await clock.advanceAsync(300_000)
    await read
    expect(quiet).toBe(59)
    expect(await subscription.next()).toBeUndefined()
  })

  it('settles a pending next when it is closed, and rejects it with the reason of the signal', async () => {
    const closed = await subscribe()
    const pending = closed.next()
    closed.close()
    expect(await pending).toBeUndefined()
    clock.advance(5000)
    const controller = new AbortController()
    const aborted = await subscribe(controller.signal)
    const rejected = expect(aborted.next()).rejects.toBe('stopping')
    controller.abort('stopping')
    await rejected
    await expect(aborted.next()).rejects.toBe('stopping')
    await expect(subscribe(controller.signal)).rejects.toBe('stopping')
  })
})
