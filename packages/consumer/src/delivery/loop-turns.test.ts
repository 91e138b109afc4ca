import { ManualClock } from '@shardwise/core/clock'
import { describe, expect, it } from 'vitest'
import { LoopTurns } from './loop-turns.js'

describe('LoopTurns', () => {
  it('asks for no turn before a spell is over, and lets the loop turn then', async () => {
    const clock = new ManualClock()
    const turns = new LoopTurns(clock)
    turns.kept(49)
    expect(turns.turn()).toBeUndefined()
    turns.keeping(() => clock.advance(1))
    let went = false
    const turn = turns.turn()!.then(() => {
      went = true
    })
    await new Promise(setImmediate)
    expect(went).toBe(false)
    await clock.advanceAsync(0)
    await turn
    expect(turns.turn()).toBeUndefined()
    expect(clock.pendingTimers).toBe(0)
  })

  it('counts a call that throws', () => {
    const clock = new ManualClock()
    const turns = new LoopTurns(clock)
    expect(() =>
      turns.keeping(() => {
        clock.advance(50)
        throw new Error('no')
      }),
    ).toThrow('no')
    expect(turns.isDue).toBe(true)
  })

  it('lets those in line go one after the other, no more in a turn than a spell lasts, and who asks again comes last', async () => {
    const clock = new ManualClock()
    const turns = new LoopTurns(clock)
    const went: string[] = []
    const worker = async (name: string, keptMs: number): Promise<void> => {
      for (let piece = 0; piece < 3; piece++) {
        await turns.turn()
        went.push(name)
        turns.kept(keptMs)
      }
    }
    turns.kept(50)
    const all = Promise.all([worker('a', 50), worker('b', 50), worker('c', 20), worker('d', 20)])
    void all.then(() => went.push('.'))
    // As many turns as there are, in one go: a new one begins with each timer.
    await clock.advanceAsync(0)
    expect(went.join('')).toBe('abccdcabddab.')
  })
})
