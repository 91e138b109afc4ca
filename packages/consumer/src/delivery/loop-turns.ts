import { type Clock, sleep } from '@shardwise/core/clock'

/** Work on records may keep the thread so long, all together, before everything else gets a turn. */
const LONGEST_SPELL_MS = 50

const ofClocks = new WeakMap<Clock, LoopTurns>()

/**
 * Lets the event loop turn between pieces of work that compute and wait for nothing, such as handler calls. A promise that has resolved goes on before any
 * timer and any answer from the network: without this a read of 10,000 records, or the reads of 100 shards one after the other, would be
 * handled in one go, while no lease is renewed and no signal is heard.
 */
export class LoopTurns {
  readonly #clock: Clock
  #keptMs = 0
  /** Those who wait for a turn, the first to go on first. */
  #line: (() => void)[] = []
  #isServing = false

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

  get isDue(): boolean {
    return this.#keptMs >= LONGEST_SPELL_MS
  }

  /** What to wait for before the next piece of work, in line with others; undefined while there is no need. */
  turn(): Promise<void> | undefined {
    if (!this.isDue) return undefined
    return new Promise((resolve) => {
      this.#line.push(resolve)
      if (!this.#isServing) void this.#serve()
    })
  }

  /**
   * One after the other, and no further than a spell lasts: were all let go together, each shard would unpack its records before any handler is called,
   * and all of them would lie in memory.
   */
  async #serve(): Promise<void> {
    this.#isServing = true
    while (this.#line.length > 0) {
      await sleep(this.#clock, 0)
      this.#keptMs = 0
      while (this.#line.length > 0 && !this.isDue) {
        this.#line.shift()!()
        // What it does before it waits for something is done, and counted, when this goes on.
        await undefined
      }
    }
    this.#isServing = false
  }
}
