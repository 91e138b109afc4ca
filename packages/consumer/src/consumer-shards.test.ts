import { sleep } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { describe, expect, it } from 'vitest'
import type { RecordPosition } from './delivery/completed-prefix.js'
import type { ConsumedRecord } from './delivery/consumed-record.js'
import type { ShardStream } from './delivery/shard-stream.js'
import { LeaseLostError } from './leases/lease-lost-error.js'
import type { MemoryLeaseStore } from './leases/memory-lease-store.js'
import { setUp } from './testing/small-fleet.js'

const numberIn = ({ bytes }: ConsumedRecord): number => Number(new TextDecoder().decode(bytes))

/** A store that takes records, place and fence in one transaction, and refuses who has an older fence than it has seen. */
class Sink {
  readonly stored: { readonly shardId: string; readonly value: number }[] = []
  readonly #shards = new Map<string, { fence: number; place: RecordPosition | undefined }>()

  claim(shardId: string, fence: number): RecordPosition | undefined {
    const row = this.#shards.get(shardId)
    if (row !== undefined && row.fence > fence) throw new Error('fenced off')
    this.#shards.set(shardId, { fence, place: row?.place })
    return row?.place
  }

  commit(shardId: string, fence: number, records: readonly ConsumedRecord[]): void {
    const row = this.#shards.get(shardId)!
    if (row.fence !== fence) throw new Error('fenced off')
    for (const record of records) this.stored.push({ shardId, value: numberIn(record) })
    const { sequenceNumber, subSequenceNumber } = records.at(-1)!
    row.place = { sequenceNumber, subSequenceNumber }
  }

  values(): number[] {
    return this.stored.map(({ value }) => value).toSorted((a, b) => a - b)
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

async function steal(leaseStore: MemoryLeaseStore, shardId: string): Promise<void> {
  for (;;) {
    const row = (await leaseStore.read(shardId))!
    if ((await leaseStore.take(row, 'thief')).done) return
  }
}

describe('Consumer.shards', () => {
  it('gives one stream a shard, side by side, and goes on after the place that the sink kept, beyond the lease’s checkpoint', async () => {
    const { leaseStore, consumer, put, until, settled } = setUp(3)
    put(300)
    const sink = new Sink()
    for (const total of [300, 400]) {
      const one = consumer()
      const work = async (shard: ShardStream): Promise<void> => {
        expect(shard).toMatchObject({ stream: 'flights', resumeFrom: { kind: 'trim-horizon' }, ended: false })
        const place = sink.claim(shard.shardId, shard.generation)
        if (place !== undefined) shard.startAfter(place)
        for await (const batch of shard.batches({ maxRecords: 7 })) {
          expect(batch.length).toBeLessThanOrEqual(7)
          sink.commit(shard.shardId, shard.generation, batch)
        }
      }
      const works: Promise<void>[] = []
      const loop = (async () => {
        for await (const shard of one.shards()) works.push(work(shard))
      })()
      await until(() => sink.stored.length === total)
      expect(works).toHaveLength(3)
      await settled(one.stop())
      await Promise.all([loop, ...works])
      put(100)
    }
    expect(sink.values()).toEqual(upTo(400))
    for (const { checkpoint, leaseOwner } of (await leaseStore.list()).leases) {
      expect([checkpoint.kind, leaseOwner]).toEqual(['trim-horizon', undefined])
    }
  })

  it('says so, every minute, when nobody loops over a shard that is held', async () => {
    const { consumer, put, until, settled, clock } = setUp(2)
    put(10)
    const one = consumer()
    const waits: (readonly [string, number])[] = []
    one.events.on('loop-awaited', ({ shardId, waitedMs }) => waits.push([shardId, Math.round(waitedMs / 1_000)]))
    let late: ShardStream | undefined
    const works: Promise<void>[] = []
    let got = 0
    const count = async (shard: ShardStream): Promise<void> => {
      for await (const _ of shard.records()) got++
    }
    const loop = (async () => {
      for await (const shard of one.shards()) {
        if (late === undefined) late = shard
        else works.push(count(shard))
      }
    })()
    await until(() => waits.length === 2, 130_000)
    expect(waits).toEqual([
      [late!.shardId, 60],
      [late!.shardId, 120],
    ])
    works.push(count(late!))
    await until(() => got === 10)
    await clock.advanceAsync(180_000)
    expect(waits).toHaveLength(2)
    await settled(one.stop())
    await Promise.all([loop, ...works])
  })

  it('goes back where the sink says so; the lease’s checkpoint stays, and checkpoints before it change nothing', async () => {
    const { leaseStore, consumer, put, until, settled } = setUp(1)
    put(10)
    const got: number[][] = []
    for (const back of [false, true]) {
      const values: number[] = []
      got.push(values)
      const one = consumer()
      const loop = (async () => {
        for await (const shard of one.shards()) {
          if (back) shard.startAfter(undefined)
          for await (const record of shard.records()) {
            values.push(numberIn(record))
            if (back || values.length === 5) await shard.checkpoint(record)
            if (values.length === (back ? 3 : 10)) void one.stop({ timeoutMs: 0 })
          }
        }
      })()
      await settled(loop)
    }
    expect([got[0], got[1]!.slice(0, 3)]).toEqual([upTo(10), [0, 1, 2]])
    const checkpoint = (await leaseStore.list()).leases[0]!.checkpoint
    const last: number[] = []
    const one = consumer()
    const loop = (async () => {
      for await (const shard of one.shards()) {
        expect(shard.resumeFrom).toEqual(checkpoint)
        for await (const record of shard.records()) if (last.push(numberIn(record)) === 5) void one.stop()
      }
    })()
    await until(() => last.length === 5)
    await settled(loop)
    expect(last).toEqual([5, 6, 7, 8, 9])
  })

  it('a sink without a place begins where the application did while there is no checkpoint', async () => {
    const { consumer, put, until, settled, clock } = setUp(1)
    put(5)
    await clock.advanceAsync(60_000)
    const one = consumer({ initialPosition: { at: new Date(clock.wallTime() - 1000) } })
    const got: number[] = []
    const loop = (async () => {
      for await (const shard of one.shards()) {
        shard.startAfter(undefined)
        for await (const record of shard.records()) got.push(numberIn(record))
      }
    })()
    put(3)
    await until(() => got.length === 3)
    expect(got).toEqual([5, 6, 7])
    await settled(Promise.all([one.stop(), loop]))
  })

  it('a zombie’s write is refused by its fence: the shard went to another while it was asleep', async () => {
    const { leaseStore, consumer, put, until, settled } = setUp(1)
    put(20)
    const sink = new Sink()
    let wake = (): void => {}
    const refused: unknown[] = []
    const tokens: number[] = []
    const signals: AbortSignal[] = []
    const work = async (shard: ShardStream, sleepsAt: number): Promise<void> => {
      tokens.push(shard.generation)
      signals.push(shard.signal)
      shard.startAfter(sink.claim(shard.shardId, shard.generation))
      for await (const batch of shard.batches({ maxRecords: 5 })) {
        if (numberIn(batch[0]!) === sleepsAt) await new Promise<void>((resolve) => (wake = resolve))
        sink.commit(shard.shardId, shard.generation, batch)
      }
    }
    const one = consumer({ failoverTimeMs: 3000 })
    const zombie = (async () => {
      for await (const shard of one.shards()) await work(shard, 10).catch((error: unknown) => refused.push(error))
    })()
    await until(() => sink.stored.length === 10)
    await steal(leaseStore, 'shardId-000000000000')
    const two = consumer({ failoverTimeMs: 3000 })
    const other = (async () => {
      for await (const shard of two.shards()) void work(shard, -1)
    })()
    await until(() => sink.stored.length === 20)
    expect(signals[0]!.reason).toBeInstanceOf(LeaseLostError)
    expect(tokens[1]).toBeGreaterThan(tokens[0]!)
    wake()
    await until(() => refused.length === 1)
    expect(refused).toMatchObject([{ message: 'fenced off' }])
    expect(sink.stored.map(({ value }) => value)).toEqual(upTo(20))
    await settled(Promise.all([one.stop(), two.stop(), zombie, other]))
  })

  it('at the end of a shard its loop ends; the children come when the rest is checkpointed', async () => {
    const { model, consumer, put, until, settled, clock } = setUp(1)
    put(10)
    model.call('UpdateShardCount', { StreamName: 'flights', TargetShardCount: 2, ScalingType: 'UNIFORM_SCALING' })
    put(10)
    const one = consumer()
    const ended: [string, boolean][] = []
    const got: number[] = []
    let confirm = (): void => {}
    const work = async (shard: ShardStream): Promise<void> => {
      for await (const record of shard.records()) got.push(numberIn(record))
      ended.push([shard.shardId, shard.ended])
      await new Promise<void>((resolve) => (confirm = resolve))
      await shard.checkpoint()
    }
    const loop = (async () => {
      for await (const shard of one.shards()) void work(shard)
    })()
    const awaited = one.events.next('checkpoint-awaited')
    await until(() => ended.length === 1)
    await clock.advanceAsync(5000)
    expect(ended).toEqual([['shardId-000000000000', true]])
    expect(got).toEqual(upTo(10))
    await awaited
    confirm()
    await until(() => got.length === 20)
    expect(got.toSorted((a, b) => a - b)).toEqual(upTo(20))
    await settled(Promise.all([one.stop(), loop]))
  })

  it.each(['break', 'throw'])(
    'leaving the loop over a shard by %s gives it back; it comes again, from its checkpoint',
    async (how) => {
      const { consumer, put, until, settled } = setUp(1)
      put(10)
      const one = consumer()
      const got: number[][] = []
      const tokens: number[] = []
      const work = async (shard: ShardStream): Promise<void> => {
        const values: number[] = []
        got.push(values)
        tokens.push(shard.generation)
        for await (const record of shard.records()) {
          values.push(numberIn(record))
          if (values.length === 2) await shard.checkpoint(record)
          if (values.length < 4 || got.length > 1) continue
          if (how === 'break') break
          throw new Error('no sink')
        }
      }
      const loop = (async () => {
        for await (const shard of one.shards()) work(shard).catch((error: Error) => expect(error.message).toBe('no sink'))
      })()
      await until(() => got[1]?.length === 8)
      expect(got).toEqual([
        [0, 1, 2, 3],
        [2, 3, 4, 5, 6, 7, 8, 9],
      ])
      expect(tokens[1]).toBeGreaterThan(tokens[0]!)
      await settled(Promise.all([one.stop(), loop]))
    },
  )

  it('reads nothing of a shard that nobody loops over, and gives it back at a stop', async () => {
    const { leaseStore, consumer, put, until, settled, clock } = setUp(2)
    put(10)
    const one = consumer()
    let reads = 0
    one.events.on('shard-started', () => reads++)
    const offered: ShardStream[] = []
    const loop = (async () => {
      for await (const shard of one.shards()) offered.push(shard)
    })()
    await until(() => offered.length === 2)
    await clock.advanceAsync(60_000)
    expect(reads).toBe(0)
    expect(one.snapshot().shards).toMatchObject([{ worker: { state: 'starting' } }, { worker: { state: 'starting' } }])
    await settled(Promise.all([one.stop(), loop]))
    expect((await leaseStore.list()).leases).toMatchObject([{ leaseOwner: undefined }, { leaseOwner: undefined }])
    expect(await offered[0]!.records().next()).toEqual({ done: true, value: undefined })
  })

  it('who waits for records can leave at once, and leaving the loop over shards stops the consumer', async () => {
    const { consumer, until, settled } = setUp(1)
    const one = consumer()
    const shards = one.shards()
    const first = shards.next()
    await settled(first)
    const shard = (await first).value as ShardStream
    const records = shard.records()
    const next = records.next()
    await until(() => one.snapshot().shards[0]?.worker?.state === 'running')
    await settled(records.return!())
    expect(await next).toEqual({ done: true, value: undefined })
    await settled(shards.return!())
    expect(one.snapshot().state).toBe('stopped')
    expect(await shards.next()).toEqual({ done: true, value: undefined })
  })

  it('a batch waits for more from its first record on, no longer than told', async () => {
    const { consumer, put, until, settled, clock } = setUp(1)
    const one = consumer({ idleTimeBetweenReadsMs: 200 })
    const got: { size: number; at: number }[] = []
    const loop = (async () => {
      for await (const shard of one.shards()) {
        for await (const batch of shard.batches({ maxRecords: 10, maxWaitMs: 3000 })) {
          got.push({ size: batch.length, at: clock.now() })
          if (got.length === 2) void one.stop()
        }
      }
    })()
    await clock.advanceAsync(5000)
    put(4)
    const since = clock.now()
    await clock.advanceAsync(1500)
    put(3)
    await until(() => got.length === 1)
    expect(got[0]!.size).toBe(7)
    expect(got[0]!.at - since).toBeGreaterThanOrEqual(3000)
    expect(got[0]!.at - since).toBeLessThan(3300)
    put(12)
    await settled(loop)
    expect(got[1]!.size).toBe(10)
  })

  it('a batch that waited for more and was not filled is in hand: a stop waits for it', async () => {
    const { leaseStore, consumer, put, until, settled, clock } = setUp(1)
    put(4)
    const one = consumer()
    const refused: unknown[] = []
    let working = false
    const loop = (async () => {
      for await (const shard of one.shards()) {
        for await (const batch of shard.batches({ maxRecords: 10, maxWaitMs: 1000 })) {
          working = true
          await sleep(clock, 5000)
          await shard.checkpoint(batch.at(-1)).catch((error: unknown) => refused.push(error))
          working = false
        }
      }
    })()
    await until(() => working)
    const stopped = one.stop()
    await clock.advanceAsync(2000)
    expect([working, (await leaseStore.list()).leases[0]!.leaseOwner]).toEqual([true, expect.any(String)])
    await settled(Promise.all([stopped, loop]))
    expect(refused).toEqual([])
    expect((await leaseStore.list()).leases[0]!.checkpoint.kind).toBe('sequence')
  })

  it.each(['lost', 'stopped'])('a batch that waits for more when its shard is %s is not handed over', async (how) => {
    const { leaseStore, consumer, put, until, settled, clock } = setUp(1)
    put(4)
    const one = consumer()
    const got: number[] = []
    let over = false
    void (async () => {
      for await (const shard of one.shards()) {
        for await (const batch of shard.batches({ maxRecords: 10, maxWaitMs: 60_000 })) got.push(...batch.map(numberIn))
        over = true
      }
    })()
    await until(() => one.snapshot().shards[0]?.worker?.state === 'running')
    await clock.advanceAsync(3000)
    if (how === 'lost') await steal(leaseStore, 'shardId-000000000000')
    else void one.stop()
    await until(() => over)
    expect(got).toEqual([])
    await settled(one.stop())
  })

  it('a batch that waits for more is handed over at the end of its shard, which has not ended before it is asked past', async () => {
    const { model, consumer, put, until, settled } = setUp(1)
    put(4)
    const NewStartingHashKey = (2n ** 127n).toString()
    model.call('SplitShard', { StreamName: 'flights', ShardToSplit: 'shardId-000000000000', NewStartingHashKey })
    const one = consumer()
    const seen: (number | boolean)[] = []
    const shards = one.shards()
    const loop = (async () => {
      const shard = (await shards.next()).value as ShardStream
      for await (const batch of shard.batches({ maxRecords: 10, maxWaitMs: 600_000 })) seen.push(batch.length, shard.ended)
      seen.push(shard.ended)
    })()
    await until(() => seen.length === 3, 10_000)
    expect(seen).toEqual([4, false, true])
    await settled(Promise.all([one.stop(), loop]))
  })

  it('says what is wrong with its use', async () => {
    const { consumer, put, settled } = setUp(1)
    put(3)
    const one = consumer()
    expect(() => one.shards({ sginal: AbortSignal.abort() } as never)).toThrow('`sginal`')
    expect(() => one.shards({ signal: new AbortController() } as never)).toThrow('`signal` must be an AbortSignal')
    const shards = one.shards()
    const first = shards.next()
    await settled(first)
    const shard = (await first).value as ShardStream
    expect(() => shard.startAfter({ kind: 'shard-end' })).toThrow(RangeError)
    const of = { sequenceNumber: '1', subSequenceNumber: 0, shardId: 'shardId-000000000001' }
    expect(() => shard.startAfter(of)).toThrow(RangeError)
    expect(() => shard.batches({ maxRecords: 0 })).toThrow('`maxRecords`')
    const records = shard.records()
    const record = records.next()
    await settled(record)
    expect(() => shard.startAfter(undefined)).toThrow('has begun')
    await expect(shard.records().next()).rejects.toThrow('looped over')
    const { sequenceNumber } = (await record).value as ConsumedRecord
    await expect(shard.checkpoint({ sequenceNumber: `${sequenceNumber}9`, subSequenceNumber: 0 })).rejects.toThrow(RangeError)
    await expect(one.shards().next()).rejects.toThrow('once')
    await settled(Promise.all([records.return!(), shards.return!()]))
  })

  it.each(Array.from({ length: 12 }, (_, i) => i + 1))(
    'whatever happens to leases, sinks and loops, the sink has each record once and each key in order (%i)',
    async (seed) => {
      const { leaseStore, consumer, put, clock, until, settled } = setUp(3)
      const random = seededRandom(seed)
      const pick = (count: number): number => Math.floor(random() * count)
      const sink = new Sink()
      let total = 200
      put(total)
      const problems: string[] = []
      const work = async (shard: ShardStream): Promise<void> => {
        try {
          shard.startAfter(sink.claim(shard.shardId, shard.generation))
          for await (const batch of shard.batches({ maxRecords: 1 + pick(20), maxWaitMs: pick(2) * 700 })) {
            if (random() < 0.3) await sleep(clock, pick(6000))
            if (random() < 0.1) throw new Error('fenced off')
            sink.commit(shard.shardId, shard.generation, batch)
            if (random() < 0.3) await shard.checkpoint(batch.at(-1))
            if (random() < 0.05) return
          }
        } catch (error) {
          if (!(error instanceof LeaseLostError) && (error as Error).message !== 'fenced off') problems.push(String(error))
        }
      }
      const one = consumer({ failoverTimeMs: 3000 })
      const two = consumer({ failoverTimeMs: 3000 })
      const loops = [one, two].map(async (each) => {
        for await (const shard of each.shards()) void work(shard)
      })
      for (let i = 0; i < 8; i++) {
        await clock.advanceAsync(pick(4000))
        if (random() < 0.5) await steal(leaseStore, `shardId-00000000000${pick(3)}`)
        if (random() < 0.3) {
          put(20)
          total += 20
        }
        if (random() < 0.3) one.pause()
        else one.resume()
      }
      one.resume()
      await until(() => sink.stored.length >= total, 600_000)
      await clock.advanceAsync(30_000)
      expect(sink.values()).toEqual(upTo(total))
      for (const shardId of new Set(sink.stored.map((each) => each.shardId))) {
        const ofShard = sink.stored.filter((each) => each.shardId === shardId).map(({ value }) => value)
        expect(ofShard).toEqual(ofShard.toSorted((a, b) => a - b))
      }
      expect(problems).toEqual([])
      await settled(Promise.all([one.stop({ timeoutMs: 0 }), two.stop({ timeoutMs: 0 }), ...loops]))
      await clock.advanceAsync(10_000)
    },
  )
})
