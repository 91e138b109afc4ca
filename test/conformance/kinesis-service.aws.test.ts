import { KinesisClient } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { expect, it } from 'vitest'
import { kinesisServiceSuite } from './kinesis-service.suite.js'

const asked = process.env.SHARDWISE_AWS === '1'
const prefix = process.env.SHARDWISE_AWS_STREAM_PREFIX ?? ''

/** The service itself: costs money, takes the better part of an hour, and needs credentials, so only when asked for by name. */
if (!asked) {
  it.todo('real Kinesis runs only with SHARDWISE_AWS=1 and SHARDWISE_AWS_STREAM_PREFIX=<prefix of the streams it may make>')
} else if (!/^[a-zA-Z0-9_.-]{3,64}$/.test(prefix)) {
  it('needs SHARDWISE_AWS_STREAM_PREFIX', () => {
    expect.fail(`SHARDWISE_AWS=1 also needs SHARDWISE_AWS_STREAM_PREFIX, 3 to 64 letters, digits or _.-, it was '${prefix}'`)
  })
} else {
  kinesisServiceSuite({
    name: 'Amazon Kinesis Data Streams',
    differences: {},
    timeoutMs: 900_000,
    pollMs: 2000,
    streamPrefix: prefix,
    // Region and credentials come from the environment, as for every program of the user.
    start: async () => {
      const client = new KinesisClient({ requestHandler: new NodeHttpHandler(), maxAttempts: 1 })
      return { client, stop: async () => client.destroy() }
    },
  })
}
