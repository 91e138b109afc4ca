import { ManualClock } from '@shardwise/core/clock'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { CallContext } from './call-context.js'
import type { ConsumedRecord } from './consumed-record.js'
import { HandlerPermit } from './handler-permit.js'
import { PausedShards } from './paused-shards.js'
import { type GivenRecord, RecordTurns } from './record-turns.js'
import { completions } from './testing/completions.js'

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
      const context = new CallContext(
        { shardId, signal: permit.signal },
        0,
        1,
        completions(() => {}),
        record,
      )
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

it('shards take turns', async () => {
  const turns = new RecordTurns(new ManualClock())
  const shards = ['a', 'b', 'c'].map((id) => shard(id, turns, new PausedShards()))
  const got: string[] = []
  for (let i = 0; i < 7; i++) {
    const given = (await turns.ask())!
    got.push(given.record.shardId + given.record.sequenceNumber)
    expect(given.record.context.shardId).toBe(given.record.shardId)
    given.complete()
    await turn()
  }
  expect(got).toEqual(['a0', 'b0', 'c0', 'a1', 'b1', 'c1', 'a2'])
  for (const { halt } of shards) halt.abort()
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
      let inHand: GivenRecord | undefined
      const mayGoOn = (each: (typeof shards)[number]): boolean =>
        !each.halt.signal.aborted && each.ours() && !paused.isPaused(each.shardId)
      const ask = (): void => {
        if (asking !== undefined || inHand !== undefined) return
        asking = turns.ask().then((given) => {
          asking = undefined
          inHand = given
          if (given === undefined) return
          const { shardId, sequenceNumber } = given.record
          expect(Number(sequenceNumber)).toBe(got.get(shardId) ?? 0)
          got.set(shardId, Number(sequenceNumber) + 1)
        })
      }
      const complete = (): void => {
        inHand?.complete()
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
