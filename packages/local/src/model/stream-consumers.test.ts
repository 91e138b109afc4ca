import { ManualClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { describe, expect, it } from 'vitest'
import { KinesisModel, KinesisModelError, type KinesisModelOptions } from './index.js'

const ARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/s'

function start(options: KinesisModelOptions = {}) {
  const clock = new ManualClock()
  const model = new KinesisModel({ clock, random: seededRandom(1), transitionMs: { create: 0, consumer: 500 }, ...options })
  // biome-ignore lint/suspicious/noExplicitAny: answers are read field by field
  const call = (operation: string, input: object = {}): any => model.call(operation, input)
  const register = (ConsumerName: string, StreamARN = ARN): string =>
    call('RegisterStreamConsumer', { StreamARN, ConsumerName }).Consumer.ConsumerARN
  const statuses = (): object =>
    Object.fromEntries(
      call('ListStreamConsumers', { StreamARN: ARN }).Consumers.map((c: { ConsumerName: string; ConsumerStatus: string }) => [
        c.ConsumerName,
        c.ConsumerStatus,
      ]),
    )
  const refusal = (operation: string, input: object): string => {
    try {
      model.call(operation, input)
    } catch (error) {
      if (error instanceof KinesisModelError) return error.code
      throw error
    }
    throw new Error(`${operation} was not refused`)
  }
  for (const StreamName of ['s', 't']) call('CreateStream', { StreamName, ShardCount: 1 })
  return { clock, model, call, register, statuses, refusal }
}

describe('the life of a consumer', () => {
  it('goes from CREATING to ACTIVE to DELETING to nothing, by the clock alone', () => {
    const { clock, call, register, statuses } = start()
    const ConsumerARN = register('a')
    expect(ConsumerARN).toBe(`${ARN}/consumer/a:1767225600`)
    expect(statuses()).toEqual({ a: 'CREATING' })
    clock.advance(499)
    expect(statuses()).toEqual({ a: 'CREATING' })
    clock.advance(1)
    const description = {
      ConsumerName: 'a',
      ConsumerARN,
      ConsumerStatus: 'ACTIVE',
      ConsumerCreationTimestamp: new Date(1_767_225_600_000),
      StreamARN: ARN,
    }
    for (const reference of [
      { ConsumerARN },
      { StreamARN: ARN, ConsumerName: 'a' },
      { ConsumerARN, StreamARN: ARN, ConsumerName: 'a' },
    ]) {
      expect(call('DescribeStreamConsumer', reference).ConsumerDescription).toEqual(description)
    }
    expect(call('DeregisterStreamConsumer', { ConsumerARN })).toEqual({})
    expect(statuses()).toEqual({ a: 'DELETING' })
    clock.advance(499)
    expect(call('DeregisterStreamConsumer', { ConsumerARN })).toEqual({})
    clock.advance(1)
    expect(statuses()).toEqual({})
  })

  it('never gives an ARN twice', () => {
    const { register, call } = start({ transitionMs: { create: 0, consumer: 0 } })
    const arns = [1, 2, 3].map(() => {
      const ConsumerARN = register('a')
      call('DeregisterStreamConsumer', { ConsumerARN })
      return ConsumerARN
    })
    expect(new Set(arns).size).toBe(3)
  })

  it('a summary counts them, and a stream that has some is deleted with them or not at all', () => {
    const { clock, call, register, statuses, refusal } = start()
    register('a')
    clock.advance(500)
    register('b')
    expect(call('DescribeStreamSummary', { StreamName: 's' }).StreamDescriptionSummary.ConsumerCount).toBe(2)
    for (const more of [{}, { EnforceConsumerDeletion: false }]) {
      expect(refusal('DeleteStream', { StreamName: 's', ...more })).toBe('ResourceInUseException')
    }
    call('DeleteStream', { StreamName: 's', EnforceConsumerDeletion: true })
    expect(statuses()).toEqual({ a: 'DELETING', b: 'DELETING' })
    clock.advance(100)
    expect(refusal('ListStreamConsumers', { StreamARN: ARN })).toBe('ResourceNotFoundException')
  })

  it('has tags, given with it or later, apart from those of its stream', () => {
    const { call } = start()
    const { Consumer } = call('RegisterStreamConsumer', { StreamARN: ARN, ConsumerName: 'a', Tags: { team: 'x', tier: '1' } })
    const ResourceARN = Consumer.ConsumerARN
    call('TagResource', { ResourceARN, Tags: { tier: '2' } })
    call('UntagResource', { ResourceARN, TagKeys: ['team'] })
    expect(call('ListTagsForResource', { ResourceARN }).Tags).toEqual([{ Key: 'tier', Value: '2' }])
    expect(call('ListTagsForResource', { ResourceARN: ARN }).Tags).toEqual([])
  })
})

describe('refusals', () => {
  it.each<[string, string, object, string]>([
    ['a second one of the name', 'RegisterStreamConsumer', { StreamARN: ARN, ConsumerName: 'a' }, 'ResourceInUseException'],
    ['on no stream', 'RegisterStreamConsumer', { StreamARN: `${ARN}x`, ConsumerName: 'a' }, 'ResourceNotFoundException'],
    ['without a name', 'RegisterStreamConsumer', { StreamARN: ARN }, 'ValidationException'],
    ['with a bad name', 'RegisterStreamConsumer', { StreamARN: ARN, ConsumerName: 'a/b' }, 'ValidationException'],
    ['of nothing', 'DescribeStreamConsumer', {}, 'InvalidArgumentException'],
    ['of a name without a stream', 'DescribeStreamConsumer', { ConsumerName: 'a' }, 'InvalidArgumentException'],
    ['of a name that is not there', 'DescribeStreamConsumer', { StreamARN: ARN, ConsumerName: 'z' }, 'ResourceNotFoundException'],
    [
      'of an ARN that is not there',
      'DescribeStreamConsumer',
      { ConsumerARN: `${ARN}/consumer/a:1` },
      'ResourceNotFoundException',
    ],
    ['of what is no ARN', 'DeregisterStreamConsumer', { ConsumerARN: ARN }, 'ValidationException'],
    [
      'of an ARN and another name',
      'DeregisterStreamConsumer',
      { ConsumerARN: `${ARN}/consumer/a:1767225600`, StreamARN: ARN, ConsumerName: 'b' },
      'InvalidArgumentException',
    ],
    ['a token of something else', 'ListStreamConsumers', { StreamARN: ARN, NextToken: 'x' }, 'InvalidArgumentException'],
    [
      'tags of a consumer that is not there',
      'ListTagsForResource',
      { ResourceARN: `${ARN}/consumer/z:1` },
      'ResourceNotFoundException',
    ],
  ])('%s: %s', (_, operation, input, code) => {
    const { register, refusal } = start()
    register('a')
    expect(refusal(operation, input)).toBe(code)
  })

  it('only an ACTIVE stream takes a consumer', () => {
    const { call, refusal } = start({ transitionMs: { create: 0, update: 100 } })
    call('SplitShard', { StreamName: 's', ShardToSplit: '0', NewStartingHashKey: '5' })
    expect(refusal('RegisterStreamConsumer', { StreamARN: ARN, ConsumerName: 'a' })).toBe('ResourceInUseException')
  })
})

describe('limits', () => {
  it('five consumers in creation at once, over all streams', () => {
    const { clock, register, refusal, model } = start()
    model.setQuotas('s', false)
    for (const name of ['a', 'b', 'c']) register(name)
    for (const name of ['a', 'b']) register(name, ARN.replace(/s$/, 't'))
    expect(refusal('RegisterStreamConsumer', { StreamARN: ARN, ConsumerName: 'd' })).toBe('LimitExceededException')
    clock.advance(500)
    register('d')
  })

  it('twenty consumers of a stream', () => {
    const { register, refusal, model } = start({ transitionMs: { create: 0, consumer: 0 } })
    model.setQuotas('s', false)
    for (let i = 0; i < 20; i++) register(`c${i}`)
    expect(refusal('RegisterStreamConsumer', { StreamARN: ARN, ConsumerName: 'd' })).toBe('LimitExceededException')
  })

  it.each([
    ['RegisterStreamConsumer', 5, (i: number) => ({ StreamARN: ARN, ConsumerName: `n${i}` })],
    ['DescribeStreamConsumer', 20, () => ({ StreamARN: ARN, ConsumerName: 'a' })],
    ['ListStreamConsumers', 5, () => ({ StreamARN: ARN })],
    ['DeregisterStreamConsumer', 5, () => ({ StreamARN: ARN, ConsumerName: 'a' })],
  ])('calls of %s: %d a second, unless quotas are off', (operation, perSecond, input) => {
    const { clock, call, register, refusal, model } = start({ transitionMs: { create: 0, consumer: 5 } })
    register('a')
    clock.advance(1000)
    for (let i = 0; i < perSecond; i++) {
      if (operation === 'RegisterStreamConsumer') clock.advance(5)
      call(operation, input(i))
    }
    expect(refusal(operation, input(perSecond))).toBe('LimitExceededException')
    model.setQuotas('s', false)
    call(operation, input(perSecond + 1))
  })

  it('a listing comes in pages, in order of name', () => {
    const { call, register, model, refusal, clock } = start({ transitionMs: { create: 0, consumer: 0 } })
    model.setQuotas('s', false)
    for (const name of ['b', 'a', 'c']) register(name)
    const list = (more: object) => call('ListStreamConsumers', { StreamARN: ARN, ...more })
    const first = list({ MaxResults: 2 })
    expect(first.Consumers.map((c: { ConsumerName: string }) => c.ConsumerName)).toEqual(['a', 'b'])
    const second = list({ NextToken: first.NextToken })
    expect(second.Consumers.map((c: { ConsumerName: string }) => c.ConsumerName)).toEqual(['c'])
    expect(second.NextToken).toBeUndefined()
    expect(list({ StreamCreationTimestamp: new Date(1_767_225_600_000) }).Consumers).toHaveLength(3)
    const of = (more: object) => refusal('ListStreamConsumers', { StreamARN: ARN, ...more })
    expect(of({ StreamCreationTimestamp: new Date(0) })).toBe('ResourceNotFoundException')
    expect(of({ StreamCreationTimestamp: new Date(0), NextToken: first.NextToken })).toBe('InvalidArgumentException')
    expect(refusal('ListStreamConsumers', { StreamARN: ARN.replace(/s$/, 't'), NextToken: first.NextToken })).toBe(
      'ResourceNotFoundException',
    )
    clock.advance(300_001)
    expect(of({ NextToken: first.NextToken })).toBe('ExpiredNextTokenException')
  })
})
