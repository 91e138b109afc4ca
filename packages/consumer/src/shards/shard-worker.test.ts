import { AggregateBuilder } from '@shardwise/aggregation'
import { ManualClock } from '@shardwise/core/clock'
import type { ChildShard, KinesisRecord } from '@shardwise/core/kinesis-port'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { PendingCheckpoint } from '../checkpoints/pending-checkpoint.js'
import { type Position, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { ConsumerStoppingError } from '../consumer-error.js'
import type { FailurePolicy } from '../delivery/failure-policy.js'
import type { HandlerContext, Handlers } from '../delivery/handler.js'
import { PausedShards } from '../delivery/paused-shards.js'
import type { StartGate } from '../delivery/start-gate.js'
import type { HeldLease } from '../leases/held-lease.js'
import { LeaseLostError } from '../leases/lease-lost-error.js'
import type { RunHandlers } from '../run-handlers.js'
import type { RunSettings } from '../run-options.js'
import { ByteBudget, type ShardRoom } from '../sources/byte-budget.js'
import type { FetchedBatch, RecordSource } from '../sources/record-source.js'
import { StopLimit } from '../stop-limit.js'
import { ReadWatch } from './read-watch.js'
import { ShardWorker } from './shard-worker.js'
import type { ShardWorkerEvent } from './shard-worker-event.js'

const CHILDREN: ChildShard[] = [{ ShardId: 'child', ParentShards: ['shard'] }]

class FakeLease implements HeldLease {
  readonly leaseKey = 'shard'
  readonly shardId = 'shard'
  readonly startAt = undefined
  readonly pendingCheckpoint: PendingCheckpoint | undefined
  readonly range = undefined
  readonly generation = 1
  readonly #lost = new AbortController()
  readonly #drain = new AbortController()
  readonly signal = this.#lost.signal
  readonly drain = this.#drain.signal
  readonly resumeFrom: Position
  /** What happened to the lease, in order. */
  readonly log: string[] = []
  trusted = true
  asked = 0
  answerDoubt: ((ours: boolean) => void) | undefined
  onEnd: () => Promise<void> = async () => {}
  recorded = true
  reading: Pick<ReadWatch, 'stalledMs'> | undefined
  constructor(resumeFrom: Position, pendingCheckpoint?: PendingCheckpoint) {
    this.resumeFrom = resumeFrom
    this.pendingCheckpoint = pendingCheckpoint
  }
  isOurs(): boolean {
    this.asked++
    return this.trusted && !this.signal.aborted
  }
  renewWhile(reading: Pick<ReadWatch, 'stalledMs'>): void {
    this.reading = reading
  }
  revalidate(): Promise<boolean> {
    return new Promise((resolve) => {
      this.answerDoubt = resolve
    })
  }
  confirm(): Promise<boolean> {
    return Promise.resolve(this.isOurs())
  }
  checkpoint(position: Position): void {
    this.log.push(
      position.kind === 'sequence' ? `checkpoint ${position.sequenceNumber}/${position.subSequenceNumber}` : position.kind,
    )
  }
  async checkpointNow(position: Position): Promise<void> {
    if (this.signal.aborted) throw this.signal.reason
    this.log.push(
      position.kind === 'sequence' ? `written ${position.sequenceNumber}/${position.subSequenceNumber}` : position.kind,
    )
  }
  async endShard(children: readonly ChildShard[]): Promise<boolean> {
    await this.onEnd()
    this.log.push(`end ${children.map((child) => child.ShardId)}`)
    return this.recorded
  }
  async release(): Promise<void> {
    this.log.push('release')
  }
  lose(): void {
    this.#lost.abort(new LeaseLostError('shard', 'me', 'another worker took it'))
  }
  askToDrain(): void {
    this.#drain.abort()
  }
}

/** Hands out what a test gives it. */
class FakeSource implements RecordSource {
  readonly #waiting: FetchedBatch[] = []
  #arrived: (() => void) | undefined
  calls = 0
  room: ShardRoom | undefined
  give(...batches: Partial<FetchedBatch>[]): void {
    this.#waiting.push(
      ...batches.map((batch) => ({ records: [], bytes: 100, millisBehindLatest: 0, children: undefined, ...batch })),
    )
    this.#arrived?.()
  }
  async next(signal: AbortSignal): Promise<FetchedBatch> {
    this.calls++
    for (;;) {
      signal.throwIfAborted()
      const batch = this.#waiting.shift()
      if (batch !== undefined) {
        await this.room?.enter(batch.bytes, signal)
        this.room?.settle(batch.bytes)
        return batch
      }
      await new Promise<void>((resolve) => {
        this.#arrived = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

function plain(...sequenceNumbers: number[]): KinesisRecord[] {
  return sequenceNumbers.map((n) => ({ SequenceNumber: String(n), PartitionKey: 'a', Data: bytes(String(n)) }))
}

function aggregate(sequenceNumber: number, count: number): KinesisRecord {
  const builder = new AggregateBuilder({ maxBytes: 1_000_000 })
  for (let i = 0; i < count; i++) builder.tryAdd('a', bytes(`${sequenceNumber}-${i}`))
  return { SequenceNumber: String(sequenceNumber), PartitionKey: 'a', Data: builder.seal().bytes.slice() }
}

/** A handler whose calls wait until the test lets them go. */
class GatedHandler {
  readonly started: string[] = []
  readonly signals: AbortSignal[] = []
  readonly #gates: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = []
  readonly handlers: Handlers = {
    eachRecord: (record, context) => {
      this.started.push(`${record.sequenceNumber}/${record.subSequenceNumber}`)
      this.signals.push(context.signal)
      return new Promise<void>((resolve, reject) => {
        this.#gates.push({ resolve, reject })
      })
    },
  }
  /** The oldest in hand, or the one after so many. */
  finish(after = 0): void {
    this.#gates.splice(after, 1)[0]!.resolve()
  }
  fail(): void {
    this.#gates.shift()!.reject(new Error('handler says no'))
  }
}

/** Lets promise callbacks run. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function setUp(
  handlers: RunHandlers,
  resumeFrom: Position = TRIM_HORIZON,
  run: Partial<RunSettings> = {},
  gates: readonly StartGate[] = [],
  pendingCheckpoint?: PendingCheckpoint,
) {
  const clock = new ManualClock()
  const stopLimit = new StopLimit(clock)
  const lease = new FakeLease(resumeFrom, pendingCheckpoint)
  const source = new FakeSource()
  const reading = new ReadWatch(500)
  const events: ShardWorkerEvent[] = []
  const budget = new ByteBudget(1 << 30)
  const room = budget.join()
  source.room = room
  const worker = new ShardWorker({
    stream: 'flights',
    lease,
    source,
    reading,
    room,
    handlers,
    run: { concurrency: 1, onFailure: 'retry', checkpoint: 'auto', ...run },
    handlerBackoff: { baseMs: 100, maxMs: 30_000 },
    gates,
    stopLimit,
    checkpointWriteAfterMs: undefined,
    checkpointEveryRecords: undefined,
    clock,
    random: () => 0,
    emit: (event) => events.push(event),
  })
  onTestFinished(() => expect(clock.pendingTimers).toBe(0))
  return {
    clock,
    lease,
    source,
    reading,
    room,
    budget,
    events,
    worker,
    stopLimit,
    types: () => events.map((event) => event.type),
  }
}

describe('ShardWorker', () => {
  it('frees the room of what is completed, and of all when it ends', async () => {
    const handler = new GatedHandler()
    const { budget, source, worker, lease } = setUp(handler.handlers)
    source.give({ records: plain(1), bytes: 100 }, { records: plain(2), bytes: 30 })
    const running = worker.run()
    await turn()
    expect(budget.held).toBe(130)
    handler.finish()
    await turn()
    expect(budget.held).toBe(30)
    lease.lose()
    handler.finish()
    await running
    expect(budget.held).toBe(0)
  })

  it('delivers in order, checkpoints what is completed, and ends the shard after its last record', async () => {
    const seen: string[] = []
    const { lease, source, worker, types, events } = setUp({
      eachRecord: async (record) => {
        lease.log.push(`handled ${record.sequenceNumber}/${record.subSequenceNumber}`)
        seen.push(new TextDecoder().decode(record.data))
      },
    })
    source.give({ records: [...plain(1), aggregate(2, 2)] }, { records: plain(3), children: CHILDREN })
    await worker.run()
    expect(seen).toEqual(['1', '2-0', '2-1', '3'])
    expect(lease.log).toEqual([
      ...['1/0', '2/0', '2/1', '3/0'].flatMap((at) => [`handled ${at}`, `checkpoint ${at}`]),
      'end child',
    ])
    expect(worker.state).toBe('ended')
    expect(types()).toEqual(['shard-started', 'batch-completed', 'batch-completed', 'shard-stopped'])
    expect(events[1]).toMatchObject({ records: 3, kinesisRecords: 2, millisBehindLatest: 0, outsideShardRange: 0 })
    expect(events[3]).toMatchObject({ outcome: 'ended' })
  })

  it('eachRecord: a long read is unpacked bit by bit, is one read all the same, and another shard has its turn in between', async () => {
    const log: string[] = []
    const of = (shard: string) => {
      const { source, worker, types } = setUp({
        eachRecord: ({ subSequenceNumber }) => void log.push(`${shard}${subSequenceNumber}`),
      })
      source.give({ records: [aggregate(1, 1200)], children: CHILDREN })
      return { run: worker.run(), types }
    }
    const shards = [of('a'), of('b')]
    await Promise.all(shards.map(({ run }) => run))
    const all = Array.from({ length: 1200 }, (_, i) => i)
    expect(log.filter((each) => each.startsWith('a'))).toEqual(all.map((i) => `a${i}`))
    expect(log.filter((each) => each.startsWith('b'))).toEqual(all.map((i) => `b${i}`))
    expect(log.indexOf('b0')).toBeLessThan(1199)
    for (const { types } of shards) expect(types()).toEqual(['shard-started', 'batch-completed', 'shard-stopped'])
  })

  it('hands over the user records of one read as a batch, completed together', async () => {
    const batches: string[][] = []
    const { lease, source, worker } = setUp({
      eachBatch: async (records, context) => {
        batches.push(records.map((record) => `${record.sequenceNumber}/${record.subSequenceNumber}`))
        expect(context).toMatchObject({ shardId: 'shard', millisBehindLatest: 77, attempt: 1 })
      },
    })
    source.give({ records: [...plain(1), aggregate(2, 2)], millisBehindLatest: 77 }, { children: CHILDREN })
    await worker.run()
    expect(batches).toEqual([['1/0', '2/0', '2/1']])
    expect(lease.log).toEqual(['checkpoint 2/1', 'end child'])
  })

  it('scenario 24: ends a closed shard without records, calling no handler', async () => {
    const { lease, source, worker } = setUp({ eachBatch: () => expect.unreachable() })
    source.give({ children: CHILDREN })
    await worker.run()
    expect(lease.log).toEqual(['end child'])
  })

  it('scenario 25: resumes in mid-aggregate at the member after the checkpoint', async () => {
    const seen: string[] = []
    const { source, worker } = setUp(
      { eachRecord: (record) => void seen.push(`${record.sequenceNumber}/${record.subSequenceNumber}`) },
      sequencePosition('2', 1),
    )
    source.give({ records: [aggregate(2, 4), ...plain(3)] }, { children: CHILDREN })
    await worker.run()
    expect(seen).toEqual(['2/2', '2/3', '3/0'])
  })

  describe('when the handler fails', () => {
    it('repeats the same record with growing pauses and never goes on without it', async () => {
      const calls: string[] = []
      const { clock, lease, source, worker, events } = setUp({
        eachRecord: (record, { attempt }) => {
          calls.push(`${record.sequenceNumber} attempt ${attempt} at ${clock.now()}`)
          if (record.sequenceNumber === '2' && attempt <= 3) throw new Error('no')
        },
      })
      source.give({ records: plain(1, 2, 3) }, { children: CHILDREN })
      const run = worker.run()
      await clock.advanceAsync(10_000)
      await run
      expect(calls).toEqual([
        '1 attempt 1 at 0',
        '2 attempt 1 at 0',
        '2 attempt 2 at 50',
        '2 attempt 3 at 150',
        '2 attempt 4 at 350',
        '3 attempt 1 at 350',
      ])
      expect(lease.log).toEqual(['checkpoint 1/0', 'checkpoint 2/0', 'checkpoint 3/0', 'end child'])
      expect(events.filter((event) => event.type === 'handler-failed')).toMatchObject([
        { sequenceNumber: '2', records: 1, attempt: 1, retryInMs: 50 },
        { attempt: 2 },
        { attempt: 3, retryInMs: 200 },
      ])
    })

    it('repeats a whole batch, and checkpoints none of it before', async () => {
      let calls = 0
      const { clock, lease, source, worker } = setUp({
        eachBatch: async () => {
          if (++calls < 3) throw new Error('no')
        },
      })
      source.give({ records: plain(1, 2) })
      const run = worker.run()
      await clock.advanceAsync(100)
      expect(calls).toBe(2)
      expect(lease.log).toEqual([])
      await clock.advanceAsync(100)
      expect(lease.log).toEqual(['checkpoint 2/0'])
      lease.askToDrain()
      await run
    })

    it('gives the record up to the next owner when stopped meanwhile', async () => {
      const { clock, lease, source, worker } = setUp({
        eachRecord: (record) => {
          if (record.sequenceNumber === '2') throw new Error('no')
        },
      })
      source.give({ records: plain(1, 2, 3) })
      const run = worker.run()
      await clock.advanceAsync(5_000)
      lease.askToDrain()
      await run
      expect(lease.log).toEqual(['checkpoint 1/0', 'release'])
      expect(worker.state).toBe('released')
    })

    it('scenario 20: a shard whose last record fails does not end', async () => {
      const { clock, lease, source, worker } = setUp({
        eachRecord: () => {
          throw new Error('no')
        },
      })
      source.give({ records: plain(1), children: CHILDREN })
      const run = worker.run()
      await clock.advanceAsync(3_600_000)
      expect(lease.log).toEqual([])
      lease.askToDrain()
      await run
      expect(lease.log).toEqual(['release'])
    })
  })

  describe("'stop-shard'", () => {
    const onFailure: FailurePolicy = { attempts: 2, giveUp: 'stop-shard' }
    const handlers: Handlers = {
      eachRecord: ({ sequenceNumber }) => {
        if (sequenceNumber === '2') throw new Error('no')
      },
    }

    it('keeps the lease at the checkpoint, reads no more and does not end the shard; stopped, it releases', async () => {
      const { clock, lease, source, worker, types } = setUp(handlers, TRIM_HORIZON, { onFailure })
      source.give({ records: plain(1, 2, 3) }, { records: plain(4) }, { children: CHILDREN })
      const run = worker.run()
      await clock.advanceAsync(3_600_000)
      expect(lease.log).toEqual(['checkpoint 1/0'])
      expect([worker.state, source.calls]).toEqual(['running', 2])
      expect(worker.snapshot().blockedAt).toEqual({ sequenceNumber: '2', subSequenceNumber: 0 })
      expect(types().at(-1)).toBe('shard-blocked')
      lease.askToDrain()
      await run
      expect(lease.log).toEqual(['checkpoint 1/0', 'release'])
    })

    it('ends with the loss of the lease', async () => {
      const { clock, lease, source, worker } = setUp(handlers, TRIM_HORIZON, { onFailure })
      source.give({ records: plain(2), children: CHILDREN })
      const run = worker.run()
      await clock.advanceAsync(1000)
      lease.lose()
      await run
      expect(lease.log).not.toContain('end child')
      expect(worker.state).toBe('lost')
    })
  })

  it('with order by key: calls side by side, checkpoints without a gap, and the end after the last', async () => {
    const handler = new GatedHandler()
    const { lease, source, worker } = setUp(handler.handlers, TRIM_HORIZON, { concurrency: 2 })
    const records = plain(1, 2, 3).map((record, i) => ({ ...record, PartitionKey: 'aba'[i]! }))
    source.give({ records, children: CHILDREN })
    const run = worker.run()
    await turn()
    expect(handler.started).toEqual(['1/0', '2/0'])
    handler.finish()
    await turn()
    expect([handler.started.slice(2), lease.log]).toEqual([['3/0'], ['checkpoint 1/0']])
    handler.finish()
    handler.finish()
    await run
    expect(lease.log.slice(1)).toEqual(['checkpoint 2/0', 'checkpoint 3/0', 'end child'])
  })

  describe('with order by key, when one key is slow', () => {
    const keyed = (keys: string, first = 1): KinesisRecord[] =>
      plain(...[...keys].map((_, i) => first + i)).map((record, i) => ({ ...record, PartitionKey: keys[i]! }))

    it('reads on and hands over the other keys; each read is announced when it is completed, and is in memory until then', async () => {
      const handler = new GatedHandler()
      const { lease, source, worker, events } = setUp(handler.handlers, TRIM_HORIZON, { concurrency: 2 })
      source.give({ records: keyed('ab') }, { records: keyed('b', 3), bytes: 30 }, { records: keyed('cb', 4), bytes: 40 })
      const run = worker.run()
      await turn()
      expect(handler.started).toEqual(['1/0', '2/0'])
      handler.finish(1)
      await turn()
      handler.finish(1)
      await turn()
      handler.finish(1)
      await turn()
      expect(handler.started.slice(2)).toEqual(['3/0', '4/0', '5/0'])
      expect(lease.log).toEqual([])
      expect(worker.snapshot()).toMatchObject({ bufferedRecords: 4, bufferedBytes: 140 })
      handler.finish(1)
      await turn()
      expect(events.filter(({ type }) => type === 'batch-completed')).toMatchObject([{ bytes: 30 }, { bytes: 40 }])
      handler.finish()
      await turn()
      expect(lease.log).toEqual(['checkpoint 5/0'])
      expect(events.filter(({ type }) => type === 'batch-completed')).toMatchObject([
        { bytes: 30 },
        { bytes: 40 },
        { bytes: 100 },
      ])
      expect(worker.snapshot()).toMatchObject({ bufferedRecords: 0, bufferedBytes: 0 })
      lease.askToDrain()
      await run
    })

    it('drained while nothing comes: closes the gap before what is completed, then releases', async () => {
      const handler = new GatedHandler()
      const { lease, source, worker } = setUp(handler.handlers, TRIM_HORIZON, { concurrency: 2 })
      source.give({ records: keyed('aab') })
      const run = worker.run()
      await turn()
      handler.finish(1)
      await turn()
      lease.askToDrain()
      await turn()
      handler.finish()
      await turn()
      expect([handler.started, lease.log, worker.state]).toEqual([['1/0', '3/0', '2/0'], ['checkpoint 1/0'], 'draining'])
      handler.finish()
      await run
      expect(lease.log).toEqual(['checkpoint 1/0', 'checkpoint 3/0', 'release'])
    })

    it('a stop that waits no longer begins nothing to close a gap', async () => {
      const handler = new GatedHandler()
      const { clock, lease, source, worker, stopLimit } = setUp(handler.handlers, TRIM_HORIZON, { concurrency: 2 })
      source.give({ records: keyed('aab') })
      const run = worker.run()
      await turn()
      handler.finish(1)
      lease.askToDrain()
      void stopLimit.enforce({ timeoutMs: 100 }, new Promise(() => {}))
      await clock.advanceAsync(100)
      handler.finish()
      await run
      expect([handler.started, lease.log]).toEqual([['1/0', '3/0'], ['release']])
      await clock.advanceAsync(1000)
    })
  })

  describe('when asked to drain', () => {
    it('finishes the call in hand, checkpoints it, begins no other, and releases', async () => {
      const handler = new GatedHandler()
      const { lease, source, worker } = setUp(handler.handlers)
      source.give({ records: plain(1, 2, 3) })
      const run = worker.run()
      await turn()
      lease.askToDrain()
      await turn()
      expect(worker.state).toBe('draining')
      expect(handler.signals[0]?.aborted).toBe(false)
      expect(lease.log).toEqual([])
      handler.finish()
      await run
      expect(handler.started).toEqual(['1/0'])
      expect(lease.log).toEqual(['checkpoint 1/0', 'release'])
      expect(worker.state).toBe('released')
    })

    it('scenario 23: releases at once when nothing is going on', async () => {
      const { lease, worker, events } = setUp({ eachBatch: () => {} })
      const run = worker.run()
      await turn()
      lease.askToDrain()
      await run
      expect(lease.log).toEqual(['release'])
      expect(events.at(-1)).toEqual({ type: 'shard-stopped', shardId: 'shard', outcome: 'released' })
    })

    it('reads nothing when it was asked before it ran', async () => {
      const { lease, source, worker, types } = setUp({ eachBatch: () => {} })
      lease.askToDrain()
      await worker.run()
      expect(source.calls).toBe(0)
      expect(lease.log).toEqual(['release'])
      expect(types()).toEqual(['shard-stopped'])
    })

    it('ends the shard all the same when the call in hand was the last', async () => {
      const handler = new GatedHandler()
      const { lease, source, worker } = setUp(handler.handlers)
      source.give({ records: plain(1), children: CHILDREN })
      const run = worker.run()
      await turn()
      lease.askToDrain()
      handler.finish()
      await run
      expect(lease.log).toEqual(['checkpoint 1/0', 'end child'])
      expect(worker.state).toBe('ended')
    })

    it('releases when the end cannot be recorded, which is no fault', async () => {
      const { lease, source, worker, types } = setUp({ eachBatch: () => {} })
      lease.recorded = false
      source.give({ children: CHILDREN })
      await worker.run()
      expect(lease.log).toEqual(['end child', 'release'])
      expect(worker.state).toBe('released')
      expect(types()).not.toContain('shard-failed')
    })
  })

  describe('when a stop does not wait any longer', () => {
    const stopNow = (clock: ManualClock, lease: FakeLease, stopLimit: StopLimit): Promise<void> => {
      void stopLimit.enforce({ timeoutMs: 500 }, new Promise(() => {}))
      lease.askToDrain()
      return clock.advanceAsync(499)
    }

    it('tells the handler, then gives the lease back without it, and checkpoints nothing that it does later', async () => {
      const handler = new GatedHandler()
      const { clock, lease, source, worker, stopLimit, events, types } = setUp(handler.handlers)
      source.give({ records: plain(1, 2) })
      const run = worker.run()
      await turn()
      handler.finish()
      await turn()
      await stopNow(clock, lease, stopLimit)
      expect(handler.signals[1]?.aborted).toBe(false)
      await clock.advanceAsync(1)
      expect(handler.signals[1]?.reason).toBeInstanceOf(ConsumerStoppingError)
      await clock.advanceAsync(999)
      expect(lease.log).toEqual(['checkpoint 1/0'])
      await clock.advanceAsync(1)
      await run
      expect(events).toContainEqual({ type: 'handler-abandoned', shardId: 'shard', records: 1 })
      expect(types().at(-1)).toBe('shard-stopped')
      expect(lease.log).toEqual(['checkpoint 1/0', 'release'])
      expect(worker.state).toBe('released')
      const before = types().length
      handler.finish()
      await turn()
      expect(lease.log).toEqual(['checkpoint 1/0', 'release'])
      expect(handler.started).toEqual(['1/0', '2/0'])
      expect(types()).toHaveLength(before)
      expect(worker.snapshot().completed).toEqual(sequencePosition('1'))
    })

    it.each(['returns', 'throws'])(
      'a handler that %s when told is not abandoned, and not completed: it may have given up',
      async (how) => {
        const handler = new GatedHandler()
        const { clock, lease, source, worker, stopLimit, types } = setUp(handler.handlers)
        source.give({ records: plain(1, 2) })
        const run = worker.run()
        await turn()
        await stopNow(clock, lease, stopLimit)
        await clock.advanceAsync(1)
        if (how === 'returns') handler.finish()
        else handler.fail()
        await run
        expect(lease.log).toEqual(['release'])
        expect(types()).toEqual(['shard-started', 'shard-stopped'])
        await clock.advanceAsync(5000)
      },
    )

    it('nor is a worker that begins only then: it reads nothing', async () => {
      const { clock, lease, source, worker, stopLimit } = setUp({ eachBatch: () => expect.unreachable() })
      void stopLimit.enforce({ timeoutMs: 0 }, new Promise(() => {}))
      await worker.run()
      expect(source.calls).toBe(0)
      expect(lease.log).toEqual(['release'])
      await clock.advanceAsync(5000)
    })

    it('by key, what is completed behind a call that never returns is not checkpointed, and its failure gives nothing up', async () => {
      const handler = new GatedHandler()
      const run: Partial<RunSettings> = { concurrency: 3, onFailure: { attempts: 1, giveUp: 'skip' } }
      const { clock, lease, source, worker, stopLimit, types } = setUp(handler.handlers, TRIM_HORIZON, run)
      source.give({ records: plain(1, 2, 3).map((record, index) => ({ ...record, PartitionKey: `key-${index}` })) })
      const running = worker.run()
      await turn()
      expect(handler.started).toEqual(['1/0', '2/0', '3/0'])
      handler.finish()
      await turn()
      await stopNow(clock, lease, stopLimit)
      await clock.advanceAsync(1001)
      await running
      const before = types()
      expect(before).toContain('handler-abandoned')
      handler.fail()
      handler.finish()
      await turn()
      expect(lease.log).toEqual(['checkpoint 1/0', 'release'])
      expect(types()).toEqual(before)
    })

    it('does not wait for the handler of a lost lease either', async () => {
      const handler = new GatedHandler()
      const { clock, lease, source, worker, stopLimit } = setUp(handler.handlers)
      source.give({ records: plain(1) })
      const run = worker.run()
      await turn()
      lease.lose()
      await stopNow(clock, lease, stopLimit)
      expect(handler.signals[0]?.reason).toBeInstanceOf(LeaseLostError)
      await clock.advanceAsync(1001)
      await run
      expect(worker.state).toBe('lost')
      expect(lease.log).toEqual(['release'])
    })
  })

  describe('while paused', () => {
    it('begins no call, reads no further than ever, and goes on where it was', async () => {
      const paused = new PausedShards()
      const handler = new GatedHandler()
      const { lease, source, worker } = setUp(handler.handlers, TRIM_HORIZON, {}, [paused])
      source.give({ records: plain(1, 2) }, { records: plain(3) }, { records: plain(4) })
      const run = worker.run()
      await turn()
      paused.pause('shard')
      handler.finish()
      await turn()
      expect(handler.started).toEqual(['1/0'])
      expect(lease.log).toEqual(['checkpoint 1/0'])
      expect(source.calls).toBe(2)
      expect(worker.snapshot()).toMatchObject({ state: 'running', bufferedRecords: 3, bufferedBytes: 200 })
      paused.resume('shard')
      await turn()
      expect(handler.started).toEqual(['1/0', '2/0'])
      paused.pause(undefined)
      handler.finish()
      lease.askToDrain()
      await run
      expect(handler.started).toEqual(['1/0', '2/0'])
      expect(lease.log).toEqual(['checkpoint 1/0', 'checkpoint 2/0', 'release'])
    })

    it('holds back the calls of all keys, and lets all of them go on', async () => {
      const paused = new PausedShards()
      const handler = new GatedHandler()
      const { lease, source, worker } = setUp(handler.handlers, TRIM_HORIZON, { concurrency: 2 }, [paused])
      source.give({ records: plain(1, 2, 3, 4).map((record, i) => ({ ...record, PartitionKey: `${i}` })), children: CHILDREN })
      const run = worker.run()
      await turn()
      paused.pause('shard')
      handler.finish()
      handler.finish()
      await turn()
      expect([handler.started, lease.log]).toEqual([
        ['1/0', '2/0'],
        ['checkpoint 1/0', 'checkpoint 2/0'],
      ])
      paused.resume('shard')
      await turn()
      expect(handler.started.slice(2)).toEqual(['3/0', '4/0'])
      handler.finish()
      handler.finish()
      await run
      expect(worker.state).toBe('ended')
    })

    it('repeats no failed call', async () => {
      const paused = new PausedShards()
      const handler = new GatedHandler()
      const { clock, lease, source, worker } = setUp(handler.handlers, TRIM_HORIZON, {}, [paused])
      source.give({ records: plain(1) })
      const run = worker.run()
      await turn()
      handler.fail()
      await turn()
      paused.pause('shard')
      await clock.advanceAsync(60_000)
      expect(handler.started).toHaveLength(1)
      paused.resume('shard')
      await turn()
      expect(handler.started).toHaveLength(2)
      lease.lose()
      handler.finish()
      await run
    })
  })

  describe('when the lease is lost', () => {
    it('scenario 23: tells the blocked handler, waits for it, calls it no more and does not end the shard', async () => {
      const handler = new GatedHandler()
      const { lease, source, worker } = setUp(handler.handlers)
      source.give({ records: plain(1, 2), children: CHILDREN })
      const run = worker.run()
      await turn()
      lease.lose()
      await turn()
      expect(handler.signals[0]?.reason).toBeInstanceOf(LeaseLostError)
      expect(lease.log).toEqual([])
      handler.finish()
      await run
      expect(handler.started).toEqual(['1/0'])
      expect(lease.log.at(-1)).toBe('release')
      expect(lease.log).not.toContain('end child')
      expect(worker.state).toBe('lost')
    })

    it('reads nothing when it was lost before it ran', async () => {
      const { lease, source, worker } = setUp({ eachBatch: () => {} })
      lease.lose()
      await worker.run()
      expect(source.calls).toBe(0)
      expect(worker.state).toBe('lost')
    })

    it('does not go on retrying a failing handler', async () => {
      const { clock, lease, source, worker } = setUp({
        eachRecord: () => {
          throw new Error('no')
        },
      })
      source.give({ records: plain(1) })
      const run = worker.run()
      await clock.advanceAsync(1_000)
      lease.lose()
      await run
      expect(worker.state).toBe('lost')
    })

    it('notices it at the end of the shard', async () => {
      const { lease, source, worker, events } = setUp({ eachBatch: () => {} })
      lease.onEnd = async () => {
        throw new LeaseLostError('shard', 'me', 'another worker took it')
      }
      source.give({ children: CHILDREN })
      await worker.run()
      expect(worker.state).toBe('lost')
      expect(events.at(-1)).toMatchObject({ outcome: 'lost' })
    })
  })

  describe('when the lease is in doubt', () => {
    it('starts no handler call before that is settled', async () => {
      const handler = new GatedHandler()
      const { lease, source, worker } = setUp(handler.handlers)
      source.give({ records: plain(1, 2), children: CHILDREN })
      const run = worker.run()
      await turn()
      lease.trusted = false
      handler.finish()
      await turn()
      expect(handler.started).toEqual(['1/0'])
      lease.trusted = true
      lease.answerDoubt?.(true)
      await turn()
      expect(handler.started).toEqual(['1/0', '2/0'])
      handler.finish()
      await run
      expect(worker.state).toBe('ended')
    })

    it('stops when asked to, without waiting for the table', async () => {
      const { lease, source, worker } = setUp({ eachBatch: () => expect.unreachable() })
      lease.trusted = false
      source.give({ records: plain(1) })
      const run = worker.run()
      await turn()
      lease.askToDrain()
      await run
      expect(lease.log).toEqual(['release'])
    })

    it('asks right before each call', async () => {
      const asked: number[] = []
      const { lease, source, worker } = setUp({ eachRecord: () => void asked.push(lease.asked) })
      source.give({ records: plain(1, 2, 3), children: CHILDREN })
      await worker.run()
      expect(asked).toEqual([1, 2, 3])
    })
  })

  describe('reading ahead', () => {
    it('fetches one batch while the handler works, not more', async () => {
      const handler = new GatedHandler()
      const { lease, source, worker } = setUp(handler.handlers)
      source.give({ records: plain(1) }, { records: plain(2) }, { records: plain(3) })
      const run = worker.run()
      await turn()
      expect(source.calls).toBe(2)
      handler.finish()
      await turn()
      expect(source.calls).toBe(3)
      lease.askToDrain()
      handler.finish()
      await run
    })

    it('fetches nothing while a large batch is in memory', async () => {
      const handler = new GatedHandler()
      const { lease, source, worker } = setUp(handler.handlers)
      source.give({ records: plain(1), bytes: 9 * 1024 * 1024 }, { records: plain(2) })
      const run = worker.run()
      await turn()
      expect(source.calls).toBe(1)
      handler.finish()
      await turn()
      expect(source.calls).toBe(3)
      lease.askToDrain()
      handler.finish()
      await run
    })
  })

  it('skips nothing by a checkpoint that the service refused: its number is not of this shard', async () => {
    const got: string[] = []
    const { source, worker } = setUp({ eachRecord: ({ sequenceNumber }) => void got.push(sequenceNumber) }, sequencePosition('7'))
    source.give({ records: plain(5, 7), fromOldest: true, children: CHILDREN })
    await worker.run()
    expect(got).toEqual(['5', '7'])
  })

  it('gives the lease up and says so when something goes wrong that nobody expected', async () => {
    const { lease, source, worker, events } = setUp({ eachBatch: () => {} })
    source.next = async () => {
      throw new TypeError('bug')
    }
    await worker.run()
    expect(events).toMatchObject([
      { type: 'shard-started' },
      { type: 'shard-failed', error: { message: 'bug' } },
      { type: 'shard-stopped', outcome: 'released' },
    ])
    expect(lease.log).toEqual(['release'])
  })
})

describe('a worker whose handler makes the checkpoints', () => {
  const MANUAL = { checkpoint: 'manual' } as const

  it('checkpoints nothing by itself, and is given back where the handler checkpointed', async () => {
    const { lease, source, worker } = setUp(
      {
        eachBatch: async (records, { checkpoint }) => {
          await checkpoint(records[1])
          lease.askToDrain()
        },
      },
      TRIM_HORIZON,
      MANUAL,
    )
    source.give({ records: [aggregate(1, 3)] })
    await worker.run()
    expect(lease.log).toEqual(['written 1/1', 'release'])
    // Handled, though not checkpointed.
    expect(worker.snapshot()).toMatchObject({ state: 'released', completed: sequencePosition('1', 2) })
  })

  it('has read its shard to the end and waits for the checkpoint of the last record: announced, again and again, until it is made', async () => {
    let late: HandlerContext | undefined
    const { clock, lease, source, worker, events } = setUp(
      {
        eachRecord: (_record, context) => {
          late = context
        },
      },
      TRIM_HORIZON,
      MANUAL,
    )
    source.give({ records: plain(1, 2), children: CHILDREN })
    const run = worker.run()
    await clock.advanceAsync(50)
    await clock.advanceAsync(100)
    const awaited = { type: 'checkpoint-awaited', shardId: 'shard', checkpoint: TRIM_HORIZON, end: sequencePosition('2') }
    expect(events.slice(2)).toEqual([
      { ...awaited, waitedMs: 50 },
      { ...awaited, waitedMs: 150 },
    ])
    expect(worker.snapshot()).toMatchObject({ state: 'running', awaitsCheckpoint: true })
    await late?.checkpoint({ sequenceNumber: '1', subSequenceNumber: 0 })
    await clock.advanceAsync(0)
    expect(events.at(-1)).toMatchObject({ ...awaited, checkpoint: sequencePosition('1') })
    expect([lease.log, worker.state]).toEqual([['written 1/0'], 'running'])
    await late?.checkpoint()
    await run
    expect([lease.log, worker.state]).toEqual([['written 1/0', 'written 2/0', 'end child'], 'ended'])
    expect(worker.snapshot().awaitsCheckpoint).toBe(false)
  })

  it('ends a shard at once whose last record was checkpointed, also in another life', async () => {
    for (const [resumeFrom, records] of [
      [TRIM_HORIZON, plain(1)],
      [sequencePosition('1'), plain(1)],
      [TRIM_HORIZON, []],
    ] as const) {
      const { lease, source, worker, types } = setUp(
        { eachRecord: (record, { checkpoint }) => checkpoint(record) },
        resumeFrom,
        MANUAL,
      )
      source.give({ records, children: CHILDREN })
      await worker.run()
      expect([lease.log.at(-1), worker.state]).toEqual(['end child', 'ended'])
      expect(types()).not.toContain('checkpoint-awaited')
    }
  })

  it.each([
    ['handed over', (lease: FakeLease) => lease.askToDrain(), 'released'],
    ['lost', (lease: FakeLease) => lease.lose(), 'lost'],
  ])('is %s while it waits: the next owner reads on from the last checkpoint', async (_name, act, outcome) => {
    const { clock, lease, source, worker } = setUp({ eachRecord: () => {} }, TRIM_HORIZON, MANUAL)
    source.give({ records: plain(1), children: CHILDREN })
    const run = worker.run()
    await clock.advanceAsync(1_000)
    act(lease)
    await run
    expect([lease.log, worker.state]).toEqual([['release'], outcome])
  })

  it('a handler that a stop does not wait for any longer checkpoints nothing more', async () => {
    const handler = new GatedHandler()
    let context: HandlerContext | undefined
    const { clock, lease, source, worker, stopLimit } = setUp(
      {
        eachRecord: (record, given) => {
          context = given
          return handler.handlers.eachRecord!(record, given)
        },
      },
      TRIM_HORIZON,
      MANUAL,
    )
    source.give({ records: plain(1) })
    const run = worker.run()
    await clock.advanceAsync(0)
    void stopLimit.enforce({ timeoutMs: 0 }, run)
    await clock.advanceAsync(1_000)
    await run
    await expect(context?.checkpoint()).rejects.toThrow(ConsumerStoppingError)
    handler.finish()
    await clock.advanceAsync(0)
    expect(lease.log).toEqual(['release'])
  })

  it('what an owner before has prepared is committed by the handler, and is not handed over any more', async () => {
    const seen: string[] = []
    const { lease, source, worker } = setUp(
      {
        eachBatch: async (records, { pendingCheckpoint: found, checkpoint }) => {
          if (found !== undefined) await checkpoint(found.position)
          for (const record of records)
            if (found?.covers(record) !== true) seen.push(`${record.sequenceNumber}/${record.subSequenceNumber}`)
        },
      },
      TRIM_HORIZON,
      MANUAL,
      [],
      { position: sequencePosition('5', 1), state: undefined },
    )
    source.give(
      { records: plain(1, 2) },
      { records: [...plain(3, 4), aggregate(5, 3)] },
      { records: plain(6), children: CHILDREN },
    )
    const run = worker.run()
    await turn()
    lease.askToDrain()
    await run
    expect(lease.log).toEqual(['written 5/1', 'release'])
    expect(seen).toEqual(['5/2', '6/0'])
  })

  it('checkpoints from the oldest record on, where the checkpoint that was found is not of this shard', async () => {
    const { lease, source, worker } = setUp(
      { eachRecord: (record, { checkpoint }) => checkpoint(record) },
      sequencePosition('99'),
      MANUAL,
    )
    source.give({ records: plain(5, 7), fromOldest: true, children: CHILDREN })
    await worker.run()
    expect(lease.log).toEqual(['written 5/0', 'written 7/0', 'end child'])
  })

  it('tells the handler its generation and what an owner before has prepared', async () => {
    const told: unknown[] = []
    const { lease, source, worker } = setUp(
      {
        eachRecord: async (record, { generation, pendingCheckpoint, checkpoint }) => {
          told.push([generation, pendingCheckpoint])
          if (record.sequenceNumber === '1') await checkpoint()
          else lease.askToDrain()
        },
      },
      TRIM_HORIZON,
      MANUAL,
      [],
      { position: sequencePosition('1'), state: new Uint8Array([7]) },
    )
    source.give({ records: plain(1) }, { records: plain(2) })
    await worker.run()
    expect(told).toEqual([
      [1, expect.objectContaining({ position: sequencePosition('1'), state: new Uint8Array([7]) })],
      [1, undefined],
    ])
  })
})

it('tells a record processor which records are the last of the shard, and what follows it', async () => {
  const told: unknown[] = []
  const { lease, source, worker } = setUp(
    {
      shardRecordProcessor: () => ({
        initialize: () => {},
        processRecords: ({ records, isAtShardEnd, childShards, cacheEntryTime }) => {
          told.push([records.length, isAtShardEnd, childShards.map((child) => child.shardId), cacheEntryTime.getTime()])
        },
        shardEnded: ({ checkpointer }) => checkpointer.checkpoint(),
        shutdownRequested: () => {},
        leaseLost: () => {},
      }),
    },
    TRIM_HORIZON,
    { checkpoint: 'manual' },
  )
  const readAt = new ManualClock().wallTime()
  source.give({ records: plain(1) }, { records: [aggregate(2, 5_000), aggregate(3, 7_000)], children: CHILDREN })
  await worker.run()
  expect(told).toEqual([
    [1, false, [], readAt],
    [10_000, false, [], readAt],
    [2_000, true, ['child'], readAt],
  ])
  expect(lease.log).toEqual(['written 3/6999', 'end child'])
})

describe('whether its reading is alive, for the renewals', () => {
  /** What renewals see that look every three seconds, for so long. */
  function stalled(clock: ManualClock, lease: FakeLease, forMs: number): boolean {
    let seen = false
    for (let passed = 0; passed < forMs; passed += 3_000) {
      clock.advance(3_000)
      if (lease.reading!.stalledMs(clock.now()) !== undefined) seen = true
    }
    return seen
  }

  it('stalls when it waits for a source that says nothing, and not while it says something', async () => {
    const { clock, lease, reading, source, worker } = setUp({ eachBatch: () => {} })
    const run = worker.run()
    await turn()
    expect(stalled(clock, lease, 110_000)).toBe(false)
    reading.heard(clock.now())
    expect(stalled(clock, lease, 110_000)).toBe(false)
    source.give({ records: plain(1) })
    await turn()
    expect(stalled(clock, lease, 110_000)).toBe(false)
    expect(stalled(clock, lease, 20_000)).toBe(true)
    lease.lose()
    await run
  })

  it('does not stall while the handler works, however long, nor while it waits for memory that others hold', async () => {
    const gate: { open: () => void } = { open: () => {} }
    const { clock, lease, source, room, worker } = setUp({
      eachBatch: () =>
        new Promise<void>((resolve) => {
          gate.open = resolve
        }),
    })
    const run = worker.run()
    source.give({ records: plain(1) })
    await turn()
    expect(stalled(clock, lease, 3_600_000)).toBe(false)
    gate.open()
    await turn()
    let waiting = true
    Object.defineProperty(room, 'waiting', { get: () => waiting })
    expect(stalled(clock, lease, 3_600_000)).toBe(false)
    waiting = false
    expect(stalled(clock, lease, 130_000)).toBe(true)
    lease.lose()
    await run
  })
})
