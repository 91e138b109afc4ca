import { ManualClock } from '@shardwise/core/clock'
import { InvalidOptionError } from '@shardwise/core/options'
import { beforeEach, describe, expect, it } from 'vitest'
import { FaultControl, type FaultRule, type ObservedCall, type ServiceInput } from './faults.js'

let clock: ManualClock
let faults: FaultControl
let worked: ServiceInput[]
const never = new AbortController().signal

beforeEach(() => {
  clock = new ManualClock()
  faults = new FaultControl(clock)
  worked = []
})

function call(
  input: ServiceInput = {},
  options: { operation?: string; signal?: AbortSignal; error?: Error } = {},
): Promise<object | 'drop'> {
  const { operation = 'GetRecords', signal = never, error } = options
  return faults.perform(
    { service: 'kinesis', operation, input },
    (given) => {
      worked.push(given)
      if (error !== undefined) throw error
      return { done: worked.length }
    },
    signal,
  )
}

interface Gate {
  readonly promise: Promise<void>
  resolve(): void
  reject(): void
}

function makeGate(): Gate {
  const parts: Partial<Gate> = {}
  const promise = new Promise<void>((resolve, reject) => {
    Object.assign(parts, { resolve, reject })
  })
  return Object.assign(parts, { promise }) as Gate
}

describe('which calls a rule meets', () => {
  it('the next one, by default', async () => {
    const handle = faults.on('GetRecords', { fail: { code: 'InternalFailure' } })
    expect(handle.hits).toBe(0)
    await expect(call()).rejects.toMatchObject({ code: 'InternalFailure', statusCode: 500 })
    expect(handle.hits).toBe(1)
    expect(faults.concerns('GetRecords')).toBe(false)
    expect(await call()).toEqual({ done: 1 })
  })

  it('as many as it says, or all until it is removed', async () => {
    const two = faults.on('GetRecords', { drop: 'before-work', times: 2 })
    expect([await call(), await call(), await call()]).toEqual(['drop', 'drop', { done: 1 }])
    expect(two.hits).toBe(2)
    const all = faults.on('GetRecords', { drop: 'before-work', times: Number.POSITIVE_INFINITY })
    for (let i = 0; i < 10; i++) expect(await call()).toBe('drop')
    all.remove()
    all.remove()
    expect(await call()).toEqual({ done: 2 })
    expect(all.hits).toBe(10)
  })

  it('those of its operation, its service and its condition; others do not count', async () => {
    const handle = faults.on('GetRecords', { drop: 'before-work', when: (input) => input.a === 1 })
    faults.on('TagResource', { drop: 'before-work', service: 'dynamodb' })
    expect(await call({ a: 2 })).toEqual({ done: 1 })
    expect(await call({ a: 1 }, { operation: 'PutRecords' })).toEqual({ done: 2 })
    expect(await call({}, { operation: 'TagResource' })).toEqual({ done: 3 })
    expect(handle.hits).toBe(0)
    expect(await call({ a: 1 })).toBe('drop')
  })

  it('one ending rule a call, in the order they were added', async () => {
    faults.on('GetRecords', { fail: { code: 'First' } })
    faults.on('GetRecords', { fail: { code: 'Second' } })
    faults.on('GetRecords', { drop: 'after-work' })
    await expect(call()).rejects.toMatchObject({ code: 'First', statusCode: 400 })
    await expect(call()).rejects.toMatchObject({ code: 'Second' })
    expect(await call()).toBe('drop')
    expect(await call()).toEqual({ done: 2 })
  })

  it('none after clear', async () => {
    faults.on('GetRecords', { fail: { code: 'First' }, times: Number.POSITIVE_INFINITY })
    faults.clear()
    expect(await call()).toEqual({ done: 1 })
  })
})

describe('what a rule does', () => {
  it('fails with the error given, without the work', async () => {
    faults.on('GetRecords', { fail: { code: 'KMSThrottlingException', status: 418, message: 'slow down' } })
    await expect(call()).rejects.toMatchObject({ code: 'KMSThrottlingException', statusCode: 418, message: 'slow down' })
    expect(worked).toEqual([])
  })

  it.each([
    ['before-work', 0],
    ['after-work', 1],
  ] as const)('drops %s', async (phase, works) => {
    faults.on('GetRecords', { drop: phase })
    expect(await call()).toBe('drop')
    expect(worked).toHaveLength(works)
  })

  it.each([
    ['before-work', 0],
    ['after-work', 1],
    [undefined, 1],
  ] as const)('delays %s on the clock', async (phase, worksMeanwhile) => {
    faults.on('GetRecords', { delayMs: 500, ...(phase === undefined ? {} : { phase }) })
    let answer: unknown
    const called = call().then((output) => {
      answer = output
    })
    await clock.advanceAsync(499)
    expect(worked).toHaveLength(worksMeanwhile)
    expect(answer).toBeUndefined()
    await clock.advanceAsync(1)
    await called
    expect(answer).toEqual({ done: 1 })
    expect(clock.pendingTimers).toBe(0)
  })

  it('holds until the promise settles, rejected or not', async () => {
    for (const settle of ['resolve', 'reject'] as const) {
      const gate = makeGate()
      faults.on('GetRecords', { hold: gate.promise, phase: 'before-work' })
      const before = worked.length
      const called = call()
      await clock.advanceAsync(0)
      expect(worked).toHaveLength(before)
      gate[settle]()
      expect(await called).toEqual({ done: before + 1 })
    }
  })

  it('gives up waiting when the service stops, without the work and without a timer', async () => {
    const stop = new AbortController()
    const gate = makeGate()
    faults.on('GetRecords', { delayMs: 500, phase: 'before-work' })
    faults.on('PutRecords', { hold: gate.promise, phase: 'before-work' })
    const calls = [call({}, { signal: stop.signal }), call({}, { signal: stop.signal, operation: 'PutRecords' })]
    for (const each of calls) each.catch(() => {})
    await clock.advanceAsync(0)
    stop.abort(new Error('stopping'))
    gate.resolve()
    for (const each of calls) await expect(each).rejects.toThrow('stopping')
    expect(clock.pendingTimers).toBe(0)
    expect(worked).toEqual([])
  })

  it('combines: late, then lost, and seen by an observer as it was', async () => {
    const seen: ObservedCall[] = []
    faults.on('GetRecords', { delayMs: 5 })
    faults.on('GetRecords', { drop: 'after-work' })
    faults.on('GetRecords', { observe: (observed) => seen.push(observed) })
    const called = call({ Limit: 5 })
    await clock.advanceAsync(4)
    expect(seen).toEqual([])
    await clock.advanceAsync(1)
    expect(await called).toBe('drop')
    expect(seen).toEqual([
      { service: 'kinesis', operation: 'GetRecords', input: { Limit: 5 }, outcome: { kind: 'answered', output: { done: 1 } } },
    ])
  })

  it('shows an observer refusals, by the service and by a rule, and drops', async () => {
    const seen: ObservedCall['outcome'][] = []
    faults.on('GetRecords', { observe: ({ outcome }) => seen.push(outcome), times: 3 })
    const refused = Object.assign(new Error('no such stream'), { code: 'ResourceNotFoundException' })
    await expect(call({}, { error: refused })).rejects.toBe(refused)
    faults.on('GetRecords', { fail: { code: 'InternalFailure', message: 'made up' } })
    await expect(call()).rejects.toThrow('made up')
    faults.on('GetRecords', { drop: 'before-work' })
    expect(await call()).toBe('drop')
    expect(seen).toEqual([
      { kind: 'failed', code: 'ResourceNotFoundException', message: 'no such stream' },
      { kind: 'failed', code: 'InternalFailure', message: 'made up' },
      { kind: 'dropped' },
    ])
  })
})

it.each<[string, string, unknown, string]>([
  ['an unknown operation', 'PutRecord ', { drop: 'after-work' }, '`operation` must be one of AddTagsToStream,'],
  [
    'an operation of the other service',
    'Scan',
    { drop: 'after-work', service: 'kinesis' },
    '`operation` must be one of AddTagsToStream,',
  ],
  ['no effect', 'GetRecords', {}, 'exactly one of fail, drop,'],
  ['two effects', 'GetRecords', { drop: 'after-work', delayMs: 5 }, 'exactly one of fail, drop,'],
  ['a misspelt option', 'GetRecords', { drop: 'after-work', time: 5 }, '`time` must be left out: there is no such option'],
  ['no times', 'GetRecords', { drop: 'after-work', times: 0 }, '`times` must be a whole number from 1 up, got 0'],
  ['a negative delay', 'GetRecords', { delayMs: -1 }, '`delayMs` must be a number from 0 up, got -1'],
  ['an unknown phase', 'GetRecords', { drop: 'during' }, "`drop` must be 'before-work' or 'after-work', got 'during'"],
  [
    'a status that is none',
    'GetRecords',
    { fail: { code: 'X', status: 200 } },
    '`fail.status` must be a whole number from 400 to 599',
  ],
  ['a promise that is none', 'GetRecords', { hold: 5 }, '`hold` must be a promise, got 5'],
  ['no error', 'GetRecords', { fail: undefined }, '`fail` must be an object with a code, got undefined'],
  ['an observer that is none', 'GetRecords', { observe: 5 }, '`observe` must be a function, got 5'],
  [
    'no choice of entries',
    'PutRecords',
    { rejectEntries: {} },
    '`rejectEntries` must be an object with a function `when`, got {}',
  ],
  ['a condition that is none', 'GetRecords', { drop: 'after-work', when: true }, '`when` must be a function, got true'],
  ['no delay', 'GetRecords', { delayMs: undefined }, '`delayMs` must be a number, got undefined'],
  ['no rule', 'GetRecords', undefined, '`rule` must be an object with exactly one of fail, drop,'],
  ['an empty code', 'GetRecords', { fail: { code: '' } }, '`fail.code` must be an error name'],
  ['entries of another operation', 'GetRecords', { rejectEntries: { when: () => true } }, '`operation` must be PutRecords'],
  ['an interruption of another operation', 'GetRecords', { interrupt: { by: 'end' } }, '`operation` must be SubscribeToShard'],
  ['no interruption', 'SubscribeToShard', { interrupt: undefined }, '`interrupt` must be an object with `by`'],
  ['an interruption by nothing', 'SubscribeToShard', { interrupt: {} }, "`interrupt.by` must be 'end', 'stall'"],
  [
    'an interruption by something else',
    'SubscribeToShard',
    { interrupt: { by: 'stop' } },
    "`interrupt.by` must be 'end' or 'stall'",
  ],
  [
    'an interruption by no error',
    'SubscribeToShard',
    { interrupt: { by: { code: '' } } },
    '`interrupt.by.code` must be an error name',
  ],
  ['half an event', 'SubscribeToShard', { interrupt: { by: 'end', afterEvents: 0.5 } }, '`interrupt.afterEvents` must be'],
  ['no promise', 'SubscribeToShard', { interrupt: { by: 'end', hold: 5 } }, '`interrupt.hold` must be a promise'],
  ['a misspelt interruption', 'SubscribeToShard', { interrupt: { by: 'end', after: 1 } }, '`interrupt.after` must be left out'],
])('refuses %s', (_, operation, rule, message) => {
  const attempt = (): unknown => faults.on(operation, rule as FaultRule)
  expect(attempt).toThrow(InvalidOptionError)
  expect(attempt).toThrow(message)
})
