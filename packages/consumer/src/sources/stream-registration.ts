import { type Clock, sleep } from '@shardwise/core/clock'
import type { FanOutPort, StreamConsumer, StreamConsumerReference } from '@shardwise/core/fan-out-port'
import type { Random } from '@shardwise/core/random'
import { classifyFailure, type ServiceFailure } from '@shardwise/core/service-error'
import { unlessAborted } from '../aborted.js'
import { backoffDelay } from '../backoff.js'
import type { StartRetriedEvent } from '../start-event.js'
import { type ConsumerSeen, registrationStep } from './registration-step.js'

export interface StreamRegistrationOptions {
  readonly port: Pick<FanOutPort, 'registerStreamConsumer' | 'describeStreamConsumer'>
  /** As given in the options. */
  readonly stream: string
  /** Known when the stream is described. */
  readonly streamArn: () => string | undefined
  /** By its name it may be registered when it is missing. */
  readonly consumer: { readonly name: string; readonly register: boolean } | { readonly arn: string }
  /** Without it shards are read by polling. */
  readonly isOptional: boolean
  readonly clock: Clock
  readonly random: Random
  /** What waits at the start is told as a step of it. */
  readonly emit: (event: RegistrationEvent | StartRetriedEvent) => void
}

export type RegistrationEvent =
  /** This worker has registered the stream consumer, which was missing. */
  | {
      readonly type: 'stream-consumer-registered'
      readonly stream: string
      readonly consumerName: string
      readonly consumerArn: string
    }
  /** The stream consumer that was read with, or found before, is gone or is being deleted. It is looked for, and registered, again. */
  | { readonly type: 'stream-consumer-lost'; readonly stream: string; readonly consumerArn: string }
  /** At the start: there is no stream consumer to subscribe with, so all shards of the stream are read by polling until there is; `fallbackToPolling`. */
  | { readonly type: 'fan-out-unavailable'; readonly stream: string; readonly failure: ServiceFailure }

type RegistrationState =
  | { readonly is: 'unknown' }
  | { readonly is: 'active'; readonly arn: string; readonly confirmedAt: number }
  /** All that ask before `until` are told the same. */
  | { readonly is: 'failed'; readonly error: unknown; readonly until: number }

/** One search that several shards wait for. It ends when nobody does any more. */
interface Search {
  readonly arn: Promise<string>
  readonly end: AbortController
  waiting: number
}

/** Between looks at a consumer that is being created or deleted. All workers of a fleet look, and an account has 20 looks a second. */
const BETWEEN_LOOKS = { baseMs: 2_000, maxMs: 10_000 }
const AFTER_FAILURE = { baseMs: 1_000, maxMs: 30_000 }
/** Shards that were told the same ask at the same time. */
const CONFIRMED_FOR_MS = 1_000

/** The stream consumer by which all shards of one stream are subscribed to. */
export class StreamRegistration {
  readonly #options: StreamRegistrationOptions
  #state: RegistrationState = { is: 'unknown' }
  #search: Search | undefined
  #confirming: Promise<boolean> | undefined
  /** As last seen, and not told to be lost. */
  #known: string | undefined
  #failures = 0
  #hindrance: ServiceFailure | undefined

  constructor(options: StreamRegistrationOptions) {
    this.#options = options
  }

  /** What the search under way, or the last one that nobody waited for any more, had to wait for. */
  get hindrance(): ServiceFailure | undefined {
    return this.#hindrance
  }

  /** Finds or registers the consumer, and does not wait until it can be used. Rejects as the service does, where nothing goes without it. */
  async find(signal: AbortSignal): Promise<void> {
    const { stream, isOptional, emit } = this.#options
    try {
      const found = await this.#seek(signal, 'there')
      if (found.active) this.#found(found.arn)
    } catch (error) {
      if (!isOptional || signal.aborted) throw error
      this.#failed(error)
      emit({ type: 'fan-out-unavailable', stream, failure: classifyFailure(error) })
    }
  }

  /** Of the consumer, when it can be used. Rejects as the service does. */
  async arn(signal: AbortSignal): Promise<string> {
    const state = this.#state
    if (state.is === 'active') return state.arn
    if (state.is === 'failed' && this.#options.clock.now() < state.until) throw state.error
    this.#search ??= this.#begin()
    const search = this.#search
    search.waiting++
    try {
      return await unlessAborted(search.arn, signal)
    } finally {
      search.waiting--
      if (search.waiting === 0) {
        search.end.abort()
        if (this.#search === search) this.#search = undefined
      }
    }
  }

  /** The service does not know something that was asked for with this consumer. Whether it knows the consumer; if not, `arn` finds another. */
  async confirm(arn: string, signal: AbortSignal): Promise<boolean> {
    const state = this.#state
    if (state.is !== 'active' || state.arn !== arn) return false
    if (this.#options.clock.now() - state.confirmedAt < CONFIRMED_FOR_MS) return true
    this.#confirming ??= this.#look({ ConsumerARN: arn })
      .then((seen) => this.#confirmed(arn, seen))
      .finally(() => {
        this.#confirming = undefined
      })
    return unlessAborted(this.#confirming, signal)
  }

  #begin(): Search {
    const end = new AbortController()
    this.#hindrance = undefined
    const arn = this.#seek(end.signal, 'active').then(
      (found) => this.#found(found.arn),
      (error: unknown) => {
        if (!end.signal.aborted) this.#failed(error)
        throw error
      },
    )
    arn.catch(() => {})
    return { arn, end, waiting: 0 }
  }

  async #seek(signal: AbortSignal, until: 'there' | 'active'): Promise<{ readonly arn: string; readonly active: boolean }> {
    const { stream, consumer, clock, random, emit } = this.#options
    const register = 'name' in consumer && consumer.register
    let seen: ConsumerSeen = { is: 'unknown' }
    for (let waits = 0; ; ) {
      signal.throwIfAborted()
      const step = registrationStep(seen, register)
      if (until === 'there' && seen.is === 'there' && step.do === 'wait') return { arn: seen.arn, active: false }
      switch (step.do) {
        case 'use':
          return { arn: step.arn, active: true }
        case 'give-up':
          throw this.#unusable(step.because)
        case 'wait': {
          const failure = classifyFailure(this.#hindering(seen))
          const retryInMs = backoffDelay(++waits, BETWEEN_LOOKS, random)
          this.#hindrance = failure
          if (until === 'there')
            emit({ type: 'start-retried', step: 'find-stream-consumer', stream, failure, attempt: waits, retryInMs })
          await sleep(clock, retryInMs, { signal })
          seen = { is: 'unknown' }
          break
        }
        case 'describe':
          seen = await this.#look(this.#reference(), signal)
          break
        case 'register':
          seen = await this.#register(signal)
          break
      }
    }
  }

  async #look(reference: StreamConsumerReference, signal?: AbortSignal): Promise<ConsumerSeen> {
    try {
      const { ConsumerDescription } = await this.#options.port.describeStreamConsumer(reference, { signal })
      return this.#seen(ConsumerDescription)
    } catch (error) {
      const { kind } = classifyFailure(error)
      if (kind === 'not-found') return { is: 'missing' }
      if (kind === 'throttled' || kind === 'limit-exceeded') return { is: 'busy' }
      throw error
    }
  }

  async #register(signal: AbortSignal): Promise<ConsumerSeen> {
    const { port, stream, consumer, emit } = this.#options
    const ConsumerName = 'name' in consumer ? consumer.name : ''
    try {
      const { Consumer } = await port.registerStreamConsumer({ StreamARN: this.#streamArn(), ConsumerName }, { signal })
      const seen = this.#seen(Consumer)
      if (seen.is === 'there') {
        emit({ type: 'stream-consumer-registered', stream, consumerName: ConsumerName, consumerArn: seen.arn })
      }
      return seen
    } catch (error) {
      if (classifyFailure(error).kind === 'in-use') return { is: 'busy' }
      throw error
    }
  }

  #seen(consumer: StreamConsumer | undefined): ConsumerSeen {
    const { ConsumerARN: arn, ConsumerStatus: status } = consumer ?? {}
    if (!arn || !status) throw new Error('The answer about a stream consumer has no ConsumerARN or no ConsumerStatus')
    // Its ARN says when it was created: another was made in its place, unseen.
    if (this.#known !== undefined && this.#known !== arn) this.#lost(this.#known)
    this.#known = arn
    return { is: 'there', arn, status }
  }

  #lost(consumerArn: string): void {
    this.#known = undefined
    this.#options.emit({ type: 'stream-consumer-lost', stream: this.#options.stream, consumerArn })
  }

  #confirmed(arn: string, seen: ConsumerSeen): boolean {
    const state = this.#state
    if (state.is !== 'active' || state.arn !== arn) return false
    const usable = seen.is === 'busy' || (seen.is === 'there' && seen.status === 'ACTIVE')
    this.#state = usable ? { ...state, confirmedAt: this.#options.clock.now() } : { is: 'unknown' }
    if (!usable && this.#known !== undefined) this.#lost(arn)
    return usable
  }

  #found(arn: string): string {
    this.#failures = 0
    this.#search = undefined
    this.#state = { is: 'active', arn, confirmedAt: this.#options.clock.now() }
    return arn
  }

  #failed(error: unknown): void {
    const { clock, random } = this.#options
    this.#failures++
    this.#state = { is: 'failed', error, until: clock.now() + backoffDelay(this.#failures, AFTER_FAILURE, random) }
    this.#search = undefined
  }

  #reference(): StreamConsumerReference {
    const { consumer } = this.#options
    if ('arn' in consumer) return { ConsumerARN: consumer.arn }
    return { StreamARN: this.#streamArn(), ConsumerName: consumer.name }
  }

  #streamArn(): string {
    const arn = this.#options.streamArn()
    if (arn !== undefined) return arn
    throw named(
      'InvalidArgumentException',
      `The endpoint does not tell the ARN of stream ${this.#options.stream}, which enhanced fan-out needs: give the stream by its ARN`,
    )
  }

  #hindering(seen: ConsumerSeen): Error {
    const { stream, consumer } = this.#options
    const which = `stream consumer ${'arn' in consumer ? consumer.arn : consumer.name} of stream ${stream}`
    if (seen.is === 'there') return named('ResourceInUseException', `The ${which} is ${seen.status}`)
    return named(
      'LimitExceededException',
      `The service does not tell of the ${which} yet: it is asked too often, or changes the stream`,
    )
  }

  #unusable(because: 'missing' | 'deleting'): Error {
    const { stream, consumer } = this.#options
    const which = 'arn' in consumer ? consumer.arn : consumer.name
    if (because === 'deleting')
      return named('ResourceInUseException', `Stream consumer ${which} of stream ${stream} is being deleted`)
    const advice = 'arn' in consumer ? '' : ', and is not to be registered (`retrieval.fanOut.register`)'
    return named('ResourceNotFoundException', `Stream consumer ${which} of stream ${stream} does not exist${advice}`)
  }
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}
