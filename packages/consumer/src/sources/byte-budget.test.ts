import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteBudget, type ShardRoom } from './byte-budget.js'

const NEVER = new AbortController().signal

/** What `enter` came to by now. */
async function outcome(entering: Promise<number>): Promise<number | 'waits'> {
  const later = new Promise<'waits'>((resolve) => setImmediate(resolve, 'waits'))
  return Promise.race([entering, later])
}

async function read(room: ShardRoom, bytes: number): Promise<void> {
  await room.enter(bytes, NEVER)
  room.settle(bytes)
}

describe('ByteBudget', () => {
  it('lets a lone shard hold all of it', async () => {
    const budget = new ByteBudget(100)
    const room = budget.join()
    await read(room, 60)
    expect(await outcome(room.enter(40, NEVER))).toBe(40)
    expect(budget.held).toBe(100)
  })

  it('lets reading ahead wait until there is room, whoever makes it', async () => {
    const budget = new ByteBudget(100)
    const [one, other] = [budget.join(), budget.join()]
    await read(one, 50)
    await read(other, 50)
    const ahead = one.enter(10, NEVER)
    expect(await outcome(ahead)).toBe('waits')
    expect([one.waiting, other.waiting]).toEqual([true, false])
    other.free(10)
    expect(await outcome(ahead)).toBe(10)
    expect(one.waiting).toBe(false)
  })

  it('gives a shard that holds nothing its part at once, and less than it asked for', async () => {
    const budget = new ByteBudget(100)
    const [greedy, late] = [budget.join(), budget.join()]
    await read(greedy, 75)
    expect(await outcome(late.enter(60, NEVER))).toBe(25)
    late.settle(20)
    expect(await outcome(late.enter(6, NEVER))).toBe('waits')
    late.free(20)
    greedy.free(10)
    late.leave()
    expect(await outcome(budget.join().enter(60, NEVER))).toBe(35)
  })

  it('does not let a shard wait that has become empty, though others stand before it', async () => {
    const budget = new ByteBudget(100)
    const [hung, one, other] = [budget.join(), budget.join(), budget.join()]
    await read(hung, 60)
    await read(one, 16)
    await read(other, 16)
    const [first, second] = [one.enter(40, NEVER), other.enter(40, NEVER)]
    expect([await outcome(first), await outcome(second)]).toEqual(['waits', 'waits'])
    other.free(16)
    expect([await outcome(first), await outcome(second)]).toEqual(['waits', 22])
  })

  it('serves those who wait in order', async () => {
    const budget = new ByteBudget(100)
    const rooms = [budget.join(), budget.join(), budget.join()]
    for (const room of rooms) await read(room, 33)
    const waiting = rooms.map((room) => room.enter(20, NEVER))
    rooms[0]!.free(23)
    expect(await Promise.all(waiting.map(outcome))).toEqual([20, 'waits', 'waits'])
  })

  it('does not let a small read go ahead of a large one that waits', async () => {
    const budget = new ByteBudget(100)
    const [one, other] = [budget.join(), budget.join()]
    await read(one, 50)
    await read(other, 40)
    const large = one.enter(20, NEVER)
    expect(await outcome(other.enter(5, NEVER))).toBe('waits')
    other.free(30)
    expect(await outcome(large)).toBe(20)
  })

  it('counts a read by what it brought, more or less than allowed, and nothing when it failed', async () => {
    const budget = new ByteBudget(100)
    const room = budget.join()
    await room.enter(30, NEVER)
    room.settle(80)
    expect(budget.held).toBe(80)
    await room.enter(20, NEVER)
    room.settle(0)
    expect(budget.held).toBe(80)
    room.settle(0)
    room.free(80)
    expect(budget.held).toBe(0)
  })

  it('frees what a shard held when its worker leaves, and gives its part to the others', async () => {
    const budget = new ByteBudget(100)
    const [one, other] = [budget.join(), budget.join()]
    await read(one, 60)
    await read(other, 40)
    const ahead = other.enter(60, NEVER)
    expect(await outcome(ahead)).toBe('waits')
    one.leave()
    expect(await outcome(ahead)).toBe(60)
  })

  it('forgets who does not wait any longer', async () => {
    const budget = new ByteBudget(100)
    const room = budget.join()
    await read(room, 100)
    const stop = new AbortController()
    const ahead = room.enter(10, stop.signal)
    const settled = expect(ahead).rejects.toThrow('enough')
    stop.abort(new Error('enough'))
    await settled
    expect(room.waiting).toBe(false)
    room.free(100)
    expect(budget.held).toBe(0)
    await expect(room.enter(10, stop.signal)).rejects.toThrow('enough')
  })

  it('holds no more than it may, keeps nobody waiting who holds nothing, and serves everybody in the end', async () => {
    const step = fc.record({
      shard: fc.nat(5),
      act: fc.constantFrom('read', 'settle', 'free', 'quit'),
      bytes: fc.integer({ min: 1, max: 80 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 20, max: 200 }), fc.array(step, { maxLength: 60 }), async (bytes, steps) => {
        const budget = new ByteBudget(bytes)
        const shards = Array.from({ length: 6 }, () => ({
          room: budget.join(),
          allowed: 0,
          buffered: 0,
          entering: undefined as Promise<void> | undefined,
          stop: new AbortController(),
        }))
        for (const { shard: index, act, bytes: most } of steps) {
          const shard = shards[index]!
          if (act === 'read' && shard.entering === undefined && shard.allowed === 0) {
            shard.stop = new AbortController()
            shard.entering = shard.room
              .enter(most, shard.stop.signal)
              .then(
                (allowed) => {
                  expect(allowed).toBeLessThanOrEqual(most)
                  shard.allowed = allowed
                },
                () => {},
              )
              .finally(() => {
                shard.entering = undefined
              })
          } else if (act === 'settle' && shard.allowed > 0) {
            shard.room.settle(Math.min(shard.allowed, most))
            shard.buffered += Math.min(shard.allowed, most)
            shard.allowed = 0
          } else if (act === 'free' && shard.buffered > 0) {
            shard.room.free(Math.min(shard.buffered, most))
            shard.buffered -= Math.min(shard.buffered, most)
          } else if (act === 'quit') shard.stop.abort()
          for (let i = 0; i < 5; i++) await Promise.resolve()
          expect(budget.held).toBe(shards.reduce((sum, each) => sum + each.allowed + each.buffered, 0))
          expect(budget.held).toBeLessThanOrEqual(bytes)
          for (const each of shards) if (each.room.waiting) expect(each.buffered).toBeGreaterThan(0)
        }
        for (const shard of shards) {
          if (shard.allowed > 0) shard.room.settle(0)
          shard.room.free(shard.buffered)
        }
        await Promise.all(shards.map(({ entering }) => entering))
        expect(shards.some(({ room }) => room.waiting)).toBe(false)
      }),
    )
  })
})
