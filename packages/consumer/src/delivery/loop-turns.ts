import { type Clock, sleep } from '@shardwise/core/clock'

/** Handler calls may keep the thread so long, all together, before everything else gets a turn. */
const LONGEST_SPELL_MS = 50

const ofClocks = new WeakMap<Clock, LoopTurns>()

/**
 * Lets the event loop turn between handler calls that compute and wait for nothing. A promise that has resolved goes on before any timer and
 * any answer from the network: without this a read of 10,000 records, or the reads of 100 shards one after the other, would be handled in one go,
 * while no lease is renewed and no signal is heard.
 */
export class LoopTurns {
  readonly #clock: Clock
  #keptMs = 0
  #turn: Promise<void> | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A thread has one event loop: all who measure with the same clock take part in the same turns. */
  static of(clock: Clock): LoopTurns {
    let turns = ofClocks.get(clock)
    if (turns === undefined) {
      turns = new LoopTurns(clock)
      ofClocks.set(clock, turns)
    }
    return turns
  }

  /** Makes a call and counts the time until it returns, or until it waits for something. */
  keeping<T>(call: () => T): T {
    const since = this.#clock.now()
    try {
      return call()
    } finally {
      this.kept(this.#clock.now() - since)
    }
  }

  /** The thread was kept, about. */
  kept(forMs: number): void {
    this.#keptMs += forMs
  }

  /** What to wait for before the next call; undefined while there is no need. */
  get due(): Promise<void> | undefined {
    if (this.#turn === undefined && this.#keptMs >= LONGEST_SPELL_MS) {
      this.#turn = sleep(this.#clock, 0).then(() => {
        this.#keptMs = 0
        this.#turn = undefined
      })
    }
    return this.#turn
  }
}
