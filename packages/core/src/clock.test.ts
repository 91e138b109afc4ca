import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ManualClock, sleep, systemClock } from './clock.js'

describe('ManualClock', () => {
  test('runs what falls due, in order of due time, then of scheduling', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 })), fc.array(fc.integer({ min: 0, max: 30 })), (delays, steps) => {
        const clock = new ManualClock()
        const ran: number[] = []
        delays.forEach((delay, index) => {
          clock.schedule(delay, () => {
            expect(clock.now()).toBe(delay)
            ran.push(index)
          })
        })
        for (const step of steps) clock.advance(step)
        const passed = steps.reduce((sum, step) => sum + step, 0)
        const due = delays.map((delay, index) => ({ delay, index })).filter(({ delay }) => steps.length > 0 && delay <= passed)
        due.sort((a, b) => a.delay - b.delay || a.index - b.index)
        expect(ran).toEqual(due.map(({ index }) => index))
        expect(clock.pendingTimers).toBe(delays.length - due.length)
        expect(clock.now()).toBe(passed)
      }),
    )
  })

  test('a timer may schedule, cancel and advance', () => {
    const clock = new ManualClock()
    const ran: string[] = []
    const cancelled = clock.schedule(5, () => ran.push('cancelled'))
    clock.schedule(3, () => {
      cancelled.cancel()
      clock.schedule(0, () => ran.push(`zero ${clock.now()}`))
      clock.schedule(100, () => ran.push('late'))
      clock.advance(50)
    })
    clock.advance(10)
    cancelled.cancel()
    expect(ran).toEqual(['zero 3'])
    expect(clock.now()).toBe(53)
    expect(clock.nextTimerAt).toBe(103)
  })

  test('a delay of nothing or less still defers', () => {
    const clock = new ManualClock()
    let runs = 0
    clock.schedule(0, () => runs++)
    clock.schedule(-5, () => runs++)
    expect(runs).toBe(0)
    clock.advance(0)
    expect(runs).toBe(2)
  })

  test('the wall clock follows, and jumps alone', () => {
    const clock = new ManualClock({ wallTime: 1000 })
    clock.advance(5)
    clock.jumpWallTime(-500)
    expect([clock.now(), clock.wallTime()]).toEqual([5, 505])
  })

  test.each([-1, Number.NaN])('refuses to move by %s', async (by) => {
    const clock = new ManualClock()
    expect(() => clock.advance(by)).toThrow(RangeError)
    await expect(clock.advanceAsync(by)).rejects.toThrow(RangeError)
  })

  test('advanceAsync lets promise chains run between timers', async () => {
    const clock = new ManualClock()
    const ran: number[] = []
    const work = (async () => {
      for (let i = 0; i < 3; i++) {
        await sleep(clock, 10)
        for (let j = 0; j < 20; j++) await undefined
        ran.push(clock.now())
      }
    })()
    await clock.advanceAsync(30)
    await work
    expect(ran).toEqual([10, 20, 30])
  })
})

describe('sleep', () => {
  test('rejects with the reason of the signal and leaves no timer', async () => {
    const clock = new ManualClock()
    const controller = new AbortController()
    const slept = sleep(clock, 10, { signal: controller.signal })
    expect(clock.pendingTimers).toBe(1)
    controller.abort('reason')
    await expect(slept).rejects.toBe('reason')
    expect(clock.pendingTimers).toBe(0)
    await expect(sleep(clock, 10, { signal: controller.signal })).rejects.toBe('reason')
    expect(clock.pendingTimers).toBe(0)
  })

  test('forgets the signal when it is over', async () => {
    const clock = new ManualClock()
    const controller = new AbortController()
    const slept = sleep(clock, 10, { signal: controller.signal })
    clock.advance(10)
    await slept
    controller.abort()
  })
})

describe('systemClock', () => {
  test('never runs early, and never before schedule has returned', async () => {
    const delays = [-3, ...Array.from({ length: 400 }, (_, index) => index * 0.137)]
    let returned = false
    const ran = delays.map(
      (delay) =>
        new Promise<void>((resolve, reject) => {
          const due = systemClock.now() + delay
          systemClock.schedule(delay, () => {
            const early = due - systemClock.now()
            if (returned && early <= 0) resolve()
            else reject(new Error(`delay ${delay}: ${early} ms early, returned: ${returned}`))
          })
        }),
    )
    returned = true
    await Promise.all(ran)
  })

  test('a wait longer than setTimeout can be armed and cancelled', async () => {
    let ran = false
    const timers = [2 ** 31, 2 ** 40, Number.POSITIVE_INFINITY].map((delay) =>
      systemClock.schedule(delay, () => {
        ran = true
      }),
    )
    await sleep(systemClock, 5)
    for (const timer of timers) timer.cancel()
    expect(ran).toBe(false)
  })

  test('a background timer does not keep the process alive, another does', () => {
    const waiting = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = waiting()
    const background = systemClock.schedule(60_000, () => {}, { background: true })
    expect(waiting()).toBe(before)
    const foreground = systemClock.schedule(60_000, () => {})
    expect(waiting()).toBe(before + 1)
    background.cancel()
    foreground.cancel()
    expect(waiting()).toBe(before)
  })

  test('wallTime is the time of day', () => {
    expect(new Date(systemClock.wallTime()).getUTCFullYear()).toBeGreaterThan(2025)
  })
})
