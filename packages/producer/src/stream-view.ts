import type { StreamReference } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import { classifyFailure, withAdvice } from '@shardwise/core/service-error'
import { DEFAULT_MAX_RECORD_BYTES } from '@shardwise/core/service-limits'
import { listAllShards, type Shard, ShardListingError, type ShardMap } from '@shardwise/core/shard-map'
import { describeStream, StreamDescriptionError } from '@shardwise/core/stream-description'
import { ControlCalls, type ControlPort } from './control-calls.js'
import { StreamUnusableError } from './producer-error.js'
import type { Backoff } from './retry-policy.js'
import { ShardDirectory } from './shard-directory.js'

/** What the pipeline needs to know of the stream itself. */
export interface StreamTraits {
  readonly maxRecordBytes: number
  /** Undefined when it is not permitted to ask. */
  readonly distribution: 'partition-key' | 'auto' | undefined
}

export interface StreamViewListener {
  /** The first map is there, or another one. `before` is undefined for the first. */
  mapChanged(map: ShardMap, before: ShardMap | undefined): void
  /** A listing came and changed nothing, except perhaps that closed shards are known now. */
  mapConfirmed(): void
  traitsKnown(traits: StreamTraits): void
  /** Told once, until it is permitted again. */
  probeDenied(message: string): void
  /** `fatal` when trying again will not help. */
  failed(error: StreamUnusableError, fatal: boolean): void
  /** A call has ended: `nextAt` may have changed. Comes after the others. */
  idle(): void
  now(): number
}

export interface StreamViewOptions {
  readonly name: string
  readonly ordered: boolean
  readonly retry: Backoff
  readonly random: Random
  /** Age at which the map is worth a new listing; 0 for never. */
  readonly refreshMs: number
  /** For one call. */
  readonly timeoutMs: number
}

/** What the next call is to ask for. */
interface Wish {
  list: boolean
  closedToo: boolean
  probe: boolean
  /** Nothing calls for it but the age of what is known. If it fails, what is known stays. */
  routine: boolean
}

/** A second refresh waits at least this long: a stream that answers oddly must not be listed in a loop. */
const LEAST_REFRESH_INTERVAL_MS = 100
/** Renewals of the map for one of the traits: DescribeStreamSummary has 20 calls a second for all of an account. */
const RENEWALS_A_PROBE = 5

/**
 * Keeps the shard map and the stream's traits: loads both before the first record is routed, and renews what is asked for, one call at a
 * time. What was asked for while a call runs is asked again after it, since the running one may have been answered before the cause arose.
 *
 * It has no timer: `nextAt` says when to call `tick`.
 */
export class StreamView {
  readonly #calls: ControlCalls
  readonly #reference: StreamReference
  readonly #name: string
  readonly #ordered: boolean
  readonly #retry: Backoff
  readonly #random: Random
  readonly #listener: () => StreamViewListener
  readonly #refreshMs: number
  #isStopped = false
  #directory = new ShardDirectory()
  #traits: StreamTraits | undefined
  /** The directory that the running call is for. `forget` replaces it, and the call's answer is then dropped. */
  #running: ShardDirectory | undefined
  #wanted: Wish = nothing()
  #staleAt = Number.POSITIVE_INFINITY
  #renewals = 0
  #isDenied = false
  #notBefore = Number.NEGATIVE_INFINITY
  /** Calls in a row that were called for and failed or changed nothing. */
  #fruitless = 0

  constructor(port: ControlPort, reference: StreamReference, options: StreamViewOptions, listener: () => StreamViewListener) {
    this.#calls = new ControlCalls(port, options.timeoutMs, () => this.#listener().now())
    this.#reference = reference
    this.#name = options.name
    this.#ordered = options.ordered
    this.#retry = options.retry
    this.#random = options.random
    this.#refreshMs = options.refreshMs
    this.#listener = listener
  }

  get map(): ShardMap | undefined {
    return this.#directory.map
  }

  get traits(): StreamTraits | undefined {
    return this.#traits
  }

  get isReady(): boolean {
    return this.#directory.map !== undefined && this.#traits !== undefined
  }

  /** Any shard ever seen, open or closed. */
  shard: ShardDirectory['get'] = (shardId) => this.#directory.get(shardId)

  isOpen(shard: Shard): boolean {
    return this.#directory.isOpen(shard)
  }

  /** When `tick` has something to do, or undefined. */
  get nextAt(): number | undefined {
    if (this.#running !== undefined) return this.#calls.giveUpAt
    return this.#wanted.list || this.#wanted.probe ? this.#notBefore : undefined
  }

  /** From when on `renew` is worth while. There is no timer for it: whoever puts asks, so that nothing is listed while nobody does. */
  get staleAt(): number {
    return this.#staleAt
  }

  /** Whether a listing has been asked for and has not ended. */
  get isRenewing(): boolean {
    return this.#running !== undefined || this.#wanted.list
  }

  /** Asks for what is missing. */
  load(now: number): void {
    if (this.isReady || this.#running === this.#directory) return
    this.#wanted.list ||= this.#directory.map === undefined
    this.#wanted.probe ||= this.#traits === undefined
    this.#wanted.routine = false
    this.tick(now)
  }

  /** Asks for a newer map; `closedToo` to learn of shards that have closed already, which the usual listing leaves out. */
  refresh(now: number, closedToo = false): void {
    if (this.isReady) {
      this.#wanted.list = true
      this.#wanted.closedToo ||= closedToo
      this.#wanted.routine = false
      this.tick(now)
    } else this.load(now)
  }

  /** Asks for the stream's traits anew; `listToo` for its map as well. */
  probe(now: number, listToo = false): void {
    if (this.isReady) {
      this.#wanted.probe = true
      this.#wanted.list ||= listToo
      this.#wanted.routine = false
      this.tick(now)
    } else this.load(now)
  }

  /** Asks for a newer map because of its age, and now and then for the traits. */
  renew(now: number): void {
    this.#staleAt = Number.POSITIVE_INFINITY
    if (!this.isReady || this.#wanted.list) return
    this.#wanted.routine = !this.#wanted.probe
    this.#wanted.list = true
    this.tick(now)
  }

  /** Forgets everything: the stream is gone, or cannot be used as it is. The next `load` starts afresh. */
  forget(): void {
    this.#directory = new ShardDirectory()
    this.#traits = undefined
    this.#wanted = nothing()
    this.#staleAt = Number.POSITIVE_INFINITY
  }

  tick(now: number): void {
    if (this.#isStopped) return
    if (this.#running !== undefined) {
      this.#calls.giveUp(now)
      return
    }
    if (this.nextAt === undefined || this.#notBefore > now) return
    const wanted = this.#wanted
    this.#wanted = nothing()
    this.#running = this.#directory
    void this.#call(wanted)
  }

  stop(): void {
    this.#isStopped = true
    this.#calls.stop(new Error('The producer was closed'))
  }

  async #call(wanted: Wish): Promise<void> {
    const directory = this.#directory
    let fruitful = false
    let tell: (() => void) | undefined
    let unasked: unknown
    try {
      if (wanted.probe) {
        const traits = await this.#probe().catch((cause: unknown) => {
          // Of a stream that is known already the list may tell what the traits were asked for.
          if (!wanted.list || !this.isReady || cause instanceof StreamUnusableError) throw cause
          unasked = cause
        })
        if (this.#isStopped || directory !== this.#directory) return
        if (traits !== undefined) {
          fruitful = !areSame(this.#traits, traits)
          this.#traits = traits
          this.#listener().traitsKnown(traits)
          wanted.probe = false
        }
      }
      if (wanted.list) {
        const filter = wanted.closedToo ? {} : { filter: { Type: 'AT_LATEST' } as const }
        const listing = await listAllShards(this.#calls, this.#reference, filter)
        if (this.#isStopped || directory !== this.#directory) return
        const before = directory.map
        const verdict = directory.accept(listing)
        if (verdict.kind === 'unusable') throw new ShardListingError(undefined, verdict.why)
        fruitful ||= verdict.kind === 'changed'
        this.#listed()
        tell =
          verdict.kind === 'changed'
            ? () => this.#listener().mapChanged(verdict.map, before)
            : () => this.#listener().mapConfirmed()
        wanted.list = false
        wanted.closedToo = false
      }
      if (unasked !== undefined) throw unasked
    } catch (cause) {
      if (this.#isStopped || directory !== this.#directory) return
      const [error, fatal] = this.#describe(cause)
      if (wanted.routine) this.#staleAt = this.#listener().now() + (fatal ? this.#refreshMs : this.#longPause())
      else if (!fatal) {
        this.#wanted.routine = false
        this.#wanted.list ||= wanted.list
        this.#wanted.closedToo ||= wanted.closedToo
        this.#wanted.probe ||= wanted.probe
      }
      fruitful = false
      const listed = tell
      tell = () => {
        listed?.()
        this.#listener().failed(error, fatal)
      }
    } finally {
      this.#running = undefined
      if (fruitful) this.#fruitless = 0
      else if (!wanted.routine) this.#fruitless++
      if (!this.#isStopped) {
        this.#notBefore = this.#listener().now() + this.#pause()
        tell?.()
        this.#listener().idle()
      }
    }
  }

  #pause(): number {
    if (this.#fruitless === 0) return LEAST_REFRESH_INTERVAL_MS
    const ceiling = Math.min(this.#retry.maxMs, this.#retry.baseMs * 2 ** (this.#fruitless - 1))
    return Math.max(LEAST_REFRESH_INTERVAL_MS, (ceiling * (1 + this.#random())) / 2)
  }

  #longPause(): number {
    return Math.max(LEAST_REFRESH_INTERVAL_MS, (this.#retry.maxMs * (1 + this.#random())) / 2)
  }

  /** The map is as new as can be. Jitter keeps a fleet that was started together from listing together. */
  #listed(): void {
    if (this.#refreshMs === 0) return
    this.#staleAt = this.#listener().now() + this.#refreshMs * (1 - this.#random() / 5)
    if (this.#wanted.probe || ++this.#renewals % RENEWALS_A_PROBE !== 0) return
    this.#wanted.routine = !this.#wanted.list
    this.#wanted.probe = true
  }

  async #probe(): Promise<StreamTraits> {
    try {
      const { status, maxRecordBytes, distribution } = await describeStream(this.#calls, this.#reference)
      this.#isDenied = false
      if (status === 'DELETING') {
        throw new StreamUnusableError(
          this.#name,
          'StreamDeleting',
          'it is being deleted. Wait until it is gone and create it again',
        )
      }
      if (status === 'CREATING') throw new NotYetActive()
      if (distribution === 'auto' && this.#ordered) {
        throw new StreamUnusableError(
          this.#name,
          'AutoDistribution',
          "its records are distributed by the service (RecordDistributionStrategy AUTO), so no order can be kept. Use ordering: 'none', " +
            'or switch the stream to USER_PARTITION_KEY',
        )
      }
      return { maxRecordBytes, distribution }
    } catch (cause) {
      const failure = classifyFailure(cause)
      if (failure.kind !== 'access-denied') throw cause
      if (!this.#isDenied) this.#listener().probeDenied(withAdvice(failure))
      this.#isDenied = true
      return { maxRecordBytes: DEFAULT_MAX_RECORD_BYTES, distribution: undefined }
    }
  }

  #describe(cause: unknown): [StreamUnusableError, fatal: boolean] {
    if (cause instanceof StreamUnusableError) return [cause, true]
    if (cause instanceof NotYetActive) {
      return [new StreamUnusableError(this.#name, 'StreamCreating', 'it is still being created. Wait until it is ACTIVE'), false]
    }
    if (cause instanceof ShardListingError || cause instanceof StreamDescriptionError) {
      const fatal = cause instanceof StreamDescriptionError
      return [new StreamUnusableError(this.#name, cause.code, cause.message, { cause }), fatal]
    }
    const failure = classifyFailure(cause)
    return [
      new StreamUnusableError(this.#name, failure.code, `${failure.code}: ${withAdvice(failure)}`, { cause }),
      !failure.retryable,
    ]
  }
}

function nothing(): Wish {
  return { list: false, closedToo: false, probe: false, routine: false }
}

function areSame(known: StreamTraits | undefined, told: StreamTraits): boolean {
  return known?.maxRecordBytes === told.maxRecordBytes && known.distribution === told.distribution
}

/** Only between `#probe` and `#describe`. */
class NotYetActive extends Error {}
