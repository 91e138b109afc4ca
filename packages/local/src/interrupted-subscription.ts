import { choiceOption, InvalidOptionError, integerOption, refuseUnknownOptions, stringOption } from '@shardwise/core/options'
import type { ServiceInput, Work } from './faults.js'
import { BrokenOff } from './http-push.js'
import type { EventSource } from './subscription-reader.js'
import { WireError } from './wire-error.js'

/** What goes wrong with a subscription after it was accepted, and when. */
export interface Interruption {
  /**
   * - `'end'`: it ends in good order, as after five minutes.
   * - `'stall'`: nothing more comes, not even its end; the connection stays.
   * - `'reset'`: it breaks off, alone: over HTTP/2 its stream, over HTTP/1.1 its connection.
   * - `'break'`: its connection breaks, and with it what else that carries.
   * - `{ code }`: the service ends it with this error, such as InternalFailureException, KMSThrottlingException or ResourceInUseException.
   */
  readonly by: 'end' | 'stall' | 'reset' | 'break' | { readonly code: string; readonly message?: string }
  /** How many events come first, with records or without; default 0. */
  readonly afterEvents?: number
  /** Nor does it happen before this promise settles. */
  readonly hold?: Promise<unknown>
}

export function checkInterruption(interruption: Interruption): void {
  if (typeof interruption !== 'object' || interruption === null) {
    throw new InvalidOptionError('interrupt', 'an object with `by`', interruption)
  }
  refuseUnknownOptions(interruption, ['by', 'afterEvents', 'hold'], 'interrupt')
  const { by, afterEvents, hold } = interruption
  if (typeof by === 'object' && by !== null) {
    stringOption('interrupt.by.code', by.code, {
      pattern: /^[A-Za-z]\w*$/,
      says: 'an error name, such as InternalFailureException',
    })
  } else if (by === undefined) {
    throw new InvalidOptionError('interrupt.by', "'end', 'stall', 'reset', 'break' or an object with a code", by)
  } else choiceOption('interrupt.by', by, ['end', 'stall', 'reset', 'break'], by)
  integerOption('interrupt.afterEvents', afterEvents, { min: 0, fallback: 0 })
  if (hold !== undefined && !(hold instanceof Promise)) throw new InvalidOptionError('interrupt.hold', 'a promise', hold)
}

/** A SubscribeToShard whose subscription is interrupted. */
export function interrupting(interruption: Interruption, work: Work): Work {
  return async (input: ServiceInput): Promise<object> => {
    const answer = await work(input)
    if (!('EventStream' in answer)) return answer
    return { ...answer, EventStream: new InterruptedSource(answer.EventStream as EventSource, interruption) }
  }
}

class InterruptedSource implements EventSource {
  readonly #source: EventSource
  readonly #by: Interruption['by']
  readonly #held: Promise<'due'>
  readonly #closed: Promise<undefined>
  #close = (): void => {}
  #eventsLeft: number
  #isDue = false

  constructor(source: EventSource, { by, afterEvents = 0, hold = Promise.resolve() }: Interruption) {
    this.#source = source
    this.#by = by
    this.#eventsLeft = afterEvents
    const due = (): 'due' => {
      this.#isDue = true
      return 'due'
    }
    this.#held = hold.then(due, due)
    this.#closed = new Promise((resolve) => {
      this.#close = () => resolve(undefined)
    })
  }

  async next(): ReturnType<EventSource['next']> {
    if (this.#eventsLeft > 0) {
      const event = await this.#source.next()
      this.#eventsLeft--
      return event
    }
    if (this.#isDue) return this.#interrupt()
    const event = this.#source.next()
    const first = await Promise.race([this.#held, event])
    if (first !== 'due') return first
    // Whatever it was about to bring: it comes too late.
    event.catch(() => {})
    return this.#interrupt()
  }

  close(): void {
    this.#source.close()
    this.#close()
  }

  #interrupt(): ReturnType<EventSource['next']> {
    if (this.#by === 'stall') return this.#closed
    this.#source.close()
    if (this.#by === 'end') return Promise.resolve(undefined)
    if (this.#by === 'break') throw new BrokenOff('connection')
    if (this.#by === 'reset') throw new BrokenOff('stream')
    const { code, message = `${code}, by a fault rule` } = this.#by
    throw new WireError(code, 400, message)
  }
}
