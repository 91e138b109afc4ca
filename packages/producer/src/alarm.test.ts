import { ManualClock } from '@shardwise/core/clock'
import { expect, test } from 'vitest'
import { Alarm } from './alarm.js'

function watch(): { clock: ManualClock; alarm: Alarm; rings: number[] } {
  const clock = new ManualClock()
  const rings: number[] = []
  return { clock, alarm: new Alarm(clock, () => rings.push(clock.now())), rings }
}

test('rings once, at the earliest time that anyone named', () => {
  const { clock, alarm, rings } = watch()
  for (const at of [300, undefined, 100, 200]) alarm.wakeBy(at)
  alarm.set(false)
  clock.advance(1000)
  expect(rings).toEqual([100])
})

test('never has more than one timer, and none when nobody wants to be woken', () => {
  const { clock, alarm, rings } = watch()
  for (const at of [300, 200, 200]) {
    alarm.wakeBy(at)
    alarm.set(false)
    expect(clock.pendingTimers).toBe(1)
  }
  alarm.reset()
  alarm.set(false)
  expect(clock.pendingTimers).toBe(0)
  clock.advance(1000)
  expect(rings).toEqual([])
})

test('never rings before the time, though a timer has whole milliseconds', () => {
  const { clock, alarm, rings } = watch()
  alarm.wakeBy(100.25)
  alarm.set(false)
  clock.advance(1000)
  expect(rings).toEqual([101])
})

test('tells the clock whether the process has to wait for it, also when that alone changes', () => {
  const kinds: (boolean | undefined)[] = []
  const cancel = (): void => {}
  const schedule = (_: number, __: () => void, options?: { readonly background?: boolean }): { cancel(): void } => {
    kinds.push(options?.background)
    return { cancel }
  }
  const alarm = new Alarm({ now: () => 0, wallTime: () => 0, schedule }, () => {})
  alarm.wakeBy(100)
  for (const background of [true, true, false, true]) alarm.set(background)
  expect(kinds).toEqual([true, false, true])
})

test('is silent once cancelled, until it is set again', () => {
  const { clock, alarm, rings } = watch()
  alarm.wakeBy(100)
  alarm.set(false)
  alarm.cancel()
  clock.advance(50)
  expect([clock.pendingTimers, rings]).toEqual([0, []])
  alarm.set(false)
  clock.advance(100)
  expect(rings).toEqual([100])
})
