import type { EventSource } from '@shardwise/core/events'
import type { ShardMap } from '@shardwise/core/shard-map'
import type { Account } from './account.js'
import type { Dispatcher } from './dispatcher.js'
import type { Entry } from './entry.js'
import type { Ledger } from './ledger.js'
import type { Meter } from './meter.js'
import type { Packer } from './packer.js'
import { type Misplacement, PlacementDoubt } from './placement-doubt.js'
import { ProducerClosedError, type StreamUnusableError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import type { Settings } from './producer-options.js'
import type { ProducerCounters } from './producer-stats.js'
import type { Settler } from './settler.js'
import type { StreamTraits, StreamView, StreamViewListener } from './stream-view.js'
import type { UserRecord } from './user-record.js'

/** What the gate shares with the rest of the pipeline. */
export interface StreamGateParts {
  readonly settings: Settings
  readonly events: EventSource<ProducerEvent>
  readonly counters: ProducerCounters
  readonly account: Account
  readonly ledger: Ledger
  readonly packer: Packer
  readonly dispatcher: Dispatcher
  readonly settler: Settler
  readonly view: StreamView
  readonly meter: Meter
  /** The record goes on: the stream is known. */
  route(record: UserRecord, now: number): void
  /** Nothing lingers any longer. */
  hurry(now: number): void
  wakeBy(at: number | undefined): void
  /** A call to the stream's view has ended: do what is due now. */
  turn(now: number): void
}

interface LoadWaiter {
  readonly since: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** `load` gives up at the first failure after this time; records that wait go on trying for as long as they live. */
const LOAD_PATIENCE_MS = 3000
/** After idleness the first records wait this long for a newer map, and after a misplacement all do for the stream's word. A call takes some 20 ms. */
const MOST_HELD_MS = 1000

/**
 * Part of the pipeline, between admission and packing: here records wait until the stream is known, and here what the stream's view tells
 * is carried out: what is not in flight is predicted and packed anew, waits again, or fails.
 */
export class StreamGate implements StreamViewListener {
  readonly #parts: StreamGateParts
  /** Accepted, until there is a map. */
  #unrouted: UserRecord[] = []
  /** In the order of acceptance, which is that of expiry. */
  #isInOrder = true
  /** So many of these, while the others are on their way through. */
  #letThrough = 0
  readonly #loadWaiters: LoadWaiter[] = []
  #lastPutAt = Number.NEGATIVE_INFINITY
  /** The map may be that of a stream which is no more: records wait for a newer one, but not beyond this time. */
  #holdUntil = Number.NEGATIVE_INFINITY
  /** While it is raised nothing is packed, and nothing but what is in flight is out of here. */
  readonly #doubt = new PlacementDoubt()
  #hasProbed = false
  /** Of the stream, as far as it was known when what is queued was packed. */
  #maxRecordBytes = Number.POSITIVE_INFINITY

  constructor(parts: StreamGateParts) {
    this.#parts = parts
  }

  /** Whether a record that is put now may be routed at once: the stream is known and nothing waits that came before. */
  opensFor(now: number): boolean {
    const { view } = this.#parts
    if (view.staleAt <= now) this.#renew(now)
    this.#lastPutAt = now
    return this.#unrouted.length === 0 && this.mayPack && this.#holdUntil <= now
  }

  /** The same where nothing need be asked of the stream; false does not mean that it is not. */
  isOpenAt(now: number): boolean {
    const { view } = this.#parts
    if (view.staleAt <= now || this.#unrouted.length > 0 || !this.mayPack || this.#holdUntil > now) return false
    this.#lastPutAt = now
    return true
  }

  /** Whether there is a map, and keys are known to be heeded or not. What comes back from a request waits here, too, when not. */
  get mayPack(): boolean {
    return this.#parts.view.isReady && !this.#doubt.isRaised
  }

  /** Whether someone waits for the stream though nothing is buffered. */
  get isAwaited(): boolean {
    return this.#loadWaiters.length > 0
  }

  /** Accepted, and not let through. */
  get waiting(): readonly UserRecord[] {
    return this.#unrouted.slice(this.#letThrough)
  }

  /** Resolves when the stream is known; rejects with StreamUnusableError. */
  load(): Promise<void> {
    if (this.#parts.view.isReady) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const since = this.now()
      this.#loadWaiters.push({ since, resolve, reject })
      this.#loadView(since)
    })
  }

  /** Behind those that wait. */
  wait(record: UserRecord, now: number): void {
    this.#unrouted.push(record)
    this.#parts.wakeBy(record.expiresAt)
    if (this.#holdUntil > now) this.#parts.wakeBy(this.#holdUntil)
    this.#loadView(now)
  }

  /** Records that had been let through wait again, among those that do as they were put. */
  park(records: readonly UserRecord[], now: number): void {
    // Entries come back one by one, by the thousand, while a hundred thousand records wait: they are put in their places in one go.
    for (const record of records) this.#unrouted.push(record)
    this.#isInOrder = false
    this.#loadView(now)
  }

  /** Lets through or expires what waits. */
  advance(now: number): void {
    const { settler, wakeBy } = this.#parts
    this.#judgeDoubt(now)
    wakeBy(this.#doubt.until)
    if (this.#unrouted.length === 0) return
    this.#putInOrder()
    if (this.mayPack && this.#holdUntil <= now) {
      this.#routeWaiting(now)
      return
    }
    let late = 0
    while (late < this.#unrouted.length && this.#unrouted[late]!.expiresAt <= now) late++
    if (late > 0) settler.expireUnsent(this.#unrouted.splice(0, late), now)
    if (this.#unrouted.length === 0) return
    wakeBy(this.#unrouted[0]!.expiresAt)
    if (this.#holdUntil > now) wakeBy(this.#holdUntil)
    this.#loadView(now)
  }

  /**
   * An entry lies where its hash key cannot (decision 5). Nothing is sent until the stream has been asked, and for a second at most. If order was
   * promised, the stream will say that it cannot be kept.
   */
  misplaced(misplacement: Misplacement, now: number): void {
    const { settings, packer, view } = this.#parts
    if (packer.auto) return
    // An answer that a newer map has overtaken says nothing of that map.
    if (settings.ordering === 'none' && !this.#doubt.isRaised && view.isOpen(misplacement.predicted)) {
      this.#doubt.raise(misplacement, now + Math.min(MOST_HELD_MS, settings.recordTtlMs / 2))
      this.#withdraw(now)
    }
    // With a listing: the shards may be those of another stream of the same name, and the keys not ignored at all.
    view.probe(now, true)
  }

  /**
   * The stream is gone. Another one of its name may come, with other shards of the same ids: nothing that was predicted is right any more.
   * What is queued waits for a map again, ahead of what is put from now on and behind what is in flight, should that come back.
   */
  startOver(now: number): void {
    this.#parts.view.forget()
    this.#withdraw(now)
  }

  /** For after the last flush. */
  stop(): void {
    for (const { reject } of this.#loadWaiters.splice(0)) reject(new ProducerClosedError())
  }

  // ---- what the stream's view tells ----

  mapChanged(map: ShardMap, before: ShardMap | undefined): void {
    const { events, counters, meter, settler } = this.#parts
    const now = this.now()
    this.#relane(now)
    settler.judgeHeld(now)
    const was = new Set(before?.open.map((shard) => shard.shardId))
    const opened = map.open.map((shard) => shard.shardId).filter((shardId) => !was.delete(shardId))
    counters.mapRefreshes++
    meter.keepOnly(map)
    events.emit({
      type: 'map-refreshed',
      stream: this.#parts.settings.stream,
      openShards: map.open.length,
      opened,
      closed: [...was],
    })
  }

  mapConfirmed(): void {
    this.#parts.settler.judgeHeld(this.now())
  }

  traitsKnown({ distribution, maxRecordBytes }: StreamTraits): void {
    const { settings, events, packer, view } = this.#parts
    // Where asking is not permitted, what was seen counts, and before anything was seen what the caller says.
    const unknown = packer.auto || (!this.#hasProbed && settings.distributionIfUnknown === 'auto')
    const auto = distribution === undefined ? unknown : distribution === 'auto'
    const changed = auto !== packer.auto
    packer.auto = auto
    this.#doubt.told(distribution)
    this.#hasProbed = true
    if (view.isReady && (changed || maxRecordBytes !== this.#maxRecordBytes)) this.#relane(this.now())
    if (changed)
      events.emit({
        type: 'distribution-changed',
        stream: this.#parts.settings.stream,
        distribution: auto ? 'auto' : 'partition-key',
      })
  }

  probeDenied(message: string): void {
    this.#parts.events.emit({ type: 'probe-denied', stream: this.#parts.settings.stream, message })
  }

  failed(error: StreamUnusableError, fatal: boolean): void {
    const { settings, events, account, settler, view } = this.#parts
    settler.loadError = error
    events.emit({
      type: 'shard-map-failed',
      stream: this.#parts.settings.stream,
      code: error.serviceCode,
      message: error.message,
      retryable: !fatal,
    })
    if (view.isReady) {
      // A stream that lost the means to keep order. Anything else leaves the map that we have in use.
      if (error.serviceCode === 'AutoDistribution') this.#refuseAll(error)
      // What was refused may be permitted again before the records that wait for it expire.
      else if (settler.held > 0) view.refresh(this.now(), true)
      return
    }
    if (fatal) {
      this.#refuseAll(error)
      return
    }
    // A stream in creation is worth waiting for: it is on its way.
    const patienceMs = error.serviceCode === 'StreamCreating' ? settings.recordTtlMs : LOAD_PATIENCE_MS
    const now = this.now()
    for (const waiter of this.#loadWaiters.splice(0)) {
      if (now - waiter.since >= patienceMs) waiter.reject(error)
      else this.#loadWaiters.push(waiter)
    }
    // Nobody wants it any more: the next put will ask again.
    if (this.#loadWaiters.length === 0 && account.isEmpty) view.forget()
  }

  idle(): void {
    const { view, turn } = this.#parts
    const now = this.now()
    this.#judgeDoubt(now)
    if (!view.isRenewing) {
      this.#holdUntil = Number.NEGATIVE_INFINITY
      // What was listed may have been out of date.
      if (this.#doubt.isRaised) view.refresh(now)
    }
    if (view.isReady) {
      for (const { resolve } of this.#loadWaiters.splice(0)) resolve()
    }
    turn(now)
  }

  now(): number {
    return this.#parts.settings.clock.now()
  }

  #renew(now: number): void {
    const { settings, view } = this.#parts
    const { shardMapRefreshMs, recordTtlMs } = settings
    if (now - this.#lastPutAt >= shardMapRefreshMs) this.#holdUntil = now + Math.min(MOST_HELD_MS, recordTtlMs / 2)
    view.renew(now)
    this.#parts.wakeBy(view.nextAt)
  }

  #loadView(now: number): void {
    const { view, wakeBy } = this.#parts
    view.load(now)
    wakeBy(view.nextAt)
  }

  #routeWaiting(now: number): void {
    const { settler, ledger, route, hurry } = this.#parts
    const flushing = this.#unrouted.some((record) => ledger.isFlushing(record))
    // By index and not by shift: what a listener puts in the middle of this goes to the end and keeps its place.
    while (this.#letThrough < this.#unrouted.length) {
      const record = this.#unrouted[this.#letThrough++]!
      if (record.expiresAt <= now) settler.expireUnsent([record], now)
      else route(record, now)
    }
    this.#unrouted.length = 0
    this.#letThrough = 0
    if (flushing) hurry(now)
  }

  #putInOrder(): void {
    if (this.#isInOrder) return
    this.#isInOrder = true
    this.#unrouted.sort((a, b) => a.rank - b.rank)
  }

  #judgeDoubt(now: number): void {
    const { packer, view } = this.#parts
    if (this.#doubt.judge(packer.auto, view.shard, now) === 'ignored') this.#turnAuto(now)
  }

  /** Nobody says otherwise in time: nothing may be aggregated. Until the stream says that it heeds keys. */
  #turnAuto(now: number): void {
    const { settings, events, packer, view } = this.#parts
    packer.auto = true
    this.#relane(now)
    events.emit({ type: 'distribution-changed', stream: settings.stream, distribution: 'auto' })
    view.probe(now, true)
  }

  /** What is not in flight waits here again, ahead of what does and behind what is in flight, should that come back. */
  #withdraw(now: number): void {
    const { packer, dispatcher } = this.#parts
    const open: Entry[] = []
    packer.closeAll(open)
    for (const entry of open) dispatcher.enqueue(entry)
    const records = dissolved(dispatcher.clearAll())
    if (records.length > 0) this.park(records, now)
  }

  /** Predicts and packs everything that is not in flight again: the map or the way of distribution is another one. */
  #relane(now: number): void {
    const { packer, dispatcher, settler, view } = this.#parts
    const completed: Entry[] = []
    packer.adapt(completed)
    for (const entry of completed) dispatcher.enqueue(entry)
    const moved = dispatcher.changeMap(packer.auto ? undefined : view.map, view.map?.open.length)
    const { maxRecordBytes } = view.traits!
    // Whatever is too large now would fail, and with it the requests that it is in.
    if (maxRecordBytes < this.#maxRecordBytes) for (const entry of dispatcher.clearAll()) moved.push(entry)
    this.#maxRecordBytes = maxRecordBytes
    settler.queueAnew(dissolved(moved), now)
  }

  /** Rejects all that is not in flight, and forgets the stream: the next put tries afresh. */
  #refuseAll(error: StreamUnusableError): void {
    this.startOver(this.now())
    this.#putInOrder()
    const records = this.#unrouted
    this.#unrouted = []
    for (const { reject } of this.#loadWaiters.splice(0)) reject(error)
    this.#parts.settler.refuse(records, error)
    this.#parts.events.emit({ type: 'stream-unusable', stream: this.#parts.settings.stream, error })
  }
}

/** Their records in the order of acceptance. */
function dissolved(entries: readonly Entry[]): UserRecord[] {
  return entries.flatMap((entry) => entry.dissolve()).sort((a, b) => a.rank - b.rank)
}
