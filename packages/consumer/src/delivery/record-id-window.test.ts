import { ManualClock } from '@shardwise/core/clock'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ConsumedRecord } from './consumed-record.js'
import type { Delivery } from './delivery.js'
import { FailedAtError } from './failed-at-error.js'
import type { FailurePolicy } from './failure-policy.js'
import type { Handlers } from './handler.js'
import { InOrderDelivery } from './in-order-delivery.js'
import { KeyedDelivery } from './keyed-delivery.js'
import { RecordIdWindow } from './record-id-window.js'
import { completions } from './testing/completions.js'
import { recordOf } from './testing/record-of.js'

const copy = (sequence: number, recordId: string | undefined, more: Partial<ConsumedRecord> = {}): ConsumedRecord => ({
  ...recordOf(sequence, 0, `${sequence % 3}`),
  recordId,
  ...more,
})

describe('RecordIdWindow', () => {
  it('knows an id from another place, and not what has none', () => {
    const window = new RecordIdWindow(10)
    window.completed(copy(1, 'a'))
    window.completed(copy(2, undefined))
    expect(window.size).toBe(1)
    expect(window.isDuplicate(copy(5, 'a'))).toBe(true)
    expect(window.isDuplicate(copy(1, 'a', { subSequenceNumber: 1 }))).toBe(true)
    expect(window.isDuplicate(copy(1, 'a', { shardId: 'other' }))).toBe(true)
    expect(window.isDuplicate(copy(5, 'b'))).toBe(false)
    expect(window.isDuplicate(copy(5, undefined))).toBe(false)
  })

  it('the same place is no duplicate of itself, nor is the id of another stream', () => {
    const window = new RecordIdWindow(10)
    window.completed(copy(1, 'a'))
    expect(window.isDuplicate(copy(1, 'a'))).toBe(false)
    expect(window.isDuplicate(copy(5, 'a', { stream: 'returns' }))).toBe(false)
  })

  it('forgets the oldest', () => {
    const window = new RecordIdWindow(2)
    const known = (): string[] => [...'abcdef'].filter((id) => window.isDuplicate(copy(9, id)))
    for (const id of 'aba') window.completed(copy(1, id))
    expect(known()).toEqual(['a', 'b'])
    window.completed(copy(3, 'c'))
    expect(known()).toEqual(['b', 'c'])
    for (const id of 'cdef') window.completed(copy(4, id))
    expect([known(), window.size]).toEqual([['e', 'f'], 2])
  })
})

/** A process that reads shards, as often as it gets them. */
function reader(recordIds: RecordIdWindow, handlers: Handlers, onFailure: FailurePolicy = 'retry', clock = new ManualClock()) {
  return (completed: (sequence: number) => void, keyed: boolean, halt = new AbortController()): Delivery => {
    const options = {
      lease: { shardId: 'shard', signal: halt.signal, isOurs: () => !halt.signal.aborted, revalidate: async () => false },
      handlers,
      recordIds,
      onFailure,
      backoff: { baseMs: 1, maxMs: 1 },
      clock,
      random: () => 0,
      halt: halt.signal,
      checkpoints: completions(({ sequenceNumber }) => completed(Number(sequenceNumber)), keyed),
      emit: () => {},
    }
    return keyed ? new KeyedDelivery({ ...options, concurrency: 2 }) : new InOrderDelivery(options)
  }
}

describe('a delivery that drops duplicates', () => {
  it.each(['eachRecord', 'eachBatch'] as const)(
    'hands a copy over once, completes the others with it and counts them: %s',
    async (how) => {
      const got: string[] = []
      const see = ({ sequenceNumber }: ConsumedRecord): void => void got.push(sequenceNumber)
      const handlers: Handlers = how === 'eachRecord' ? { eachRecord: see } : { eachBatch: (records) => records.forEach(see) }
      const completed: number[] = []
      const delivery = reader(new RecordIdWindow(10), handlers)((sequence) => completed.push(sequence), false)
      const counts: number[] = []
      await delivery.deliver([copy(1, 'a'), copy(2, 'b'), copy(3, 'a'), copy(4, undefined)], 0, (duplicates) =>
        counts.push(duplicates),
      )
      await delivery.deliver([copy(5, 'b'), copy(6, 'a')], 0, (duplicates) => counts.push(duplicates))
      expect([got, counts, completed.at(-1)]).toEqual([['1', '2', '4'], [1, 2], 6])
    },
  )

  it('does not drop the copy of one that was given up, nor of one that comes after it in a call that failed', async () => {
    const calls: string[][] = []
    const handlers: Handlers = {
      eachBatch: (records) => {
        calls.push(records.map(({ sequenceNumber }) => sequenceNumber))
        const bad = records.find(({ sequenceNumber }) => sequenceNumber === '2')
        if (bad !== undefined) throw new FailedAtError(bad)
      },
    }
    const clock = new ManualClock()
    const window = new RecordIdWindow(10)
    const delivery = reader(window, handlers, { attempts: 2, giveUp: 'skip' }, clock)(() => {}, false)
    const counts: number[] = []
    const records = [copy(1, 'a'), copy(2, 'b'), copy(3, 'a'), copy(4, 'b')]
    const delivered = delivery.deliver(records, 0, (duplicates) => counts.push(duplicates))
    await clock.advanceAsync(100)
    expect(await delivered).toBe(true)
    expect([calls, counts]).toEqual([[['1', '2'], ['2'], ['4']], [1]])
    expect(window.isDuplicate(copy(9, 'b'))).toBe(true)
  })

  it('does not drop the copy of one in hand when the lease went: it was not completed here', async () => {
    const window = new RecordIdWindow(10)
    const halt = new AbortController()
    let finish = (): void => {}
    const slow: Handlers = { eachRecord: () => new Promise<void>((resolve) => (finish = resolve)) }
    const first = reader(window, slow)(() => {}, false, halt).deliver([copy(1, 'a')], 0)
    await Promise.resolve()
    halt.abort()
    finish()
    expect(await first).toBe(false)
    const got: string[] = []
    const handlers: Handlers = { eachRecord: ({ sequenceNumber }) => void got.push(sequenceNumber) }
    await reader(window, handlers)(() => {}, false).deliver([copy(2, 'a', { shardId: 'other' })], 0)
    expect(got).toEqual(['2'])
  })

  it('property: every id is handled, unless all of its copies were given up, whoever has the shard and however often it moves', async () => {
    const ids = fc.constantFrom('a', 'b', 'c', 'd', 'e', undefined)
    const tenure = fc.record({
      process: fc.nat(1),
      keyed: fc.boolean(),
      batches: fc.boolean(),
      read: fc.integer({ min: 1, max: 6 }),
      /** Calls until the lease is lost. */
      calls: fc.nat(8),
      checkpoint: fc.nat(99),
      fails: fc.array(fc.nat(15), { maxLength: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(ids, { maxLength: 16 }),
        fc.array(tenure, { maxLength: 5 }),
        fc.integer({ min: 1, max: 6 }),
        async (given, tenures, size) => {
          const records = given.map((id, i) => copy(i, id))
          const windows = [new RecordIdWindow(size), new RecordIdWindow(size)]
          const handled = new Set<string>()
          const skipped = new Set<string>()
          let from = 0
          const last = { process: 0, keyed: false, batches: false, read: 4, calls: 1e9, checkpoint: 0, fails: [] as number[] }
          for (const life of [...tenures, last]) {
            const clock = new ManualClock()
            const halt = new AbortController()
            let calls = 0
            const handle = (some: readonly ConsumedRecord[]): void => {
              if (calls++ === life.calls) halt.abort()
              if (halt.signal.aborted) return
              const bad = some.find(({ sequenceNumber }) => life.fails.includes(Number(sequenceNumber)))
              const good = bad === undefined ? some : some.slice(0, some.indexOf(bad))
              for (const { sequenceNumber, recordId } of good) handled.add(recordId ?? sequenceNumber)
              if (bad !== undefined) throw new FailedAtError(bad)
            }
            const handlers: Handlers =
              life.batches && !life.keyed ? { eachBatch: handle } : { eachRecord: (record) => handle([record]) }
            const giveUp = {
              deadLetter: ({ recordId, sequenceNumber }: ConsumedRecord) => skipped.add(recordId ?? sequenceNumber),
            }
            const checkpoints = [from]
            const deliver = reader(windows[life.process]!, handlers, { attempts: 1, giveUp }, clock)
            const delivery = deliver((sequence) => checkpoints.push(sequence + 1), life.keyed, halt)
            const reads: Promise<boolean>[] = []
            for (let at = from; at < records.length; at += life.read) {
              if (!(await delivery.room())) break
              reads.push(delivery.deliver(records.slice(at, at + life.read), 0))
              await clock.advanceAsync(5)
            }
            await clock.advanceAsync(100)
            await Promise.all(reads)
            from = life === last ? records.length : checkpoints[life.checkpoint % checkpoints.length]!
            if (life === last) expect(checkpoints.at(-1)).toBe(records.length)
          }
          for (const [i, id] of given.entries()) expect([...handled, ...skipped]).toContain(id ?? String(i))
        },
      ),
      { numRuns: 300 },
    )
  })
})
