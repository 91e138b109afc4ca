import { KinesisClient } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { startKinesisLocal } from './kinesis-local-process.js'
import { kinesisServiceSuite } from './kinesis-service.suite.js'
import type { Difference } from './service-under-test.js'

/** Of kinesis-local 0.6.2. The service's side of each is in the case; what is not AWS' documented word is marked in README.md. */
const differences: Readonly<Record<string, Difference>> = {
  'max-record-size-shown': {
    reason: 'the summary has no MaxRecordSizeInKiB until it was set',
    shows: /MaxRecordSizeInKiB: expected undefined to be 1024/,
  },
  'no-such-stream': { reason: 'it names the ARN', shows: /expected 'Stream arn arn:aws:kinesis:/ },
  validation: {
    reason: 'a broken constraint is an InvalidArgumentException',
    shows: /expected 'InvalidArgumentException 400' to be 'ValidationException 400'/,
  },
  'service-managed': {
    reason: 'it does not know record distribution strategies',
    shows: /RecordDistributionStrategy: expected undefined to be 'AUTO'/,
  },
  'malformed-hash-key': {
    reason: 'a hash key that is no number is its own failure, 500',
    shows: /expected 'Unknown 500' to be 'ValidationException 400'/,
  },
  'garbage-iterator': {
    reason: 'what is no iterator is its own failure, 500',
    shows: /expected 'Unknown 500' to be 'InvalidArgumentException 400'/,
  },
  'five-hundred-records': { reason: 'it takes any number of records', shows: /The service did not refuse/ },
  'oversize-refuses-request': { reason: 'it fails the one record and takes the others', shows: /The service did not refuse/ },
  'key-counts': { reason: 'it counts the data only', shows: /The service did not refuse/ },
  'request-bytes': { reason: 'it takes any number of bytes, and half a minute for these' },
  'write-quota': { reason: 'it never throttles', shows: /throttled records: expected 0 to be greater than 0/ },
  'read-quota': { reason: 'it never throttles', shows: /refused calls: expected 0 to be greater than 0/ },
  'exact-ranges': { reason: 'boundaries are one too low where the count divides 2^128', shows: /to deeply equal/ },
  'child-numbers': {
    reason: 'children begin below their parent’s last number',
    shows: /begins above the parent’s end: expected false to be true/,
  },
  'split-bounds': { reason: 'it splits at a shard’s own bounds', shows: /The service did not refuse/ },
  'at-trim-horizon': { reason: 'AT_TRIM_HORIZON gives every shard', shows: /expected '0,1,2' to be '0'/ },
  'consumer-tags': { reason: 'it forgets the tags of RegisterStreamConsumer', shows: /tags: expected \[\] to deeply equal/ },
  'subscribe-refusals': {
    reason: 'it refuses by an exception in a stream of events, with 200',
    shows: /^ResourceNotFoundException: ConsumerARN/,
  },
  'subscribe-twice': {
    reason: 'it refuses by an exception in a stream of events, for as long as there is a subscription',
    shows: /^ResourceInUseException: Another active subscription/,
  },
  'subscribe-shard-end': { reason: 'it never reports the end of a shard, and goes on with empty events' },
  'scale-uniform': { reason: 'four to three shards leaves one of twice the size', shows: /ranges: expected .* to deeply equal/ },
}

/**
 * A second opinion on what Kinesis does, written by others. Over HTTP/1.1 only: it breaks HTTP/2 streams whose session the client has
 * announced to close.
 */
kinesisServiceSuite({
  name: 'kinesis-local',
  differences,
  timeoutMs: 120_000,
  pollMs: 50,
  streamPrefix: 'conformance',
  async start() {
    const service = await startKinesisLocal()
    const client = new KinesisClient({
      endpoint: service.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      requestHandler: new NodeHttpHandler(),
      maxAttempts: 1,
    })
    return {
      client,
      async stop() {
        client.destroy()
        await service.stop()
      },
    }
  },
})
