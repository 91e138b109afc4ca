import type { Random } from '@shardwise/core/random'
import type { FailureKind, ServiceFailure } from '@shardwise/core/service-error'
import { SUBSCRIBE_INTERVAL_MS, SUBSCRIPTION_EXCLUSIVE_MS } from '@shardwise/core/service-limits'
import { type Backoff, backoffDelay } from '../backoff.js'
import { failurePace } from './failure-pace.js'
import type { FailurePace } from './polling-pace.js'

/** What to do next. */
export type CourseStep =
  | { readonly do: 'wait'; readonly ms: number }
  /** Somebody else subscribed to the shard: find out whose lease it is. */
  | { readonly do: 'verify-lease' }
  | { readonly do: 'subscribe' }
  | { readonly do: 'pull' }
  /** Read by polling, no longer than `forMs`. */
  | { readonly do: 'poll'; readonly forMs: number }
  /** The shard was read to its end and its children are not known. */
  | { readonly do: 'find-children' }

/** What a failure has led to. */
export interface Setback {
  /** Failures since a subscription has last been steady. */
  readonly attempt: number
  /** Until the next attempt to subscribe. */
  readonly retryInMs: number
}

type CourseState =
  | { readonly is: 'apart'; readonly at: number }
  /** `heard`: an event has come. */
  | { readonly is: 'subscribed'; readonly since: number; readonly heard: boolean }
  | { readonly is: 'polling'; readonly probeAt: number }
  | { readonly is: 'closed'; readonly at: number }

/** Both are counted from the answer: the service's own time of the call lies before. */
const AFTER_SUCCESS_MS = SUBSCRIPTION_EXCLUSIVE_MS + 100
const AFTER_ATTEMPT_MS = SUBSCRIBE_INTERVAL_MS
/** A subscription that has lived so long, with events, makes what failed before it forgotten. */
const STEADY_MS = 30_000

const BACKOFF: Readonly<Record<FailurePace, Backoff>> = {
  passing: { baseMs: 1_000, maxMs: 10_000 },
  waited: { baseMs: 1_000, maxMs: 10_000 },
  lasting: { baseMs: 2_000, maxMs: 60_000 },
}
/**
 * A predecessor, that died perhaps, has subscribed a moment ago: in five seconds at most the shard is free, and then nobody shall wait for a pause of
 * ours to end. So many attempts last longer than that.
 */
const SUCCESSION: Backoff = { baseMs: 1_500, maxMs: 1_500 }
const SUCCESSION_ATTEMPTS = 6
/** Two that take a shard from each other, again and again, each interrupt the other: the pauses grow until one hardly notices. */
const CONTESTED: Backoff = { baseMs: 10_000, maxMs: 60_000 }
/** Between attempts to subscribe while polling does the work. */
const PROBE: Backoff = { baseMs: 30_000, maxMs: 600_000 }

/**
 * After how many failures in a row polling takes over. What needs a person (permissions, quotas) at once, or nearly; what would fail for polling
 * as well (keys, credentials) never; the rest when it does not pass soon.
 */
const FALL_BACK_AFTER: Readonly<Record<FailureKind, number>> = {
  'access-denied': 1,
  'limit-exceeded': 2,
  invalid: 2,
  credentials: Number.POSITIVE_INFINITY,
  kms: Number.POSITIVE_INFINITY,
  'kms-throttled': Number.POSITIVE_INFINITY,
  throttled: 3,
  'expired-iterator': 3,
  'not-found': 3,
  'in-use': 3,
  internal: 3,
  connection: 3,
  timeout: 3,
  aborted: 3,
  'conditional-check': 3,
  unknown: 3,
}

/**
 * The course of reading one shard by enhanced fan-out: when to subscribe, and what each end and each failure leads to. Knows no clock, does
 * nothing: it is told what happened.
 */
export class FanOutCourse {
  readonly #fallsBack: boolean
  #state: CourseState = { is: 'apart', at: Number.NEGATIVE_INFINITY }
  #failures = 0
  /** How often in a row polling had to take over, or to go on. */
  #setbacks = 0
  /** Polling does the work since then. */
  #awaySince: number | undefined
  /** The service does not want to be asked before. */
  #notBefore = Number.NEGATIVE_INFINITY
  /** Somebody has taken the subscription from us. */
  #contested = false

  constructor(options: { readonly fallbackToPolling: boolean }) {
    this.#fallsBack = options.fallbackToPolling
  }

  /** Polling does the work, perhaps while a subscription is tried. */
  get isAway(): boolean {
    return this.#awaySince !== undefined
  }

  step(now: number): CourseStep {
    if (this.#contested) return { do: 'verify-lease' }
    const state = this.#state
    switch (state.is) {
      case 'apart':
        return now < this.#dueAt(state.at) ? { do: 'wait', ms: this.#dueAt(state.at) - now } : { do: 'subscribe' }
      case 'subscribed':
        return { do: 'pull' }
      case 'polling':
        return now < this.#dueAt(state.probeAt) ? { do: 'poll', forMs: this.#dueAt(state.probeAt) - now } : { do: 'subscribe' }
      case 'closed':
        return now < state.at ? { do: 'wait', ms: state.at - now } : { do: 'find-children' }
    }
  }

  /** The lease is known to be ours. */
  verified(): void {
    this.#contested = false
  }

  accepted(now: number): void {
    this.#state = { is: 'subscribed', since: now, heard: false }
    this.#notBefore = now + AFTER_SUCCESS_MS
  }

  /** An event has come. Returns for how many milliseconds polling did the work, when this ends it. */
  brought(now: number): number | undefined {
    if (this.#state.is !== 'subscribed') throw new Error(`An event while ${this.#state.is}`)
    this.#state = { ...this.#state, heard: true }
    const since = this.#awaySince
    this.#awaySince = undefined
    return since === undefined ? undefined : now - since
  }

  /** That event was the shard's last, and did not name its children. */
  closed(now: number): void {
    this.#state = { is: 'closed', at: now }
  }

  /** The shard's end turned out to be none, or is to be looked at again. */
  notEnded(isOpen: boolean, now: number, random: Random): Setback {
    this.#failures++
    const at = now + backoffDelay(this.#failures, BACKOFF.passing, random)
    this.#state = isOpen ? { is: 'apart', at } : { is: 'closed', at }
    return { attempt: this.#failures, retryInMs: (isOpen ? this.#dueAt(at) : at) - now }
  }

  /** The service has ended the subscription in good order. Undefined when it had not brought anything: that is a failure. */
  completed(now: number): { readonly retryInMs: number } | undefined {
    const state = this.#state
    if (state.is !== 'subscribed' || !state.heard) return undefined
    this.#forgetIfSteady(now)
    this.#state = { is: 'apart', at: now }
    return { retryInMs: this.#dueAt(now) - now }
  }

  /** The place to begin at was refused, and there is another now: that one is tried as soon as the service allows. */
  refused(now: number): void {
    this.#notBefore = Math.max(this.#notBefore, now + AFTER_ATTEMPT_MS)
    this.#state = this.isAway ? { is: 'polling', probeAt: now } : { is: 'apart', at: now }
  }

  /** The reader has left. Where an attempt was under way it is not known whether the service has accepted it. */
  interrupted(now: number): void {
    this.#notBefore = Math.max(this.#notBefore, now + AFTER_SUCCESS_MS)
    if (this.#state.is === 'subscribed') this.#state = this.isAway ? { is: 'polling', probeAt: now } : { is: 'apart', at: now }
  }

  /** An attempt to subscribe, or the subscription, has failed. `unavailable`: there is nothing to subscribe with. */
  failed(failure: ServiceFailure, now: number, random: Random, unavailable = false): Setback {
    const live = this.#state.is === 'subscribed'
    this.#forgetIfSteady(now)
    this.#failures++
    const taken = live && failure.kind === 'in-use'
    if (taken) this.#contested = true
    if (!live) {
      const pause = failure.written === 'unknown' ? AFTER_SUCCESS_MS : AFTER_ATTEMPT_MS
      this.#notBefore = Math.max(this.#notBefore, now + pause)
    }
    const succeeds = !live && !unavailable && failure.kind === 'in-use' && this.#failures < SUCCESSION_ATTEMPTS
    const isEnough = this.isAway || (!succeeds && this.#failures >= fallBackAfter(failure, unavailable))
    if (this.#fallsBack && isEnough) return this.#fallBack(now, random)
    const backoff = taken ? CONTESTED : succeeds ? SUCCESSION : BACKOFF[failurePace(failure.kind)]
    const at = now + backoffDelay(this.#failures, backoff, random)
    this.#state = { is: 'apart', at }
    return { attempt: this.#failures, retryInMs: this.#dueAt(at) - now }
  }

  #fallBack(now: number, random: Random): Setback {
    this.#setbacks++
    this.#awaySince ??= now
    const probeAt = now + backoffDelay(this.#setbacks, PROBE, random)
    this.#state = { is: 'polling', probeAt }
    return { attempt: this.#failures, retryInMs: this.#dueAt(probeAt) - now }
  }

  #dueAt(at: number): number {
    return Math.max(at, this.#notBefore)
  }

  #forgetIfSteady(now: number): void {
    const state = this.#state
    if (state.is !== 'subscribed' || !state.heard || now - state.since < STEADY_MS) return
    this.#failures = 0
    this.#setbacks = 0
  }
}

/** What has no consumer to subscribe with does not come by waiting for it, or was waited for already. */
const WITHOUT_CONSUMER: ReadonlySet<FailureKind> = new Set(['not-found', 'limit-exceeded', 'invalid', 'in-use'])

function fallBackAfter({ kind }: ServiceFailure, unavailable: boolean): number {
  return unavailable && WITHOUT_CONSUMER.has(kind) ? 1 : FALL_BACK_AFTER[kind]
}
