import { ManualClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { ConsumedRecord } from './consumed-record.js'
import type { HandlerContext } from './handler.js'
import { HandlerPermit } from './handler-permit.js'
import { InOrderDelivery } from './in-order-delivery.js'
import { LoopTurns } from './loop-turns.js'
import { PausedShards } from './paused-shards.js'
import { RecordTurns, type StreamedRecord } from './record-turns.js'
import { completions } from './testing/completions.js'
import { recordOf } from './testing/record-of.js'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A shard as the delivery drives it: permit, call, next record. */
function shard(shardId: string, turns: RecordTurns, paused: PausedShards) {
  const halt = new AbortController()
  let ours = true
  let answer = (): void => {}
  const lease = {
    shardId,
    isOurs: () => ours,
    revalidate: () =>
      new Promise<boolean>((resolve) => {
        answer = () => resolve(ours)
      }),
  }
  const permit = new HandlerPermit({ lease, gates: [paused, turns], halt: halt.signal })
  const run = async (): Promise<void> => {
    for (let n = 0; ; n++) {
      while (!halt.signal.aborted && !permit.isOurs()) if (!(await permit.revalidate())) return
      if (halt.signal.aborted) return
      const record = { shardId, sequenceNumber: String(n) } as ConsumedRecord
      const context = { shardId, signal: permit.signal } as HandlerContext
      await turns.handlers.eachRecord!(record, context)
    }
  }
  const finished = run()
  return {
    shardId,
    halt,
    finished,
    ours: () => ours,
    doubt: () => {
      ours = false
    },
    regain: () => {
      ours = true
      answer()
    },
  }
}

it.each([
  { takes: 1, order: ['a0', 'b0', 'c0', 'a1', 'b1', 'c1', 'a2'] },
  { takes: 0.5, order: ['a0', 'a1', 'b0', 'b1', 'c0', 'c1', 'a2'] },
  { takes: 0.25, order: ['a0', 'a1', 'a2', 'a3', 'b0', 'b1', 'b2'] },
])('shards take turns of a millisecond, here with records that take $takes', async ({ takes, order }) => {
  const clock = new ManualClock()
  const turns = new RecordTurns(clock)
  const shards = ['a', 'b', 'c'].map((id) => shard(id, turns, new PausedShards()))
  const got: string[] = []
  while (got.length < order.length) {
    turns.complete()
    const record = (await turns.ask())!
    got.push(record.shardId + record.sequenceNumber)
    expect(record.context.shardId).toBe(record.shardId)
    clock.advance(takes)
  }
  expect(got).toEqual(order)
  turns.complete()
  for (const { halt } of shards) halt.abort()
  await Promise.all(shards.map(({ finished }) => finished))
})

it('a shard that comes back when nobody asks waits in line again', async () => {
  const turns = new RecordTurns(new ManualClock())
  const shards = ['a', 'b'].map((id) => shard(id, turns, new PausedShards()))
  const got: string[] = []
  for (let i = 0; i < 4; i++) {
    got.push((await turns.ask())!.shardId)
    turns.complete()
    await turn()
  }
  expect(got).toEqual(['a', 'b', 'a', 'b'])
  for (const { halt } of shards) halt.abort()
  await Promise.all(shards.map(({ finished }) => finished))
})

it('a shard that has nothing more passes its turn up, and the next is given a record', async () => {
  const turns = new RecordTurns(new ManualClock())
  const shards = ['a', 'b'].map((id) => shard(id, turns, new PausedShards()))
  expect((await turns.ask())!.shardId).toBe('a')
  turns.passUp('b')
  turns.complete()
  expect((await turns.ask())!.shardId).toBe('a')
  shards[0]!.halt.abort()
  turns.complete()
  expect((await turns.ask())!.shardId).toBe('b')
  turns.complete()
  shards[1]!.halt.abort()
  await Promise.all(shards.map(({ finished }) => finished))
})

it('whatever is halted, paused and doubted at any moment, a record of a shard that may go on comes to who asks', async () => {
  const step = fc.record({
    what: fc.constantFrom('ask', 'ask', 'complete', 'complete', 'turn', 'pause', 'resume', 'doubt', 'regain', 'halt'),
    index: fc.integer({ min: 0, max: 3 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const turns = new RecordTurns(new ManualClock())
      const paused = new PausedShards()
      const shards = ['a', 'b', 'c', 'd'].map((id) => shard(id, turns, paused))
      const got = new Map<string, number>()
      let asking: Promise<void> | undefined
      let inHand: StreamedRecord | undefined
      const mayGoOn = (each: (typeof shards)[number]): boolean =>
        !each.halt.signal.aborted && each.ours() && !paused.isPaused(each.shardId)
      const ask = (): void => {
        if (asking !== undefined || inHand !== undefined) return
        asking = turns.ask().then((given) => {
          asking = undefined
          inHand = given
          if (given === undefined) return
          const { shardId, sequenceNumber } = given
          expect(Number(sequenceNumber)).toBe(got.get(shardId) ?? 0)
          got.set(shardId, Number(sequenceNumber) + 1)
        })
      }
      const complete = (): void => {
        turns.complete()
        inHand = undefined
      }
      for (const { what, index } of steps) {
        const each = shards[index]!
        if (what === 'ask') ask()
        else if (what === 'complete') complete()
        else if (what === 'turn') await turn()
        else if (what === 'pause') paused.pause(each.shardId)
        else if (what === 'resume') paused.resume(each.shardId)
        else if (what === 'doubt') each.doubt()
        else if (what === 'regain') each.regain()
        else each.halt.abort()
      }
      await turn()
      complete()
      await turn()
      ask()
      await turn()
      if (shards.some(mayGoOn)) expect(inHand).toBeDefined()
      complete()
      for (const { halt } of shards) halt.abort()
      await turn()
      turns.end()
      await asking
      expect(await turns.ask()).toBeUndefined()
    }),
    { numRuns: 150 },
  )
})

it('a shard that waits for the event loop passes its turn up', async () => {
  const clock = new ManualClock()
  const turns = new RecordTurns(clock)
  const loop = LoopTurns.of(clock)
  const halts = ['a', 'b'].map((shardId) => {
    const halt = new AbortController()
    const lease = { shardId, isOurs: () => true, revalidate: async () => true }
    const permit = new HandlerPermit({ lease, gates: [turns], halt: halt.signal })
    const delivery = new InOrderDelivery({
      ...{ lease: permit, handlers: turns.handlers, onFailure: 'retry', backoff: { baseMs: 1, maxMs: 1 } },
      ...{ clock, random: seededRandom(1), halt: halt.signal, checkpoints: completions(() => {}), emit: () => {} },
    })
    void delivery.deliver(
      [1, 2, 3].map((n) => Object.assign(recordOf(n), { shardId })),
      0,
    )
    return halt
  })
  expect((await turns.ask())!.shardId).toBe('a')
  // The thread was kept for too long, and others are before it in the line for the event loop.
  loop.kept(50)
  for (let i = 0; i < 5; i++) void loop.turn()!.then(() => loop.kept(50))
  turns.complete()
  const next = turns.ask()
  for (let i = 0; i < 20; i++) await clock.advanceAsync(0)
  expect((await next)!.shardId).toBe('b')
  turns.complete()
  for (const halt of halts) halt.abort()
})
