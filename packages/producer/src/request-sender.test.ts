import { ManualClock } from '@shardwise/core/clock'
import type { KinesisPort, PutRecordsInput, PutRecordsOutput } from '@shardwise/core/kinesis-port'
import { describe, expect, test } from 'vitest'
import { Entry } from './entry.js'
import { MemberRecords } from './members.js'
import { type RequestOutcome, RequestSender } from './request-sender.js'
import { entryOf, recordOf, shardOf } from './testing/records.js'
import { named } from './testing/simulated-kinesis.js'

interface Call {
  readonly input: PutRecordsInput
  readonly signal: AbortSignal
  readonly resolve: (output: PutRecordsOutput) => void
  readonly reject: (error: unknown) => void
}

interface Bench {
  readonly sender: RequestSender
  readonly calls: Call[]
  /** Request ids and how they ended, in order. */
  readonly ended: [id: number, outcome: RequestOutcome][]
}

/** Gives up after 100 ms. `putRecords` in place of calls that the test answers. */
function bench(putRecords?: KinesisPort['putRecords']): Bench {
  const calls: Call[] = []
  const ended: Bench['ended'] = []
  const port: Partial<KinesisPort> = {
    putRecords:
      putRecords ??
      ((input, options) => new Promise((resolve, reject) => calls.push({ input, signal: options!.signal!, resolve, reject }))),
  }
  const sender = new RequestSender(port as KinesisPort, { StreamName: 'flights' }, 100, (request, outcome) =>
    ended.push([request.id, outcome]),
  )
  return { sender, calls, ended }
}

/** Lets everything happen that needs no time. */
const settle = (): Promise<void> => new ManualClock().advanceAsync(0)
const result = { ShardId: 's', SequenceNumber: '1' }
const two = (): Entry[] => [entryOf('s', { key: 'a' }), entryOf('s', { key: 'b', explicitHashKey: '7' })]

describe('RequestSender', () => {
  test('asks once, with the entries in order', () => {
    const { sender, calls } = bench()
    const entries = two()
    expect(sender.send(entries, 5)).toMatchObject({ id: 1, entries, sentAt: 5 })
    expect(sender.send(two(), 6).id).toBe(2)
    expect(calls.map(({ input }) => input)[0]).toEqual({ StreamName: 'flights', Records: entries.map(({ wire }) => wire) })
    expect([calls.length, sender.underWay]).toEqual([2, 2])
  })

  test.each<[string, PutRecordsOutput, RequestOutcome]>([
    ['a result each', { Records: [result, {}] }, { kind: 'answered', results: [result, {}] }],
    ['one result missing', { Records: [result] }, { kind: 'miscounted', results: 1 }],
    ['one too many', { Records: [result, result, result] }, { kind: 'miscounted', results: 3 }],
    ['no results', {}, { kind: 'miscounted', results: 0 }],
  ])('an answer with %s', async (_, output, outcome) => {
    const { sender, calls, ended } = bench()
    sender.send(two(), 0)
    calls[0]!.resolve(output)
    expect(ended).toEqual([])
    await settle()
    expect([ended, sender.underWay, sender.nextTimeout]).toEqual([[[1, outcome]], 0, undefined])
  })

  test.each<[string, () => Promise<PutRecordsOutput>, object]>([
    ['a rejection', () => Promise.reject(named('ResourceNotFoundException')), { kind: 'not-found', written: 'no' }],
    ['a lost connection', () => Promise.reject(named('ECONNRESET')), { retryable: true, written: 'unknown' }],
    [
      'a port that throws',
      () => {
        throw named('InternalFailureException')
      },
      { kind: 'internal', written: 'unknown' },
    ],
    ['a rejection without an error', () => Promise.reject(undefined), { kind: 'unknown', written: 'unknown' }],
    ['an answer of null', () => Promise.resolve(null as unknown as PutRecordsOutput), { kind: 'unknown', written: 'unknown' }],
  ])('%s is a failed request, told after send has returned', async (_, putRecords, failure) => {
    const { sender, ended } = bench(putRecords)
    sender.send(two(), 0)
    expect(ended).toEqual([])
    await settle()
    expect([ended, sender.underWay]).toMatchObject([[[1, { kind: 'failed', failure }]], 0])
  })

  test('gives up each request at its own time, and what comes later for it is not told', async () => {
    const { sender, calls, ended } = bench()
    sender.send(two(), 0)
    sender.send(two(), 30)
    expect(sender.nextTimeout).toBe(100)
    sender.giveUp(99)
    expect(ended).toEqual([])
    sender.giveUp(100)
    expect([ended, sender.underWay, sender.nextTimeout]).toMatchObject([
      [[1, { kind: 'failed', failure: { kind: 'timeout', retryable: true, written: 'unknown' } }]],
      1,
      130,
    ])
    expect(ended[0]![1]).toMatchObject({ cause: { message: expect.stringContaining('requestTimeoutMs (100)') } })
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, false])
    calls[0]!.resolve({ Records: [result, result] })
    calls[1]!.resolve({ Records: [result, result] })
    await settle()
    sender.giveUp(1000)
    expect(ended.map(([id, { kind }]) => [id, kind])).toEqual([
      [1, 'failed'],
      [2, 'answered'],
    ])
  })

  test('the first to be given up is the oldest that is still under way', async () => {
    const { sender, calls } = bench()
    for (const now of [0, 10, 20]) sender.send(two(), now)
    calls[0]!.resolve({ Records: [] })
    await settle()
    expect(sender.nextTimeout).toBe(110)
  })

  test.each<[string, number, Error | undefined, number]>([
    ['of an answered request are free', 0, undefined, 1],
    ['of one that was refused are free', 0, named('InternalFailureException'), 1],
    ['of one that was given up are not, since someone may still read them', 100, undefined, 0],
    ['of one that the connection gave up are not either', 0, named('TimeoutError'), 0],
  ])('the bytes %s', async (_, giveUpAt, failure, released) => {
    const { sender, calls } = bench()
    let times = 0
    const packed = { bytes: new Uint8Array(9), byteLength: 9, release: () => times++ }
    const entry = Entry.aggregate(new MemberRecords([recordOf('a'), recordOf('b')]), shardOf('s'), packed, 0)
    sender.send([entry], 0)
    sender.giveUp(giveUpAt)
    if (failure === undefined) calls[0]!.resolve({ Records: [result] })
    else calls[0]!.reject(failure)
    await settle()
    entry.dissolve()
    expect(times).toBe(released)
  })
})
