import { expect, test } from 'vitest'
import { ConsumerRanError, ConsumerStartError } from './consumer-error.js'

test('a start that failed says whose, why, and keeps what caused it', () => {
  const cause = new Error('Requested resource not found')
  const error = new ConsumerStartError({ stream: 'orders', applicationName: 'billing' }, 'the stream does not exist', { cause })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: 'ConsumerStartError',
    code: 'ERR_SHARDWISE_CONSUMER_START',
    stream: 'orders',
    applicationName: 'billing',
    message: 'Consumer of stream orders (application billing) cannot start: the stream does not exist',
    cause,
  })
})

test('without a cause it has none, not an undefined one', () => {
  expect(new ConsumerStartError({ stream: 'orders', applicationName: 'billing' }, 'x')).not.toHaveProperty('cause')
})

test('a second run says what to do', () => {
  expect(new ConsumerRanError()).toMatchObject({
    name: 'ConsumerRanError',
    code: 'ERR_SHARDWISE_CONSUMER_RAN',
    message: expect.stringContaining('make a new Consumer'),
  })
})
