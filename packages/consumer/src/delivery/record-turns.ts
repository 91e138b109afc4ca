import type { Clock } from '@shardwise/core/clock'
import type { ConsumedRecord } from './consumed-record.js'
import type { HandlerContext, Handlers } from './handler.js'
import { LoopTurns } from './loop-turns.js'
import type { StartGate } from './start-gate.js'

/** A record in the body of a loop over `consumer.records()`. */
export interface StreamedRecord<T = Uint8Array> extends ConsumedRecord<T> {
  /** As for a handler: `signal` aborts when the shard is lost while the body works on the record. */
  readonly context: HandlerContext
}

/** So long a shard has its turn: a body that is quicker is given several records of it, and each but the first costs no waiting in line. */
const TURN_MS = 1

interface Turn {
  readonly shardId: string
  readonly halt: AbortSignal
  readonly wake: () => void
}

/**
 * Turns the handler calls of all shards into records that are asked for, one after the other. The gate lets one call begin for each record
 * asked for, so that a record is handed over at the moment when its lease was looked at. Shards have their turns in the order in which they came to
 * wait; one that has nothing more to hand over, or has to wait for something, passes its turn up.
 *
 * Measured on Node 20: where a turn is one record, consumer-noop-records takes twice as long.
 */
export class RecordTurns implements StartGate {
  readonly handlers: Handlers = { eachRecord: (record, context) => this.#begin(record, context) }
  readonly #waiting = new Set<Turn>()
  /** Shards have one listener each, not one for each record. */
  readonly #watched = new WeakSet<AbortSignal>()
  /** Whose turn it is: to begin a call when a record is asked for, without being woken but for the first. */
  #granted: Turn | undefined
  #grantedAt = 0
  #asking: ((given: StreamedRecord | undefined) => void) | undefined
  /** Of the record in hand. */
  #inHand: { readonly resolve: () => void; readonly reject: (reason: unknown) => void; readonly signal: AbortSignal } | undefined
  #over = false
  readonly #clock: Clock
  readonly #loop: LoopTurns
  /** When the record in hand was given. */
  #givenAt: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#loop = LoopTurns.of(clock)
  }

  /** The next record, or undefined when there will be none. Ask again only after the answer, and when the record in hand is completed. */
  ask(): Promise<StreamedRecord | undefined> {
    // How much of it the body waited is not known. Too many turns cost little.
    if (this.#givenAt !== undefined) {
      const now = this.#clock.now()
      this.#loop.kept(now - this.#givenAt)
      if (now - this.#grantedAt >= TURN_MS) this.#granted = undefined
    }
    this.#givenAt = undefined
    if (this.#over) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.#asking = resolve
      this.#grant()
    })
  }

  /** The record in hand, if there is one, is done. */
  complete(): void {
    this.#inHand?.resolve()
    this.#inHand = undefined
  }

  /** The record in hand stays uncompleted. Only once `context.signal` has aborted: before, it would be given again. */
  leave(): void {
    this.#inHand?.reject(this.#inHand.signal.reason)
    this.#inHand = undefined
  }

  /** Nothing comes any more. */
  end(): void {
    this.#over = true
    this.#asking?.(undefined)
    this.#asking = undefined
  }

  isOpen(shardId: string): boolean {
    return this.#asking !== undefined && this.#granted?.shardId === shardId
  }

  opened(shardId: string, halt: AbortSignal): Promise<void> {
    if (halt.aborted) return Promise.resolve()
    if (!this.#watched.has(halt)) halt.addEventListener('abort', () => this.#halted(halt), { once: true })
    this.#watched.add(halt)
    // Nobody asked when it could have begun: its turn is over.
    if (this.#granted?.shardId === shardId) this.#granted = undefined
    return new Promise((resolve) => {
      this.#waiting.add({ shardId, halt, wake: resolve })
      this.#grant()
    })
  }

  passUp(shardId: string): void {
    if (this.#granted?.shardId === shardId) this.#drop(this.#granted)
  }

  #grant(): void {
    if (this.#asking === undefined || this.#granted !== undefined) return
    const [next] = this.#waiting
    if (next === undefined) return
    this.#waiting.delete(next)
    this.#granted = next
    this.#grantedAt = this.#clock.now()
    next.wake()
  }

  /** Also of a turn that was granted: between the grant and the call the shard may be halted, and the others must not wait for it. */
  #drop(turn: Turn): void {
    this.#waiting.delete(turn)
    if (this.#granted === turn) this.#granted = undefined
    turn.wake()
    this.#grant()
  }

  #halted(halt: AbortSignal): void {
    for (const turn of [...this.#waiting]) if (turn.halt === halt) this.#drop(turn)
    if (this.#granted?.halt === halt) this.#drop(this.#granted)
  }

  #begin(record: ConsumedRecord, context: HandlerContext): Promise<void> {
    const give = this.#asking
    if (this.#granted === undefined || give === undefined) throw new Error(`No record of ${context.shardId} was asked for`)
    this.#asking = undefined
    this.#givenAt = this.#clock.now()
    return new Promise((resolve, reject) => {
      this.#inHand = { resolve, reject, signal: context.signal }
      give(Object.assign(record, { context }))
    })
  }
}
