import { InvalidOptionError } from '@shardwise/core/options'
import { describe, expect, it } from 'vitest'
import { type ConsumerOptions, checkOptions } from './consumer-options.js'

const REQUIRED = { stream: 'flights', applicationName: 'delays' }
const ARN = 'arn:aws:kinesis:us-east-1:123456789012:stream/flights/consumer/delays:1525898737'
const OTHER = 'arn:aws:kinesis:us-east-1:123456789012:stream/trains/consumer/delays:1525898737'
const PORT = { getRecords: () => {}, registerStreamConsumer: () => {}, describeStreamConsumer: () => {} }

describe('retrieval', () => {
  it.each<{ given: object; settings: object }>([
    { given: {}, settings: { is: 'polling' } },
    { given: { retrieval: undefined }, settings: { is: 'polling' } },
    { given: { retrieval: 'polling' }, settings: { is: 'polling' } },
    {
      given: { retrieval: { fanOut: {} } },
      settings: { is: 'fan-out', consumerName: 'delays', consumerArn: undefined, register: true, fallbackToPolling: false },
    },
    {
      given: { retrieval: { fanOut: { consumerName: 'late', register: false, fallbackToPolling: true } } },
      settings: { is: 'fan-out', consumerName: 'late', consumerArn: undefined, register: false, fallbackToPolling: true },
    },
    { given: { retrieval: { fanOut: { consumerArn: ARN } } }, settings: { is: 'fan-out', consumerArn: ARN } },
  ])('$given', ({ given, settings }) => {
    expect(checkOptions({ ...REQUIRED, ...given } as ConsumerOptions).retrieval).toMatchObject(settings)
  })

  it('each of several streams may have its consumer', () => {
    const streams = [{ stream: 'flights', consumerArn: ARN }, 'trains']
    const { streams: checked } = checkOptions({ applicationName: 'delays', streams, retrieval: { fanOut: {} } })
    expect(checked.map(({ consumerArn }) => consumerArn)).toEqual([ARN, undefined])
  })

  it.each<{ given: object; option: string; message: string }>([
    { given: { retrieval: 'fanOut' }, option: 'retrieval', message: "'polling' or { fanOut" },
    { given: { retrieval: { fanOut: true } }, option: 'retrieval.fanOut', message: '`retrieval.fanOut` must be { consumerName' },
    { given: { retrieval: { fanout: {} } }, option: 'retrieval.fanout', message: 'no such option' },
    { given: { retrieval: { fanOut: { name: 'x' } } }, option: 'retrieval.fanOut.name', message: 'no such option' },
    { given: { retrieval: { fanOut: { consumerName: 'a b' } } }, option: 'retrieval.fanOut.consumerName', message: '1 to 128' },
    { given: { retrieval: { fanOut: { register: 'yes' } } }, option: 'retrieval.fanOut.register', message: 'true or false' },
    { given: { retrieval: { fanOut: { consumerArn: 'delays' } } }, option: 'retrieval.fanOut.consumerArn', message: 'the ARN' },
    { given: { retrieval: { fanOut: { consumerArn: OTHER } } }, option: 'retrieval.fanOut.consumerArn', message: 'of flights' },
    {
      given: { retrieval: { fanOut: { consumerArn: ARN, register: true } } },
      option: 'retrieval.fanOut.register',
      message: 'absent where `consumerArn` is given',
    },
    {
      given: { stream: undefined, streams: ['flights'], retrieval: { fanOut: { consumerArn: ARN } } },
      option: 'retrieval.fanOut.consumerArn',
      message: 'each of `streams` has its own',
    },
    {
      given: { stream: undefined, streams: [{ stream: 'flights', consumerArn: OTHER }], retrieval: { fanOut: {} } },
      option: 'streams[0].consumerArn',
      message: 'of flights',
    },
    {
      given: { stream: undefined, streams: [{ stream: 'flights', consumerArn: ARN }] },
      option: 'consumerArn',
      message: 'not { fanOut }',
    },
    { given: { kinesis: PORT, retrieval: { fanOut: {} } }, option: 'kinesis', message: 'subscribeToShard' },
  ])('refuses $given', ({ given, option, message }) => {
    const check = (): unknown => checkOptions({ ...REQUIRED, ...given } as ConsumerOptions)
    expect(check).toThrow(InvalidOptionError)
    expect(check).toThrow(message)
    expect(check).toThrow(expect.objectContaining({ option }))
  })
})
