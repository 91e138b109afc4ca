import { ManualClock } from '@shardwise/core/clock'
import type { SubscribeToShardEvent } from '@shardwise/core/fan-out-port'
import { seededRandom } from '@shardwise/core/random'
import { beforeEach, describe, expect, it } from 'vitest'
import { KinesisModel, KinesisModelError, type ShardSubscription } from './index.js'

const ARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/s'
const SHARD = 'shardId-000000000000'
const MIB = 1024 * 1024
const HALF = String(2n ** 127n)

let clock: ManualClock
let model: KinesisModel
let ConsumerARN: string

beforeEach(() => {
  clock = new ManualClock()
  model = new KinesisModel({ clock, random: seededRandom(1), transitionMs: { create: 0, update: 100, consumer: 0 } })
  model.call('CreateStream', { StreamName: 's', ShardCount: 1 })
  ConsumerARN = register('c')
})

function register(ConsumerName: string): string {
  const { Consumer } = model.call('RegisterStreamConsumer', { StreamARN: ARN, ConsumerName }) as {
    Consumer: { ConsumerARN: string }
  }
  return Consumer.ConsumerARN
}

function subscribe(position: object = { Type: 'TRIM_HORIZON' }, more: object = {}): ShardSubscription {
  const input = { ConsumerARN, ShardId: SHARD, StartingPosition: position, ...more }
  return (model.call('SubscribeToShard', input) as { EventStream: ShardSubscription }).EventStream
}

function put(text: string): string {
  const input = { StreamName: 's', PartitionKey: 'k', Data: Buffer.from(text) }
  return (model.call('PutRecord', input) as { SequenceNumber: string }).SequenceNumber
}

function eventOf(subscription: ShardSubscription): SubscribeToShardEvent {
  const step = subscription.next()
  if (step.kind !== 'event') throw new Error(`Expected an event, got ${JSON.stringify(step)}`)
  return step.event
}

function textsOf({ Records = [] }: SubscribeToShardEvent): string[] {
  return Records.map(({ Data }) => Buffer.from(Data!).toString())
}

function refusal(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (error instanceof KinesisModelError) return error.code
    throw error
  }
  throw new Error('Not refused')
}

describe('where it begins', () => {
  it.each<[string, (numbers: string[]) => object, string[]]>([
    ['the oldest record', () => ({ Type: 'TRIM_HORIZON' }), ['a', 'b', 'c', 'new']],
    ['the next one', () => ({ Type: 'LATEST' }), ['new']],
    ['at a number', ([, b]) => ({ Type: 'AT_SEQUENCE_NUMBER', SequenceNumber: b }), ['b', 'c', 'new']],
    ['after a number', ([, b]) => ({ Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: b }), ['c', 'new']],
    ['at a time', () => ({ Type: 'AT_TIMESTAMP', Timestamp: new Date(1_767_225_600_000 + 10) }), ['b', 'c', 'new']],
  ])('%s', (_, position, expected) => {
    const numbers = ['a', 'b', 'c'].map((text) => {
      const number = put(text)
      clock.advance(10)
      return number
    })
    const subscription = subscribe(position(numbers))
    put('new')
    expect(textsOf(eventOf(subscription))).toEqual(expected)
  })

  it.each<[string, object, object, string]>([
    ['no position', {}, { StartingPosition: undefined }, 'ValidationException'],
    ['an unknown type', { Type: 'NOW' }, {}, 'ValidationException'],
    ['a number missing', { Type: 'AFTER_SEQUENCE_NUMBER' }, {}, 'InvalidArgumentException'],
    ['a number too many', { Type: 'LATEST', SequenceNumber: '1' }, {}, 'InvalidArgumentException'],
    ['no number of ours', { Type: 'AT_SEQUENCE_NUMBER', SequenceNumber: '1' }, {}, 'InvalidArgumentException'],
    ['a time missing', { Type: 'AT_TIMESTAMP' }, {}, 'InvalidArgumentException'],
    ['the future', { Type: 'AT_TIMESTAMP', Timestamp: new Date(2e12) }, {}, 'InvalidArgumentException'],
    ['no such shard', { Type: 'LATEST' }, { ShardId: 'shardId-000000000007' }, 'ResourceNotFoundException'],
    ['no such consumer', { Type: 'LATEST' }, { ConsumerARN: `${ARN}/consumer/x:1` }, 'ResourceNotFoundException'],
    ['a dry run', { Type: 'LATEST' }, { DryRun: true }, 'DryRunOperationException'],
  ])('refused: %s', (_, position, more, code) => {
    expect(refusal(() => subscribe(position, more))).toBe(code)
    // None of these counts against the limits.
    subscribe()
  })

  it('refused while the consumer is CREATING or DELETING', () => {
    model = new KinesisModel({ clock, transitionMs: { create: 0, consumer: 500 } })
    model.call('CreateStream', { StreamName: 's', ShardCount: 1 })
    ConsumerARN = register('c')
    expect(refusal(subscribe)).toBe('ResourceInUseException')
    clock.advance(500)
    subscribe()
    model.call('DeregisterStreamConsumer', { ConsumerARN })
    expect(refusal(subscribe)).toBe('ResourceInUseException')
    clock.advance(500)
    expect(refusal(subscribe)).toBe('ResourceNotFoundException')
  })
})

describe('what it says', () => {
  it('records with the number to go on after, and how far behind the reader is', () => {
    put('a')
    clock.advance(50)
    const number = put('b')
    const subscription = subscribe()
    expect(eventOf(subscription)).toMatchObject({ ContinuationSequenceNumber: number, MillisBehindLatest: 0 })
    model.setQuotas('s', false)
    for (let i = 0; i < 3; i++) put('x'.repeat(MIB - 1))
    clock.advance(30)
    expect(eventOf(subscription).MillisBehindLatest).toBe(30)
  })

  it('nothing, with the time of the next quiet event, unless something is put', () => {
    const subscription = subscribe()
    expect(subscription.next()).toEqual({ kind: 'wait', until: 5000 })
    clock.advance(2000)
    put('a')
    expect(textsOf(eventOf(subscription))).toEqual(['a'])
    expect(subscription.next()).toEqual({ kind: 'wait', until: 7000 })
    clock.advance(5000)
    const quiet = eventOf(subscription)
    expect(quiet).toMatchObject({ Records: [], MillisBehindLatest: 0 })
    expect(subscription.next()).toEqual({ kind: 'wait', until: 12_000 })
  })

  it.each(['AT_SEQUENCE_NUMBER', 'AFTER_SEQUENCE_NUMBER'])('a quiet event can be gone on from, %s its number', (Type) => {
    for (const before of [[], ['a']]) {
      before.map(put)
      const subscription = subscribe({ Type: 'LATEST' })
      clock.advance(5000)
      // Also when the time of day is set back to before the last record.
      clock.jumpWallTime(-7000)
      const { ContinuationSequenceNumber: SequenceNumber } = eventOf(subscription)
      put('b')
      put('c')
      expect(textsOf(eventOf(subscribe({ Type, SequenceNumber })))).toEqual(['b', 'c'])
      clock.advance(5000)
    }
  })

  it('no more than fits into an event, but a large record whole', () => {
    model.setQuotas('s', false)
    model.call('UpdateMaxRecordSize', { StreamARN: ARN, MaxRecordSizeInKiB: 4096 })
    clock.advance(100)
    put('x'.repeat(600_000))
    put('y'.repeat(600_000))
    put('z'.repeat(3 * MIB))
    const subscription = subscribe()
    expect([1, 2, 3].map(() => textsOf(eventOf(subscription)).map((text) => text[0]))).toEqual([['x'], ['y'], ['z']])
  })

  it('at most 2 MiB a second to a consumer, however often it subscribes, and no other has to wait for it', () => {
    model.setQuotas('s', false)
    for (let i = 0; i < 40; i++) put('x'.repeat(MIB - 1))
    model.setQuotas('s', true)
    const drain = (subscription: ShardSubscription, forMs: number): number => {
      let bytes = 0
      for (const end = clock.now() + forMs; clock.now() < end; ) {
        const step = subscription.next()
        if (step.kind === 'event') for (const { Data } of step.event.Records!) bytes += Data!.length + 1
        else if (step.kind === 'wait') clock.advance(Math.min(step.until, end) - clock.now())
        else throw new Error(step.kind)
      }
      return bytes / MIB
    }
    expect(drain(subscribe(), 5000)).toBe(12)
    expect(drain(subscribe(), 5000)).toBe(10)
    ConsumerARN = register('d')
    const other = subscribe()
    expect([1, 2, 3].map(() => other.next().kind)).toEqual(['event', 'event', 'event'])
    model.setQuotas('s', false)
    expect(other.next().kind).toBe('event')
  })

  it('goes on at the oldest record when what came before has expired', () => {
    put('a')
    const subscription = subscribe()
    clock.advance(100)
    expect(textsOf(eventOf(subscription))).toEqual(['a'])
    put('b')
    clock.advance(24 * 3_600_000 + 1)
    ConsumerARN = register('late')
    const late = subscribe()
    put('c')
    expect(textsOf(eventOf(late))).toEqual(['c'])
  })
})

describe('how it ends', () => {
  it('after five minutes, whatever there is still to send', () => {
    const subscription = subscribe()
    clock.advance(299_999)
    put('a')
    expect(textsOf(eventOf(subscription))).toEqual(['a'])
    expect(subscription.next()).toEqual({ kind: 'wait', until: 300_000 })
    clock.advance(1)
    put('b')
    expect(subscription.next()).toEqual({ kind: 'ended' })
    expect(subscription.next()).toEqual({ kind: 'ended' })
  })

  it('with the children, once all is read, when the shard is split', () => {
    const subscription = subscribe()
    model.call('SplitShard', { StreamName: 's', ShardToSplit: SHARD, NewStartingHashKey: HALF })
    expect(subscription.next()).toEqual({ kind: 'wait', until: 100 })
    put('last')
    clock.advance(100)
    expect(textsOf(eventOf(subscription))).toEqual(['last'])
    clock.advance(40)
    expect(eventOf(subscription)).toEqual({
      Records: [],
      MillisBehindLatest: 40,
      ChildShards: [
        expect.objectContaining({ ShardId: 'shardId-000000000001', ParentShards: [SHARD] }),
        expect.objectContaining({ ShardId: 'shardId-000000000002', ParentShards: [SHARD] }),
      ],
    })
    expect(subscription.next()).toEqual({ kind: 'ended' })
  })

  it('at once, for whoever subscribes to the end of a closed shard', () => {
    model.call('SplitShard', { StreamName: 's', ShardToSplit: SHARD, NewStartingHashKey: HALF })
    clock.advance(100)
    expect(eventOf(subscribe({ Type: 'LATEST' })).ChildShards).toHaveLength(2)
    ConsumerARN = register('d')
    expect(eventOf(subscribe()).ContinuationSequenceNumber).toBeUndefined()
  })

  it('with the one child of both parents, when shards are merged', () => {
    model.call('CreateStream', { StreamName: 'two', ShardCount: 2 })
    const { Consumer } = model.call('RegisterStreamConsumer', { StreamARN: ARN.replace(/s$/, 'two'), ConsumerName: 'c' }) as {
      Consumer: { ConsumerARN: string }
    }
    const ids = [SHARD, 'shardId-000000000001']
    const subscriptions = ids.map((ShardId) => subscribe({ Type: 'LATEST' }, { ConsumerARN: Consumer.ConsumerARN, ShardId }))
    model.call('MergeShards', { StreamName: 'two', ShardToMerge: ids[0], AdjacentShardToMerge: ids[1] })
    clock.advance(100)
    for (const subscription of subscriptions) {
      expect(eventOf(subscription).ChildShards).toMatchObject([{ ShardId: 'shardId-000000000002', ParentShards: ids }])
    }
  })

  it.each<[string, () => void, string]>([
    ['its consumer is deregistered', () => model.call('DeregisterStreamConsumer', { ConsumerARN }), 'ResourceNotFoundException'],
    [
      'its stream is deleted',
      () => model.call('DeleteStream', { StreamName: 's', EnforceConsumerDeletion: true }),
      'ResourceNotFoundException',
    ],
    [
      'somebody takes it over',
      () => {
        clock.advance(5000)
        subscribe()
      },
      'ResourceInUseException',
    ],
  ])('when %s', (_, happen, code) => {
    const subscription = subscribe()
    put('never sent')
    let woken = 0
    subscription.onWake(() => woken++)
    happen()
    expect(woken).toBe(1)
    for (let i = 0; i < 2; i++) expect(subscription.next()).toMatchObject({ kind: 'failed', error: { code } })
  })

  it('when it is closed, and then nobody wakes it', () => {
    const subscription = subscribe()
    subscription.onWake(() => expect.fail('woken'))
    subscription.close()
    subscription.close()
    put('a')
    clock.advance(5000)
    subscribe()
    expect(subscription.next()).toEqual({ kind: 'ended' })
  })
})

describe('who gets the shard', () => {
  it.each([
    // When the calls after the first one come, in ms, and how each is answered.
    [[0], ['LimitExceededException']],
    [[999], ['LimitExceededException']],
    [[1000], ['ResourceInUseException']],
    [[4999], ['ResourceInUseException']],
    [[5000], ['taken']],
    [
      [1000, 1999],
      ['ResourceInUseException', 'LimitExceededException'],
    ],
    // A refused call does not begin the five seconds anew, but it counts as the call of its second. One over the limit counts for nothing.
    [
      [4500, 5400, 5500],
      ['ResourceInUseException', 'LimitExceededException', 'taken'],
    ],
    [
      [5000, 6000, 9999, 11_000],
      ['taken', 'ResourceInUseException', 'ResourceInUseException', 'taken'],
    ],
  ])('calls at %j: %j', (times, answers) => {
    subscribe()
    const seen = times.map((at) => {
      clock.advance(at - clock.now())
      try {
        subscribe()
        return 'taken'
      } catch (error) {
        return (error as KinesisModelError).code
      }
    })
    expect(seen).toEqual(answers)
  })

  it('goes by when a subscription began, even if it is over', () => {
    subscribe().close()
    clock.advance(4999)
    expect(refusal(subscribe)).toBe('ResourceInUseException')
  })

  it('is for each consumer and each shard', () => {
    subscribe()
    ConsumerARN = register('d')
    subscribe()
    model.call('SplitShard', { StreamName: 's', ShardToSplit: SHARD, NewStartingHashKey: HALF })
    clock.advance(100)
    subscribe({ Type: 'LATEST' }, { ShardId: 'shardId-000000000001' })
  })

  it('without quotas the limit of calls is gone, but not the five seconds', () => {
    model.setQuotas('s', false)
    subscribe()
    expect(refusal(subscribe)).toBe('ResourceInUseException')
  })
})

describe('waking', () => {
  it('once for a request, after it is done, and the listener may ask at once', () => {
    const subscription = subscribe()
    const seen: string[][] = []
    subscription.onWake(() => seen.push(textsOf(eventOf(subscription))))
    const Records = ['a', 'b', 'c'].map((text) => ({ PartitionKey: text, Data: Buffer.from(text) }))
    model.call('PutRecords', { StreamName: 's', Records })
    expect(seen).toEqual([['a', 'b', 'c']])
  })

  it('when a change begins that time will bring, so that the time to wait for is asked anew', () => {
    const subscription = subscribe()
    let until = 0
    subscription.onWake(() => {
      const step = subscription.next()
      if (step.kind === 'wait') until = step.until
    })
    model.call('SplitShard', { StreamName: 's', ShardToSplit: SHARD, NewStartingHashKey: HALF })
    expect(until).toBe(100)
  })

  it('the others, when one who asks finds that time has brought something', () => {
    const first = subscribe()
    ConsumerARN = register('d')
    const second = subscribe()
    model.call('SplitShard', { StreamName: 's', ShardToSplit: SHARD, NewStartingHashKey: HALF })
    let woken = 0
    second.onWake(() => woken++)
    clock.advance(100)
    expect(eventOf(first).ChildShards).toHaveLength(2)
    expect(woken).toBe(1)
    expect(eventOf(second).ChildShards).toHaveLength(2)
  })

  it('for nothing that happens elsewhere', () => {
    const subscription = subscribe()
    subscription.onWake(() => expect.fail('woken'))
    model.call('CreateStream', { StreamName: 't', ShardCount: 1 })
    model.call('PutRecord', { StreamName: 't', PartitionKey: 'k', Data: new Uint8Array(1) })
    register('d')
  })
})
