import { Agent } from 'node:https'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import type { FanOutPort, ShardSubscription } from '@shardwise/core/fan-out-port'
import { classifyFailure } from '@shardwise/core/service-error'
import { connectKinesis, type KinesisConnectionOptions } from '@shardwise/core/transport'
import { type LocalOptions, type LocalServices, startLocal } from '@shardwise/local'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, describe, expect, test } from 'vitest'
import { CREDENTIALS, REGION } from './local-account.js'

const open: (() => unknown)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

const SHARDS = 64
const shardId = (index: number): string => `shardId-${String(index).padStart(12, '0')}`

async function service(options: LocalOptions = {}): Promise<LocalServices> {
  const local = await startLocal({
    dynamodb: false,
    transitionMs: { create: 0, consumer: 0 },
    shardLimit: SHARDS,
    credentials: CREDENTIALS,
    ...options,
  })
  open.push(() => local.stop())
  local.model.call('CreateStream', { StreamName: 'flights', ShardCount: SHARDS })
  return local
}

function connect(options: KinesisConnectionOptions): FanOutPort {
  const connection = connectKinesis({ region: REGION, credentials: CREDENTIALS, ...options })
  open.push(() => connection.close())
  return connection.fanOut
}

function putInEach(local: LocalServices, data: Uint8Array): void {
  const { Shards } = local.model.call('ListShards', { StreamName: 'flights' }) as {
    Shards: { HashKeyRange: { StartingHashKey: string } }[]
  }
  for (const { HashKeyRange } of Shards) {
    const ExplicitHashKey = HashKeyRange.StartingHashKey
    local.model.call('PutRecord', { StreamName: 'flights', PartitionKey: ExplicitHashKey, ExplicitHashKey, Data: data })
  }
}

async function subscribed(local: LocalServices, fanOut: FanOutPort): Promise<ShardSubscription[]> {
  const { StreamDescriptionSummary } = local.model.call('DescribeStreamSummary', { StreamName: 'flights' }) as {
    StreamDescriptionSummary: { StreamARN: string }
  }
  const name = { StreamARN: StreamDescriptionSummary.StreamARN, ConsumerName: 'departures' }
  await fanOut.registerStreamConsumer(name)
  const { ConsumerDescription } = await fanOut.describeStreamConsumer(name)
  expect(ConsumerDescription).toMatchObject({ ConsumerStatus: 'ACTIVE', ConsumerCreationTimestamp: expect.any(Date) as Date })
  const ConsumerARN = ConsumerDescription?.ConsumerARN ?? ''
  return Promise.all(
    Array.from({ length: SHARDS }, (_, index) =>
      fanOut.subscribeToShard({ ConsumerARN, ShardId: shardId(index), StartingPosition: { Type: 'TRIM_HORIZON' } }),
    ),
  )
}

const certificateOf = (local: LocalServices): { readonly ca: string } => ({ ca: local.certificate ?? '' })
const clients: [string, (local: LocalServices) => KinesisConnectionOptions][] = [
  ['our client, JSON', (local) => ({ endpoint: local.kinesisEndpoint, wire: { reads: 'json' } })],
  ['our client, CBOR', (local) => ({ endpoint: local.kinesisEndpoint, wire: { reads: 'cbor' } })],
  ["a user's client with the stock handler", (local) => ({ client: foreign(local) })],
  ["a user's client over HTTP/1.1", (local) => ({ client: foreign(local, new NodeHttpHandler()) })],
]

function foreign(local: LocalServices, requestHandler?: NodeHttpHandler): KinesisClient {
  const client = new KinesisClient({
    endpoint: local.kinesisEndpoint,
    region: REGION,
    credentials: CREDENTIALS,
    ...(requestHandler && { requestHandler }),
  })
  open.push(() => client.destroy())
  return client
}

describe.each(clients)('%s', (_name, optionsFor) => {
  test('each shard has a subscription, signed as all else, and its records arrive in it', async () => {
    const local = await service()
    const subscriptions = await subscribed(local, connect(optionsFor(local)))
    const data = Buffer.from([0, 255, 1])
    putInEach(local, data)
    for (const subscription of subscriptions) {
      const event = await subscription.next()
      expect(event?.Records).toMatchObject([{ Data: data, ApproximateArrivalTimestamp: expect.any(Date) as Date }])
    }
  })
})

describe('TLS', () => {
  test("with the settings of a user's request handler", async () => {
    const local = await service({ tls: 'self-signed' })
    const client = foreign(local, new NodeHttpHandler({ httpsAgent: new Agent(certificateOf(local)) }))
    const [first] = await subscribed(local, connect({ client }))
    putInEach(local, Buffer.from('x'))
    expect((await first?.next())?.Records).toHaveLength(1)
  })

  test('a certificate that is not trusted is refused, and said to be', async () => {
    const local = await service({ tls: 'self-signed' })
    const subscribing = connect({ endpoint: local.kinesisEndpoint }).subscribeToShard({
      ConsumerARN: 'arn:aws:kinesis:eu-west-1:123456789012:stream/flights/consumer/departures:1',
      ShardId: shardId(0),
      StartingPosition: { Type: 'LATEST' },
    })
    const error = await subscribing.then(
      () => expect.fail('should have been rejected'),
      (reason: unknown) => reason,
    )
    const failed = classifyFailure(error)
    expect(failed).toMatchObject({ kind: 'connection', retryable: false, written: 'no' })
    expect(failed.advice).toContain(`The TLS certificate at ${local.kinesisEndpoint.replace('https://', '')} is not trusted`)
  })
})
