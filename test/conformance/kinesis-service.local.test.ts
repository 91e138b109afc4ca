import { KinesisClient } from '@aws-sdk/client-kinesis'
import { startLocal } from '@shardwise/local'
import { kinesisServiceSuite } from './kinesis-service.suite.js'

/** Over the SDK's own default handler, as most users will have it. */
kinesisServiceSuite({
  name: '@shardwise/local',
  differences: {},
  timeoutMs: 30_000,
  pollMs: 20,
  streamPrefix: 'conformance',
  async start() {
    const services = await startLocal({ dynamodb: false, transitionMs: { create: 20, delete: 20, update: 100, consumer: 20 } })
    const client = new KinesisClient({
      endpoint: services.kinesisEndpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      maxAttempts: 1,
    })
    return {
      client,
      async stop() {
        client.destroy()
        await services.stop()
      },
    }
  },
})
