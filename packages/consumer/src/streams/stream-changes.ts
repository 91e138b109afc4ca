import { type Clock, sleep } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import { classifyFailure, type ServiceFailure } from '@shardwise/core/service-error'
import { backoffDelay } from '../backoff.js'
import type { LeaseCoordinator } from '../leases/lease-coordinator.js'
import type { LeaseStore } from '../leases/lease-store.js'
import { isSameCreation } from '../shards/creation-time.js'
import type { StartSteps } from '../start-steps.js'
import type { ConsumedStream } from './consumed-stream.js'
import type { StreamSet } from './stream-set.js'
import type { StreamSettings } from './stream-settings.js'

export interface RemoveStreamOptions {
  /**
   * `keep`: the leases stay, given up at their checkpoints, for workers that still read the stream, and for the day when it is added again.
   * `delete`: the application forgets the stream, unless another worker takes or renews a lease of it within ten seconds and the failover time.
   * Default `keep`.
   */
  readonly leases?: 'keep' | 'delete' | undefined
}

export interface RemovedStream {
  /** All, or 0 with `keep` and where another worker reads the stream. */
  readonly deletedLeases: number
}

export interface StreamChangesOptions {
  readonly streams: StreamSet
  readonly steps: StartSteps
  readonly store: LeaseStore
  readonly coordinator: Pick<LeaseCoordinator, 'giveUp' | 'poke'>
  readonly failoverTimeMs: number
  /** Milliseconds that handlers have when a stream is left. Then they are cut off, as by a stop: nobody shall wait for ever for one that hangs. */
  readonly handoffTimeoutMs: number
  readonly clock: Clock
  readonly random: Random
  /** The consumer stops. */
  readonly stop: AbortSignal
}

/** A look at a stream that did not tell whether it is still the same. */
export interface UnclearLook {
  readonly failure: ServiceFailure
  readonly retryInMs: number
}

/** Who still reads a stream takes what was given up with its next scan; this is longer than scans of tables up to 5,000 leases are apart. */
const OTHERS_TAKE_WITHIN_MS = 10_000

/** Between looks at a stream that gives no answer: all workers of a fleet have the same cause, and an account few calls a second. */
const BETWEEN_LOOKS = { baseMs: 5_000, maxMs: 60_000 }

const BETWEEN_BEGINNINGS = { baseMs: 1_000, maxMs: 30_000 }

/** The line of all additions: each reads the whole lease table. No stream has this name. */
const ADDITIONS = '+'

/**
 * Adds streams to a consumer that runs, and removes them. Changes of streams with one name come one after the other, in the order of the calls, and so
 * do all additions; an addition that is slow, or gives no answer, holds up nothing else.
 */
export class StreamChanges {
  readonly #options: StreamChangesOptions
  readonly #started: Promise<unknown>
  /** The last change of each line. */
  readonly #lines = new Map<string, Promise<unknown>>()

  /** `started`: changes begin after it. */
  constructor(options: StreamChangesOptions, started: Promise<unknown>) {
    this.#options = options
    this.#started = started
  }

  /** Resolves when its shards have leases, to be taken by this worker and the others that have the stream. Rejects as the start does. */
  add(stream: ConsumedStream): Promise<void> {
    const added = this.#next([ADDITIONS, stream.settings.name], () => this.#join(stream))
    return this.#unlessStopped(added, undefined)
  }

  /** Resolves when this worker does nothing with the stream any more, but for handlers that were cut off. */
  remove(settings: StreamSettings, leases: 'keep' | 'delete'): Promise<RemovedStream> {
    const { streams } = this.#options
    const which = (stream: ConsumedStream) => stream.settings === settings
    // Before its turn comes, if it is there by now.
    for (const stream of streams.streams) if (which(stream)) stream.leaving = true
    const removed = this.#next([settings.name], async () => {
      const stream = streams.streams.find(which)
      if (stream === undefined) return { deletedLeases: 0 }
      const { streamId } = stream
      await this.#leave(stream)
      return { deletedLeases: leases === 'delete' ? await this.#forget(streamId) : 0 }
    })
    return this.#unlessStopped(removed, { deletedLeases: 0 })
  }

  /**
   * Something hints at another stream of this name, since ours was deleted. If there is one, this worker begins anew with `successor`, which
   * is made of it. Looks until it can tell, and tells `unclear` of each look that could not: each shard gives its hint once, and rows of the
   * former stream go on hiding shards of the present one. Never rejects.
   */
  async check(stream: ConsumedStream, successor: () => ConsumedStream, unclear: (look: UnclearLook) => void): Promise<boolean> {
    const { clock, random, stop } = this.#options
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#next([stream.settings.name], () => this.#look(stream, successor()))
      } catch (error) {
        const retryInMs = backoffDelay(attempt, BETWEEN_LOOKS, random)
        if (!stop.aborted) unclear({ failure: classifyFailure(error), retryInMs })
        await sleep(clock, retryInMs, { signal: stop }).catch(() => {})
      }
    }
  }

  /** Whether it is another. */
  async #look(stream: ConsumedStream, next: ConsumedStream): Promise<boolean> {
    const { streams, stop } = this.#options
    if (stream.leaving || stop.aborted || !streams.streams.includes(stream)) return false
    // Rejects also while there is none, or not yet.
    await next.describe({ signal: stop })
    if (isSameCreation(next.createdAt, stream.createdAt)) return false
    await this.#leave(stream)
    streams.add(next)
    void this.#begin(next)
    return true
  }

  /** Tried until it succeeds: the audits would make it good, but may be minutes away, and nobody else may be there to read the stream. */
  async #begin(stream: ConsumedStream): Promise<void> {
    const { streams, coordinator, clock, random, stop } = this.#options
    for (let attempt = 1; !stream.leaving && !stop.aborted; attempt++) {
      try {
        await streams.createMissing({ signal: stop }, stream)
        coordinator.poke()
        return
      } catch {
        await sleep(clock, backoffDelay(attempt, BETWEEN_BEGINNINGS, random), { signal: stop }).catch(() => {})
      }
    }
  }

  async #join(stream: ConsumedStream): Promise<void> {
    const { streams, steps, coordinator, stop } = this.#options
    const { stream: name } = stream.settings
    await steps.take('describe-stream', () => stream.describe({ signal: stop }), name)
    await steps.take('find-stream-consumer', async () => stream.registration?.find(stop), name)
    streams.add(stream)
    try {
      await steps.take('list-shards', () => streams.createMissing({ signal: stop }, stream), name)
    } catch (error) {
      // The table may have had leases of it, free to be taken as soon as it was identified.
      await this.#leave(stream)
      throw error
    }
    coordinator.poke()
  }

  async #leave(stream: ConsumedStream): Promise<void> {
    const { streams, coordinator, handoffTimeoutMs: timeoutMs } = this.#options
    stream.leaving = true
    await stream.limit.enforce(
      { timeoutMs },
      coordinator.giveUp((lease) => streams.of(lease) === stream),
    )
    streams.delete(stream)
  }

  /**
   * A worker that still reads the stream must not find its leases gone: it would begin at the initial position, and skip. So none is deleted
   * if one is taken or renewed while we wait, and each only as it was seen then.
   */
  async #forget(streamId: string | undefined, mayLookAgain = true): Promise<number> {
    const { store, clock, stop, failoverTimeMs } = this.#options
    const own = async () => (await store.list({ consistent: true })).leases.filter((lease) => lease.streamId === streamId)
    const before = new Map((await own()).map((lease) => [lease.leaseKey, lease.leaseCounter]))
    await sleep(clock, Math.max(OTHERS_TAKE_WITHIN_MS, failoverTimeMs * 1.5), { signal: stop }).catch(() => {})
    const leases = await own()
    if (stop.aborted) return 0
    if (leases.some(({ leaseKey, leaseCounter }) => before.get(leaseKey) !== leaseCounter)) {
      // Perhaps it was we, who gave back what the table did not let us give back before: then nobody has one.
      const isFree = leases.every(({ leaseOwner }) => leaseOwner === undefined)
      return mayLookAgain && isFree ? this.#forget(streamId, false) : 0
    }
    let deleted = 0
    for (const lease of leases) if ((await store.delete(lease)).done) deleted++
    return deleted
  }

  /** A change that was stopped has not failed. */
  async #unlessStopped<T>(change: Promise<T>, stopped: T): Promise<T> {
    try {
      return await change
    } catch (error) {
      if (this.#options.stop.aborted) return stopped
      throw error
    }
  }

  /** In all of these lines behind what was asked for before. */
  #next<T>(lines: readonly string[], change: () => Promise<T>): Promise<T> {
    const before = lines.map((line) => this.#lines.get(line) ?? this.#started)
    const result = Promise.all(before).then(change)
    const over = result.catch(() => {})
    for (const line of lines) this.#lines.set(line, over)
    return result
  }
}
