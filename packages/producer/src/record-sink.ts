import type { PutInput, PutOutcome, UserRecord } from './user-record.js'
import { signalOf, type WaitOptions } from './wait.js'

/** The way into the producer for whatever feeds it many records. */
export interface Intake<T> {
  /** Undefined: `make` can be called at once. Else runs it when it can, in the order of the calls. Rejects with RecordRejectedError. */
  whenReady<G, R>(run: (given: G) => R | Promise<R>, given: G): Promise<R> | undefined
  /** See `ShortWay.take`: 0 if the record must be made. Throws RecordRejectedError for its stream. */
  join<S>(input: PutInput<T>, outcome: PutOutcome<S>, subject: S): number
  /** The record of what a caller put. Throws RecordRejectedError. */
  make(input: PutInput<T>): UserRecord
  /** Whether the record is in; otherwise it waits in line and `admitted` tells when it is. Throws for what can never go. */
  put(record: UserRecord, admitted: () => void): boolean
  /** Nothing put so far lingers any longer. */
  hurry(): void
  /** No more is put for now. Where that is because the buffer is full, what is in it need not wait for company. */
  pause(): void
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

type State =
  | { readonly kind: 'taking'; readonly write: Waiter | undefined }
  | { readonly kind: 'closing'; readonly close: Waiter; readonly failure: Error | undefined }
  | { readonly kind: 'ended'; readonly reason: unknown }

const TAKING: State = { kind: 'taking', write: undefined }

/**
 * What the Web's and Node's writable streams have in common: one write at a time, which ends when its record is accepted, and a close that
 * ends when all records of this sink have settled. It ends early by its signal, or when a record of it fails. What was accepted is
 * delivered in any case.
 */
export class RecordSink<T> {
  readonly #intake: Intake<T>
  readonly #signal: AbortSignal | undefined
  #state: State = TAKING
  #unsettled = 0
  #failed: (reason: unknown) => void = () => {}

  constructor(intake: Intake<T>, options: WaitOptions) {
    this.#signal = signalOf(options)
    this.#intake = intake
  }

  /** Listens to the signal from now on. `failed` is called at most once, when the sink ends by itself. */
  open(failed: (reason: unknown) => void): void {
    this.#failed = failed
    if (this.#signal?.aborted === true) this.#aborted()
    else this.#signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  /** Undefined when the record is in; otherwise resolves when it is. Throws, and ends, when the record is refused. */
  write(input: PutInput<T>): Promise<void> | undefined {
    const waiting = this.#intake.whenReady(this.#writeLate, input)
    return (
      waiting?.catch((error: unknown) => {
        if (this.#state.kind !== 'ended') this.stop(error)
        throw error
      }) ?? this.#write(input)
    )
  }

  readonly #writeLate = (input: PutInput<T>): Promise<void> | undefined => {
    if (this.#state.kind === 'ended') throw this.#state.reason
    return this.#write(input)
  }

  #write(input: PutInput<T>): Promise<void> | undefined {
    this.#unsettled++
    try {
      if (this.#intake.join(input, this.#settled, input) > 0) return undefined
      const record = this.#intake.make(input)
      record.notify(this.#settled, input)
      if (this.#intake.put(record, this.#admitted)) return undefined
    } catch (error) {
      this.stop(error)
      throw error
    }
    // By a listener of what the put announced.
    if (this.#state.kind === 'ended') return Promise.reject(this.#state.reason)
    return new Promise((resolve, reject) => {
      this.#state = { kind: 'taking', write: { resolve, reject } }
    })
  }

  /** Sends without lingering. When all has settled it resolves, or rejects with the first failure. */
  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#state.kind !== 'taking') return reject(new Error('The stream has ended already'))
      this.#state = { kind: 'closing', close: { resolve, reject }, failure: undefined }
      if (this.#unsettled > 0) this.#intake.hurry()
      this.#closeIfSettled()
    })
  }

  /** Takes no more, and ends the write or the close under way with the reason. A record that stands in line for room stays there. */
  stop(reason: unknown): void {
    const state = this.#state
    this.#end(reason)
    if (state.kind === 'taking') state.write?.reject(reason)
    else if (state.kind === 'closing') state.close.reject(reason)
  }

  readonly #aborted = (): void => this.#fail(this.#signal?.reason)

  readonly #admitted = (): void => {
    if (this.#state.kind !== 'taking') return
    const { write } = this.#state
    this.#state = TAKING
    write?.resolve()
  }

  readonly #settled = (error: Error | undefined): void => {
    this.#unsettled--
    if (this.#state.kind === 'taking') {
      if (error !== undefined) this.#fail(error)
    } else if (this.#state.kind === 'closing') {
      const { close, failure } = this.#state
      this.#state = { kind: 'closing', close, failure: failure ?? error }
      this.#closeIfSettled()
    }
  }

  #closeIfSettled(): void {
    if (this.#state.kind !== 'closing' || this.#unsettled > 0) return
    const { close, failure } = this.#state
    this.#end(failure)
    if (failure === undefined) close.resolve()
    else close.reject(failure)
  }

  #fail(reason: unknown): void {
    if (this.#state.kind === 'ended') return
    this.stop(reason)
    this.#failed(reason)
  }

  #end(reason: unknown): void {
    this.#state = { kind: 'ended', reason }
    this.#signal?.removeEventListener('abort', this.#aborted)
  }
}
