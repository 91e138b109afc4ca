import type { Clock, Scheduled } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import type { VirtualTime } from './virtual-time.js'

/** 2026-01-01T00:00:00Z */
export const EPOCH = 1_767_225_600_000
/** And more: pauses are shorter. */
const LONGEST_SUSPENSION_MS = 60_000
/** Of virtual time: a timer never fires a fraction early. */
const GRAIN_PER_MS = 1_000

export interface ProcessTraits {
  readonly name: string
  /** How fast its oscillator runs: 1 is right. */
  readonly rate: number
  /** How far its wall clock is off, in milliseconds. */
  readonly wallSkewMs: number
}

type State = 'running' | 'paused' | 'dead'

/**
 * One operating-system process with its own clock. It can be paused (SIGSTOP), suspended with its machine, blocked by its own code, and
 * killed; meanwhile nothing of it runs: timers and answers that come wait until it goes on.
 */
export class SimulatedProcess {
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  /** Timers that have not run: one that is left after everything was stopped is a leak. */
  liveTimers = 0
  /** Virtual time until which whatever happens here may be the consequence of a disturbance. */
  disturbedUntil = 0
  readonly #time: VirtualTime
  readonly #rate: number
  #wallSkewMs: number
  #origin: number
  #state: State = 'running'
  #blockedUntil = 0
  #pausedAt = 0
  #pausedUntil = 0
  #isSuspended = false
  #wasSuspended = false
  #wasSetBack = false
  #draining = false
  /** Fell due, or arrived, while nothing ran: each of the two in its order. */
  readonly #timers: (() => void)[] = []
  readonly #answers: (() => void)[] = []

  constructor(time: VirtualTime, random: Random, { name, rate, wallSkewMs }: ProcessTraits) {
    this.name = name
    this.random = random
    this.#time = time
    this.#rate = rate
    this.#wallSkewMs = wallSkewMs
    this.#origin = Math.floor(random() * 1e6)
    this.clock = {
      now: () => this.#at(this.now),
      wallTime: () => Math.floor(EPOCH + this.now + this.#wallSkewMs),
      schedule: (delayMs, run) => this.#schedule(delayMs, run),
    }
  }

  get isDead(): boolean {
    return this.#state === 'dead'
  }

  get isPaused(): boolean {
    return this.#state === 'paused'
  }

  /** Virtual time as this process lives it: code that blocks goes on later than the step in which it was called. */
  get now(): number {
    return Math.max(this.#time.now, this.#blockedUntil)
  }

  /** Of its clock. A slow one makes the same time longer. */
  get rate(): number {
    return this.#rate
  }

  /** Runs `answer` when this process runs. */
  receive(answer: () => void): void {
    if (this.#state === 'dead') return
    if (this.#runs && this.#answers.length === 0 && this.#timers.length === 0) answer()
    else {
      this.#answers.push(answer)
      this.#drainSoon()
    }
  }

  /** Its code computes for so long, without a turn of the event loop. */
  block(ms: number): void {
    this.#blockedUntil = this.now + ms
    this.disturbed(this.#blockedUntil)
  }

  /**
   * Somebody sets its wall clock. Not back by a little where the machine has been suspended, nor the other way round: it may be by just as much, and
   * then neither of its clocks tells that time has passed (docs/guarantees.md, "Not promised").
   */
  setWallClock(byMs: number): void {
    const hides = byMs < 0 && byMs > -LONGEST_SUSPENSION_MS
    if (hides && this.#wasSuspended) return
    this.#wasSetBack ||= hides
    this.#wallSkewMs += byMs
    this.disturbed(this.#time.now)
  }

  /** Pauses that overlap are one. `suspended`: the whole machine is, and its monotonic clock stands still. */
  pause(forMs: number, suspended: boolean): void {
    if (this.#state === 'dead') return
    if (this.#state === 'running') {
      this.#pausedAt = this.#time.now
      this.#isSuspended = false
    }
    this.#state = 'paused'
    this.#isSuspended ||= suspended && !this.#wasSetBack
    this.#wasSuspended ||= this.#isSuspended
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#time.now + forMs)
    this.disturbed(this.#pausedUntil)
    this.#time.after(forMs, () => this.#time.now >= this.#pausedUntil && this.resume())
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    if (this.#isSuspended) this.#origin -= (this.#time.now - this.#pausedAt) * this.#rate
    this.disturbed(this.#time.now)
    this.#drainSoon()
  }

  kill(): void {
    this.#state = 'dead'
    this.#timers.length = 0
    this.#answers.length = 0
    this.disturbedUntil = Number.POSITIVE_INFINITY
  }

  disturbed(until: number): void {
    this.disturbedUntil = Math.max(this.disturbedUntil, until)
  }

  get #runs(): boolean {
    return this.#state === 'running' && this.#time.now >= this.#blockedUntil
  }

  #at(virtual: number): number {
    return virtual * this.#rate + this.#origin
  }

  #schedule(delayMs: number, run: () => void): Scheduled {
    const due = this.clock.now() + Math.max(0, delayMs)
    let isOver = false
    let timer: Scheduled
    this.liveTimers++
    const end = (): void => {
      if (isOver) return
      isOver = true
      this.liveTimers--
    }
    const arm = (): void => {
      // Never in the same instant, so that a timer that is set again and again lets time pass.
      const at = Math.ceil(((due - this.#origin) / this.#rate) * GRAIN_PER_MS) / GRAIN_PER_MS
      timer = this.#time.at(Math.max(at, this.now), fire)
    }
    const fire = (): void => {
      if (isOver || this.#state === 'dead') return
      if (!this.#runs || this.#timers.length > 0 || this.#answers.length > 0) {
        this.#timers.push(ring)
        this.#drainSoon()
      } else ring()
    }
    const ring = (): void => {
      if (isOver) return
      // The machine was suspended meanwhile, or the fraction is too small for the clock.
      if (this.clock.now() < due) {
        this.#time.after(1 / GRAIN_PER_MS, arm)
        return
      }
      end()
      run()
    }
    arm()
    return {
      cancel: () => {
        if (isOver) return
        end()
        timer.cancel()
      },
    }
  }

  /** One after the other, each with its promise callbacks, as an event loop does: timers and answers in any order, but each kind in its own. */
  #drainSoon(): void {
    if (this.#draining || this.#state !== 'running' || this.#timers.length + this.#answers.length === 0) return
    this.#draining = true
    this.#time.at(this.now, () => {
      this.#draining = false
      if (this.#runs) {
        const { length } = this.#timers
        const first = length > 0 && (this.#answers.length === 0 || this.random() < 0.5) ? this.#timers : this.#answers
        first.shift()?.()
      }
      this.#drainSoon()
    })
  }
}
