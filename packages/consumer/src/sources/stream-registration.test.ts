import { setMaxListeners } from 'node:events'
import { ManualClock } from '@shardwise/core/clock'
import type { FanOutPort, StreamConsumer } from '@shardwise/core/fan-out-port'
import { seededRandom } from '@shardwise/core/random'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { StartRetriedEvent } from '../start-event.js'
import { type RegistrationEvent, StreamRegistration, type StreamRegistrationOptions } from './stream-registration.js'
import { failure } from './testing/pushed-shard.js'

const STREAM_ARN = 'arn:aws:kinesis:us-east-1:123456789012:stream/flights'
const SIGNAL = new AbortController().signal
// All shards of a test use the one.
setMaxListeners(0, SIGNAL)

/** The stream consumers of one stream, as the service has them. A new one is ACTIVE after `creationMs`. */
class ConsumersOfStream implements Pick<FanOutPort, 'registerStreamConsumer' | 'describeStreamConsumer'> {
  readonly clock: ManualClock
  readonly calls: { readonly call: string; readonly at: number }[] = []
  creationMs = 10_000
  refusals: Error[] = []
  #consumer: { readonly arn: string; readonly since: number; deletedAt: number | undefined } | undefined
  #made = 0

  constructor(clock: ManualClock) {
    this.clock = clock
  }

  of(call: string): number {
    return this.calls.filter((each) => each.call === call).length
  }

  create(): string {
    this.#consumer = { arn: `${STREAM_ARN}/consumer/delays:${++this.#made}`, since: this.clock.now(), deletedAt: undefined }
    return this.#consumer.arn
  }

  /** It is DELETING for so long. */
  delete(forMs = 0): void {
    if (this.#consumer !== undefined) this.#consumer.deletedAt = this.clock.now() + forMs
  }

  async registerStreamConsumer(): Promise<{ Consumer: StreamConsumer }> {
    this.#called('register')
    if (this.#now() !== undefined) throw failure('ResourceInUseException', 'Consumer delays exists')
    this.create()
    return { Consumer: this.#now()! }
  }

  async describeStreamConsumer({ ConsumerARN }: { ConsumerARN?: string }): Promise<{ ConsumerDescription: StreamConsumer }> {
    this.#called('describe')
    const found = this.#now()
    if (found === undefined || (ConsumerARN !== undefined && ConsumerARN !== found.ConsumerARN)) {
      throw failure('ResourceNotFoundException', 'No such consumer')
    }
    return { ConsumerDescription: found }
  }

  #called(call: string): void {
    this.calls.push({ call, at: this.clock.now() })
    const refusal = this.refusals.shift()
    if (refusal !== undefined) throw refusal
  }

  #now(): StreamConsumer | undefined {
    const found = this.#consumer
    const now = this.clock.now()
    if (found === undefined || (found.deletedAt !== undefined && now >= found.deletedAt)) return undefined
    const status = found.deletedAt !== undefined ? 'DELETING' : now - found.since < this.creationMs ? 'CREATING' : 'ACTIVE'
    return { ConsumerName: 'delays', ConsumerARN: found.arn, ConsumerStatus: status }
  }
}

function setUp(more: Partial<StreamRegistrationOptions> = {}) {
  const clock = new ManualClock()
  const service = new ConsumersOfStream(clock)
  const events: (RegistrationEvent | StartRetriedEvent)[] = []
  let seed = 0
  const registration = (own: Partial<StreamRegistrationOptions> = {}) =>
    new StreamRegistration({
      port: service,
      stream: 'flights',
      streamArn: () => STREAM_ARN,
      consumer: { name: 'delays', register: true },
      isOptional: false,
      clock,
      random: seededRandom(++seed),
      emit: (event) => events.push(event),
      ...more,
      ...own,
    })
  /** With as much time as it takes. */
  const done = async <T>(work: Promise<T>, limitMs = 600_000): Promise<T> => {
    let settled = false
    const end = (): void => {
      settled = true
    }
    work.then(end, end)
    for (let waited = 0; !settled && waited < limitMs; waited += 100) await clock.advanceAsync(100)
    if (!settled) throw new Error('Not done')
    return work
  }
  onTestFinished(() => expect(clock.pendingTimers).toBe(0))
  return { clock, service, events, registration, done }
}

describe('StreamRegistration', () => {
  it('finds a consumer that is there, by one look, and asks no more for it', async () => {
    const { clock, service, registration } = setUp()
    const arn = service.create()
    await clock.advanceAsync(20_000)
    const one = registration()
    await one.find(SIGNAL)
    expect([await one.arn(SIGNAL), await one.arn(SIGNAL)]).toEqual([arn, arn])
    expect(service.calls.map(({ call }) => call)).toEqual(['describe'])
  })

  it('registers one that is missing, says so, and waits until it can be used with a few looks only', async () => {
    const { clock, service, events, registration, done } = setUp()
    service.creationMs = 30_000
    const one = registration()
    await one.find(SIGNAL)
    expect(clock.now()).toBe(0)
    const arns = await done(Promise.all(Array.from({ length: 64 }, () => one.arn(SIGNAL))))
    expect(new Set(arns)).toEqual(new Set([`${STREAM_ARN}/consumer/delays:1`]))
    expect(service.of('register')).toBe(1)
    expect(service.of('describe')).toBeLessThan(10)
    expect(clock.now()).toBeLessThan(42_000)
    expect(events).toEqual([
      {
        type: 'stream-consumer-registered',
        stream: 'flights',
        consumerName: 'delays',
        consumerArn: `${STREAM_ARN}/consumer/delays:1`,
      },
    ])
  })

  it('a fleet of a hundred that starts at once: one registers, and all find it although the service refuses most looks', async () => {
    const { clock, service, events, registration, done } = setUp()
    const describe = service.describeStreamConsumer.bind(service)
    let [second, looks, refused] = [0, 0, 0]
    service.describeStreamConsumer = async (input) => {
      const now = Math.floor(clock.now() / 1_000)
      looks = now === second ? looks + 1 : 1
      second = now
      if (looks > 20) {
        refused++
        throw failure('LimitExceededException')
      }
      return describe(input)
    }
    const fleet = Array.from({ length: 100 }, () => registration())
    const arns = await done(
      Promise.all(
        fleet.map(async (one) => {
          await one.find(SIGNAL)
          return one.arn(SIGNAL)
        }),
      ),
    )
    const registered = events.filter(({ type }) => type !== 'start-retried')
    expect([new Set(arns).size, registered.length]).toEqual([1, 1])
    expect(clock.now()).toBeLessThan(40_000)
    expect(looks + service.calls.length + refused).toBeLessThan(100 * 8)
  })

  it('waits until one that is being deleted is gone, and registers it again', async () => {
    const { clock, service, registration, done } = setUp()
    service.create()
    await clock.advanceAsync(20_000)
    service.delete(15_000)
    expect(await done(registration().arn(SIGNAL))).toBe(`${STREAM_ARN}/consumer/delays:2`)
    expect(service.of('register')).toBe(1)
  })

  it('at the start does not wait for that: nobody would know why the start takes so long', async () => {
    const { clock, service, registration, done } = setUp()
    service.create()
    await clock.advanceAsync(20_000)
    service.delete(15_000)
    const one = registration()
    await one.find(SIGNAL)
    expect([clock.now(), service.calls.length]).toEqual([20_000, 1])
    expect(await done(one.arn(SIGNAL))).toBe(`${STREAM_ARN}/consumer/delays:2`)
  })

  it('at the start tells that it waits for a service that refuses to look, and afterwards does not', async () => {
    const { clock, service, events, registration, done } = setUp()
    service.create()
    await clock.advanceAsync(20_000)
    service.refusals = [failure('LimitExceededException'), failure('ProvisionedThroughputExceededException')]
    await done(registration().find(SIGNAL))
    const retried = { type: 'start-retried', step: 'find-stream-consumer', stream: 'flights' }
    expect(events).toMatchObject([1, 2].map((attempt) => ({ ...retried, attempt, failure: { kind: 'limit-exceeded' } })))
    for (const event of events) expect(event).toMatchObject({ retryInMs: expect.any(Number) })
    service.refusals = [failure('LimitExceededException')]
    await done(registration().arn(SIGNAL))
    expect(events).toHaveLength(2)
  })

  it.each([
    {
      name: 'one that is being deleted',
      prepare: (service: ConsumersOfStream) => void service.delete(60_000),
      expected: { kind: 'in-use', message: 'The stream consumer delays of stream flights is DELETING' },
    },
    {
      name: 'a service that refuses to look',
      prepare: (service: ConsumersOfStream) => {
        service.refusals = Array.from({ length: 100 }, () => failure('LimitExceededException'))
      },
      expected: { kind: 'limit-exceeded', message: expect.stringContaining('stream consumer delays of stream flights') },
    },
    { name: 'nothing', prepare: () => {}, expected: undefined },
  ])('says what it waits for: $name', async ({ prepare, expected }) => {
    const { clock, service, registration } = setUp()
    service.create()
    await clock.advanceAsync(20_000)
    prepare(service)
    const one = registration()
    const limit = new AbortController()
    const search = one.arn(limit.signal).catch(() => {})
    await clock.advanceAsync(30_000)
    limit.abort()
    await search
    if (expected === undefined) expect(one.hindrance).toBeUndefined()
    else expect(one.hindrance).toMatchObject(expected)
  })

  it.each([
    { name: 'missing', prepare: () => {}, error: 'ResourceNotFoundException', says: 'not to be registered' },
    {
      name: 'being deleted',
      prepare: (service: ConsumersOfStream) => {
        service.create()
        service.delete(60_000)
      },
      error: 'ResourceInUseException',
      says: 'is being deleted',
    },
  ])('that may not register refuses one that is $name', async ({ prepare, error, says }) => {
    const { service, registration } = setUp({ consumer: { name: 'delays', register: false } })
    prepare(service)
    await expect(registration().find(SIGNAL)).rejects.toMatchObject({ name: error, message: expect.stringContaining(says) })
  })

  it('goes by an ARN that was given, and never registers', async () => {
    const { clock, service, registration } = setUp()
    const arn = service.create()
    await clock.advanceAsync(20_000)
    const one = registration({ consumer: { arn } })
    expect(await one.arn(SIGNAL)).toBe(arn)
    service.delete()
    await expect(registration({ consumer: { arn } }).arn(SIGNAL)).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
    expect(service.of('register')).toBe(0)
  })

  it('without the stream’s ARN says what to do', async () => {
    const { registration } = setUp({ streamArn: () => undefined })
    await expect(registration().find(SIGNAL)).rejects.toThrow('give the stream by its ARN')
  })

  it('tells all shards of a failure, asks the service once, and again after a pause', async () => {
    const { clock, service, registration } = setUp()
    service.refusals = [failure('AccessDeniedException'), failure('AccessDeniedException')]
    const one = registration()
    const asked = await Promise.allSettled(Array.from({ length: 64 }, () => one.arn(SIGNAL)))
    expect(new Set(asked.map(({ status }) => status))).toEqual(new Set(['rejected']))
    await expect(one.arn(SIGNAL)).rejects.toMatchObject({ name: 'AccessDeniedException' })
    expect(service.calls).toHaveLength(1)
    await clock.advanceAsync(1_000)
    await expect(one.arn(SIGNAL)).rejects.toMatchObject({ name: 'AccessDeniedException' })
    expect(service.calls).toHaveLength(2)
  })

  it('at the start: a failure ends it, or, where polling can do the work, is told', async () => {
    const { service, events, registration } = setUp()
    service.refusals = [failure('AccessDeniedException'), failure('AccessDeniedException')]
    await expect(registration().find(SIGNAL)).rejects.toMatchObject({ name: 'AccessDeniedException' })
    expect(events).toEqual([])
    await registration({ isOptional: true }).find(SIGNAL)
    expect(events).toMatchObject([{ type: 'fan-out-unavailable', stream: 'flights', failure: { kind: 'access-denied' } }])
  })

  it('ends a search for which nobody waits any more, and begins another for who comes then', async () => {
    const { clock, service, registration, done } = setUp()
    const one = registration()
    const [first, second] = [new AbortController(), new AbortController()]
    const [a, b] = [one.arn(first.signal), one.arn(second.signal)]
    await clock.advanceAsync(100)
    first.abort(new Error('first'))
    await expect(a).rejects.toThrow('first')
    expect(clock.pendingTimers).toBe(1)
    second.abort(new Error('second'))
    await expect(b).rejects.toThrow('second')
    await clock.advanceAsync(0)
    expect(clock.pendingTimers).toBe(0)
    expect(await done(one.arn(SIGNAL))).toBe(`${STREAM_ARN}/consumer/delays:1`)
    expect(service.of('register')).toBe(1)
  })

  it('deleted while it is used: whoever is told so finds or registers another, one look for all shards', async () => {
    const { clock, service, events, registration, done } = setUp()
    const arn = service.create()
    await clock.advanceAsync(20_000)
    const one = registration()
    await one.arn(SIGNAL)
    await clock.advanceAsync(5_000)
    expect(await one.confirm(arn, SIGNAL)).toBe(true)
    service.delete()
    expect(await one.confirm(arn, SIGNAL)).toBe(true)
    await clock.advanceAsync(1_000)
    const looks = service.of('describe')
    const told = await Promise.all(Array.from({ length: 64 }, () => one.confirm(arn, SIGNAL)))
    expect([new Set(told), service.of('describe') - looks]).toEqual([new Set([false]), 1])
    const successor = await done(one.arn(SIGNAL))
    expect(successor).toBe(`${STREAM_ARN}/consumer/delays:2`)
    expect(await one.confirm(arn, SIGNAL)).toBe(false)
    expect(events.map(({ type }) => type)).toEqual(['stream-consumer-lost', 'stream-consumer-registered'])
  })
})
