import { isUint8Array } from 'node:util/types'
import type { Account } from './account.js'
import type { BurstClock } from './burst-clock.js'
import type { Meter } from './meter.js'
import type { Packer } from './packer.js'
import type { ProducerCounters } from './producer-stats.js'
import type { StreamGate } from './stream-gate.js'
import type { PutOutcome } from './user-record.js'

/** What the short way shares with the rest of the pipeline. */
export interface ShortWayParts {
  readonly burstClock: BurstClock
  readonly account: Account
  readonly counters: ProducerCounters
  readonly meter: Meter
  readonly gate: StreamGate
  readonly packer: Packer
}

/**
 * Part of the pipeline: from the call into an aggregate that is open, for bytes under a key and nothing else, where members are columns and nothing
 * is in the way. Such a record needs no object and no timer, and no code of the caller's runs. All others, the first of each aggregate
 * and those that end in an error among them, go the way that pipeline.ts shows.
 *
 * Measured (`npm run bench -- put-path --cpu` before and after, in turns on a loaded machine): a fifth more records a second, or more.
 */
export class ShortWay {
  readonly #burstClock: BurstClock
  readonly #account: Account
  readonly #counters: ProducerCounters
  readonly #meter: Meter
  readonly #gate: StreamGate
  readonly #packer: Packer

  constructor({ burstClock, account, counters, meter, gate, packer }: ShortWayParts) {
    this.#burstClock = burstClock
    this.#account = account
    this.#counters = counters
    this.#meter = meter
    this.#gate = gate
    this.#packer = packer
  }

  /**
   * What it counts in the buffer, if it is in; 0 if not, and then nothing has happened.
   *
   * That the stream takes a record of its size follows from its being in the aggregate, and so does that there is a timer: the aggregate's. Nothing
   * halts where members are columns: they are so only where no order is promised.
   */
  take(partitionKey: string, data: Uint8Array, outcome: PutOutcome<never> | undefined, subject: unknown): number {
    if (typeof partitionKey !== 'string' || !isUint8Array(data) || !(data instanceof Uint8Array)) return 0
    const { router } = this.#packer
    if (router === undefined) return 0
    const { keys } = router
    const index = keys.indexOf(partitionKey)
    const { keyBytes } = keys
    const dataBytes = data.length
    // Without data it may have been in a buffer that was handed over.
    if (keyBytes === 0 || dataBytes === 0) return 0
    const bytes = keyBytes + dataBytes
    const account = this.#account
    if (!account.hasRoomFor(bytes)) return 0
    const { moment } = this.#burstClock
    const { now } = moment
    if (!this.#gate.isOpenAt(now)) return 0
    const members = router.joined!.join(index, keys.key, data)
    if (members === undefined) return 0
    const epoch = account.enter(bytes)
    const cohort = account.cohortAt(now)
    if (this.#meter.counts()) this.#meter.samples(partitionKey, now)
    members.push(moment, this.#counters.accepted++, cohort, epoch, outcome, false, subject, bytes, dataBytes)
    return bytes
  }
}
