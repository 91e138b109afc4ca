import { describe, expect, test } from 'vitest'
import { sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import type { Consumer } from '../consumer.js'
import type { ConsumerEvent } from '../consumer-events.js'
import { LeaseLostError } from '../leases/lease-lost-error.js'
import { recorded } from '../testing/received.js'
import { type SmallFleet, setUp } from '../testing/small-fleet.js'
import type { ProcessorShard, RecordProcessorCheckpointer, ShardRecordProcessor } from './shard-record-processor.js'

type Callbacks = { [Name in keyof ShardRecordProcessor]?: (...args: Parameters<ShardRecordProcessor[Name]>) => unknown }

const text = (data: Uint8Array): string => new TextDecoder().decode(data)

/** Processors that tell what is called; `callbacks` say what is done there. Without a word they checkpoint what they are given. */
function recording(log: string[], callbacks: Callbacks = {}): (shard: ProcessorShard) => ShardRecordProcessor {
  return ({ shardId }) => {
    const name = shardId.slice(-1)
    const tell = (what: string): void => void log.push(`${name} ${what}`)
    return {
      initialize: (input) => {
        tell(`initialize ${input.extendedSequenceNumber.sequenceNumber}`)
        return callbacks.initialize?.(input)
      },
      processRecords: async (input) => {
        tell(`process ${input.records.map(({ data }) => text(data))}`)
        return callbacks.processRecords === undefined ? input.checkpointer.checkpoint() : callbacks.processRecords(input)
      },
      leaseLost: (input) => {
        tell('leaseLost')
        expect(input).not.toHaveProperty('checkpointer')
        return callbacks.leaseLost?.(input)
      },
      shardEnded: (input) => {
        tell('shardEnded')
        return callbacks.shardEnded === undefined ? input.checkpointer.checkpoint() : callbacks.shardEnded(input)
      },
      shutdownRequested: (input) => {
        tell('shutdownRequested')
        return callbacks.shutdownRequested?.(input)
      },
    }
  }
}

const SHARD: ProcessorShard = { stream: 'flights', shardId: 'shardId-000000000000', generation: 1 }

/** A call that waits until the test lets it go. */
function gate(): { readonly wait: () => Promise<void>; readonly open: () => void; readonly waiting: () => boolean } {
  let open = (): void => {}
  let waiting = false
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return {
    wait: () => {
      waiting = true
      return opened
    },
    open,
    waiting: () => waiting,
  }
}

interface Ran {
  readonly consumer: Consumer
  readonly events: ConsumerEvent[]
  readonly of: (type: string) => ConsumerEvent[]
  readonly stop: (options?: { timeoutMs?: number }) => Promise<void>
}

function run(fleet: SmallFleet, processor: (shard: ProcessorShard) => ShardRecordProcessor, workerId = 'w'): Ran {
  const consumer = fleet.consumer({ workerId, failoverTimeMs: 3_000, retry: { baseMs: 100, maxMs: 100 } })
  const events = recorded(consumer)
  const running = consumer.run({ shardRecordProcessor: processor })
  return {
    consumer,
    events,
    of: (type) => events.filter((event) => event.type === type),
    stop: (options) => fleet.settled(Promise.all([consumer.stop(options), running])),
  }
}

async function steal({ leaseStore }: SmallFleet): Promise<void> {
  const [row] = (await leaseStore.list()).leases
  expect((await leaseStore.take(row!, 'thief')).done).toBe(true)
}

/** The one shard of the stream splits. */
function split({ model }: SmallFleet): void {
  const ShardToSplit = 'shardId-000000000000'
  model.call('SplitShard', { StreamName: 'flights', ShardToSplit, NewStartingHashKey: `${2n ** 127n}` })
}

describe('a record processor', () => {
  test.each<[string, () => unknown, RegExp]>([
    ['a promise of one', async () => recording([])(SHARD), /no promise: .*, got Promise/],
    ['a promise that fails', () => Promise.reject(new Error('no database')), /no promise: .*, got Promise/],
    ['nothing', () => undefined, /with the functions initialize, processRecords, .*, got undefined/],
    ['one without a callback', () => ({ ...recording([])(SHARD), shardEnded: undefined }), /shardEnded/],
  ])('that is %s is refused with a clear word, and the factory called again', async (_name, make, message) => {
    const fleet = setUp(1)
    fleet.put(1)
    const log: string[] = []
    let made = 0
    const ran = run(fleet, (shard) => (++made < 3 ? (make() as ShardRecordProcessor) : recording(log)(shard)))
    await fleet.until(() => log.includes('0 process 0'))
    const failed = { callback: 'initialize', error: expect.objectContaining({ code: 'ERR_SHARDWISE_INVALID_OPTION' }) }
    expect(ran.of('processor-failed')).toMatchObject([
      { ...failed, attempt: 1 },
      { ...failed, attempt: 2 },
    ])
    expect(`${(ran.of('processor-failed')[0] as { error?: Error }).error?.message}`).toMatch(message)
    await ran.stop()
  })

  test('is initialized, gets the records, ends its shard, and those of the children follow', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    const inputs: object[] = []
    fleet.put(3)
    split(fleet)
    const ran = run(
      fleet,
      recording(log, {
        processRecords: ({ records, checkpointer, signal, cacheEntryTime, ...rest }) => {
          inputs.push({ ...rest, aborted: signal.aborted, sinceRead: fleet.clock.wallTime() - cacheEntryTime.getTime() })
          return checkpointer.checkpoint(records.at(-1))
        },
      }),
    )
    await fleet.until(() => log.filter((each) => each.includes('initialize')).length === 3)
    expect(log.slice(0, 3)).toEqual(['0 initialize TRIM_HORIZON', '0 process 0,1,2', '0 shardEnded'])
    expect(log.slice(3).sort()).toEqual(['1 initialize TRIM_HORIZON', '2 initialize TRIM_HORIZON'])
    expect(inputs).toMatchObject([{ millisBehindLatest: 0, aborted: false, sinceRead: 0 }])
    await ran.stop()
    expect(log.filter((each) => each.startsWith('0'))).toHaveLength(3)
    expect(log.slice(5).sort()).toEqual(['1 leaseLost', '1 shutdownRequested', '2 leaseLost', '2 shutdownRequested'])
    for (const row of (await fleet.leaseStore.list()).leases) expect(row.leaseOwner).toBe(undefined)
  })

  test('whose initialize fails is initialized again until it succeeds, also when it cannot be made; no record comes before', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    let made = 0
    let calls = 0
    const processor = recording(log, {
      initialize: () => {
        if (++calls < 3) throw new Error(`not yet ${calls}`)
      },
    })
    fleet.put(1)
    const ran = run(fleet, (shard) => {
      if (++made === 1) throw new Error('no socket')
      return processor(shard)
    })
    await fleet.until(() => log.some((each) => each.includes('process')))
    expect(log).toEqual([...Array(3).fill('0 initialize TRIM_HORIZON'), '0 process 0'])
    expect(made).toBe(2)
    expect(ran.of('processor-failed')).toMatchObject(
      ['no socket', 'not yet 1', 'not yet 2'].map((message, i) => ({
        ...{ callback: 'initialize', error: { message }, attempt: i + 1, shardId: 'shardId-000000000000' },
        retryInMs: expect.any(Number),
      })),
    )
    await ran.stop()
  })

  test('whose shard is lost during initialize: told by the signal, then by leaseLost, when initialize has returned; no records', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    const { wait, open, waiting } = gate()
    let signal: AbortSignal | undefined
    fleet.put(1)
    const ran = run(
      fleet,
      recording(log, {
        initialize: async (input) => {
          signal = input.signal
          await wait()
          log.push('returned')
        },
      }),
    )
    await fleet.until(waiting)
    await steal(fleet)
    await fleet.until(() => signal?.aborted === true)
    expect(signal?.reason).toBeInstanceOf(LeaseLostError)
    expect(log).toEqual(['0 initialize TRIM_HORIZON'])
    open()
    await fleet.until(() => ran.of('shard-stopped').length === 1)
    expect(log).toEqual(['0 initialize TRIM_HORIZON', 'returned', '0 leaseLost'])
    expect(ran.of('processor-failed')).toEqual([])
    await ran.stop()
  })

  test('whose shard is lost before initialize was called hears nothing of it', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    const consumer = fleet.consumer({ failoverTimeMs: 3_000 })
    consumer.pause()
    const stopped: ConsumerEvent[] = []
    consumer.events.on('shard-stopped', (event) => stopped.push(event))
    const started: ConsumerEvent[] = []
    consumer.events.on('shard-started', (event) => started.push(event))
    const running = consumer.run({ shardRecordProcessor: recording(log) })
    await fleet.until(() => started.length === 1)
    await steal(fleet)
    await fleet.until(() => stopped.length === 1)
    await fleet.settled(Promise.all([consumer.stop(), running]))
    expect(log).toEqual([])
  })

  test('whose shard is lost while processRecords waits: leaseLost comes after it, and it checkpoints nothing', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    const { wait, open, waiting } = gate()
    let seen: AbortSignal | undefined
    let refused: unknown
    fleet.put(1)
    const ran = run(
      fleet,
      recording(log, {
        processRecords: async ({ checkpointer, signal }) => {
          seen = signal
          await wait()
          await checkpointer.checkpoint().catch((error: unknown) => {
            refused = error
            throw error
          })
        },
      }),
    )
    await fleet.until(waiting)
    await steal(fleet)
    await fleet.until(() => seen?.aborted === true)
    expect(log.at(-1)).toBe('0 process 0')
    open()
    await fleet.until(() => ran.of('shard-stopped').length === 1)
    expect(log.slice(-2)).toEqual(['0 process 0', '0 leaseLost'])
    expect(refused).toBeInstanceOf(LeaseLostError)
    expect(ran.of('handler-failed')).toEqual([])
    await ran.stop()
  })

  test('is asked to shut down while nothing happens, and checkpoints then; leaseLost is the last', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    fleet.put(3)
    const ran = run(
      fleet,
      recording(log, {
        processRecords: () => {},
        shutdownRequested: ({ checkpointer }) => checkpointer.checkpoint(),
      }),
    )
    await fleet.until(() => log.length === 2)
    await fleet.clock.advanceAsync(20_000)
    expect((await fleet.leaseStore.list()).leases).toMatchObject([{ checkpoint: TRIM_HORIZON }])
    await ran.stop()
    expect(log).toEqual(['0 initialize TRIM_HORIZON', '0 process 0,1,2', '0 shutdownRequested', '0 leaseLost'])
    expect((await fleet.leaseStore.list()).leases).toMatchObject([{ checkpoint: { kind: 'sequence' }, leaseOwner: undefined }])
  })

  test('that fails to shut down is asked three times, and the shard is given back all the same', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    const fail = (): never => {
      throw new Error('no')
    }
    const ran = run(fleet, recording(log, { shutdownRequested: fail, leaseLost: fail }))
    await fleet.until(() => log.length === 1)
    await ran.stop()
    expect(log.slice(1)).toEqual([...Array(3).fill('0 shutdownRequested'), '0 leaseLost'])
    expect(ran.of('processor-failed')).toMatchObject([
      ...[1, 2].map((attempt) => ({ callback: 'shutdownRequested', attempt, retryInMs: expect.any(Number) })),
      { callback: 'shutdownRequested', attempt: 3, retryInMs: undefined },
      { callback: 'leaseLost', attempt: 1, retryInMs: undefined },
    ])
    expect((await fleet.leaseStore.list()).leases).toMatchObject([{ leaseOwner: undefined }])
  })

  test('hands over where it checkpointed: the next one begins there', async () => {
    const fleet = setUp(2)
    const log: string[] = []
    const next: string[] = []
    fleet.put(64)
    const first = run(fleet, recording(log), 'first')
    await fleet.until(() => log.filter((each) => each.includes('process')).length === 2)
    const second = run(fleet, recording(next), 'second')
    await fleet.until(() => next.length === 1)
    expect(log.slice(4).map((each) => each.slice(2))).toEqual(['shutdownRequested', 'leaseLost'])
    const shard = next[0]!.slice(0, 1)
    const row = (await fleet.leaseStore.list()).leases.find(({ shardId }) => shardId.endsWith(shard))
    expect(row?.checkpoint.kind).toBe('sequence')
    expect(next[0]).toContain(row?.checkpoint.kind === 'sequence' ? row.checkpoint.sequenceNumber : '')
    await first.stop()
    await second.stop()
  })

  test('that does not checkpoint at the end of its shard is asked again and again, and the children wait', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    let checkpoints = false
    fleet.put(1)
    split(fleet)
    const ran = run(
      fleet,
      recording(log, {
        // At the last record, but not at the end: the KCL does not take that for an answer either.
        shardEnded: ({ checkpointer }) => (checkpoints ? checkpointer.checkpoint() : undefined),
      }),
    )
    await fleet.until(() => ran.of('checkpoint-awaited').length >= 3)
    const asked = log.filter((each) => each === '0 shardEnded').length
    expect(asked).toBeGreaterThanOrEqual(3)
    expect(log.filter((each) => !each.startsWith('0'))).toEqual([])
    expect(ran.of('checkpoint-awaited')[0]).toMatchObject({ shardId: 'shardId-000000000000', end: { kind: 'sequence' } })
    checkpoints = true
    await fleet.until(() => log.filter((each) => each.includes('initialize')).length === 3)
    await ran.stop()
    expect(log).not.toContain('0 leaseLost')
  })

  test('whose shardEnded fails is asked again, though it had checkpointed', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    let calls = 0
    split(fleet)
    const ran = run(
      fleet,
      recording(log, {
        shardEnded: async ({ checkpointer }) => {
          await checkpointer.checkpoint()
          if (++calls < 3) throw new Error('the file is not closed')
        },
      }),
    )
    await fleet.until(() => ran.of('lease-ended').length === 1)
    // An empty shard, closed from the beginning.
    expect(log.filter((each) => each.startsWith('0'))).toEqual(['0 initialize TRIM_HORIZON', ...Array(3).fill('0 shardEnded')])
    expect(ran.of('processor-failed')).toMatchObject([1, 2].map((attempt) => ({ callback: 'shardEnded', attempt })))
    await ran.stop()
  })

  test('that is stopped while its ended shard waits for the checkpoint: no shutdownRequested, and the next one comes to the end again', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    fleet.put(1)
    split(fleet)
    const ran = run(fleet, recording(log, { processRecords: () => {}, shardEnded: () => {} }))
    await fleet.until(() => ran.of('checkpoint-awaited').length === 1)
    await ran.stop()
    expect(log.at(-1)).toBe('0 leaseLost')
    expect(log).not.toContain('0 shutdownRequested')
    const again: string[] = []
    const next = run(fleet, recording(again))
    await fleet.until(() => again.filter((each) => each.includes('initialize')).length === 3)
    expect(again.slice(0, 3)).toEqual(['0 initialize TRIM_HORIZON', '0 process 0', '0 shardEnded'])
    await next.stop()
  })

  test('that fails on records gets the same ones again, without those that it had checkpointed', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    let calls = 0
    fleet.put(4)
    const ran = run(
      fleet,
      recording(log, {
        processRecords: async ({ records, checkpointer }) => {
          if (++calls === 1) throw new Error('not now')
          if (calls > 2) return
          await checkpointer.checkpoint(records[1])
          throw new Error('nor the others')
        },
      }),
    )
    await fleet.until(() => calls === 3)
    expect(log.slice(1)).toEqual(['0 process 0,1,2,3', '0 process 0,1,2,3', '0 process 2,3'])
    expect(ran.of('handler-failed')).toMatchObject([{ records: 4 }, { records: 2 }])
    await ran.stop()
  })

  test('finds what the one before it had prepared', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    fleet.put(3)
    const first = run(
      fleet,
      recording(log, {
        processRecords: ({ records, checkpointer }) => checkpointer.prepareCheckpoint(records[1], new Uint8Array([1, 2])),
      }),
    )
    await fleet.until(() => log.length === 2)
    await first.stop()
    let found: object | undefined
    let later: RecordProcessorCheckpointer | undefined
    let sequenceNumber = ''
    const second = run(
      fleet,
      recording(log, {
        initialize: (input) => {
          found = input
        },
        processRecords: ({ records, checkpointer }) => {
          sequenceNumber = records[1]!.sequenceNumber
          later = checkpointer
        },
      }),
    )
    await fleet.until(() => later !== undefined)
    expect(found).toMatchObject({
      shardId: 'shardId-000000000000',
      extendedSequenceNumber: { sequenceNumber: 'TRIM_HORIZON', subSequenceNumber: 0 },
      pendingCheckpointSequenceNumber: { sequenceNumber, subSequenceNumber: 0 },
      pendingCheckpointState: new Uint8Array([1, 2]),
    })
    await fleet.settled(later!.checkpoint({ sequenceNumber, subSequenceNumber: 0 }))
    expect((await fleet.leaseStore.list()).leases).toMatchObject([
      { checkpoint: sequencePosition(sequenceNumber), pendingCheckpoint: undefined },
    ])
    await second.stop()
  })

  test('that does not return in the time of a stop is left alone: no callback comes beside the one in hand', async () => {
    const fleet = setUp(1)
    const log: string[] = []
    const { wait, open, waiting } = gate()
    fleet.put(1)
    const ran = run(fleet, recording(log, { processRecords: wait }))
    await fleet.until(waiting)
    await ran.stop({ timeoutMs: 500 })
    expect(ran.of('handler-abandoned')).toHaveLength(1)
    open()
    await fleet.clock.advanceAsync(1_000)
    expect(log).toEqual(['0 initialize TRIM_HORIZON', '0 process 0'])
  })

  test.each(['initialize', 'shutdownRequested', 'shardEnded', 'leaseLost'] as const)(
    'whose %s does not return does not hold up a stop with a time limit',
    async (callback) => {
      const fleet = setUp(1)
      const log: string[] = []
      if (callback === 'shardEnded') split(fleet)
      const { wait, open, waiting } = gate()
      const ran = run(fleet, recording(log, { [callback]: wait }))
      await fleet.until(() => log.length > 0)
      if (callback !== 'leaseLost' && callback !== 'shutdownRequested') await fleet.until(waiting)
      await ran.stop({ timeoutMs: 500 })
      expect(waiting()).toBe(true)
      expect(log.at(-1)).toMatch(callback)
      expect((await fleet.leaseStore.list()).leases.every(({ leaseOwner }) => leaseOwner === undefined)).toBe(true)
      open()
    },
  )
})

test('what is given up by onFailure is processRecords’ alone', async () => {
  const fleet = setUp(1)
  const consumer = fleet.consumer({ retry: { baseMs: 100, maxMs: 100 } })
  const log: string[] = []
  const skipped: string[] = []
  consumer.events.on('record-skipped', ({ error }) => skipped.push((error as Error).message))
  fleet.put(3)
  let tries = 0
  const running = consumer.run(
    {
      shardRecordProcessor: recording(log, {
        initialize: () => {
          if (++tries < 4) throw new Error('not yet')
        },
        processRecords: ({ records }) => {
          if (records.some(({ data }) => text(data) === '1')) throw new Error('poison')
        },
      }),
    },
    { onFailure: { attempts: 2, giveUp: 'skip' } },
  )
  await fleet.until(() => skipped.length === 1 && log.at(-1) === '0 process 2')
  expect([tries, skipped]).toEqual([4, ['poison']])
  await fleet.settled(Promise.all([consumer.stop(), running]))
})
