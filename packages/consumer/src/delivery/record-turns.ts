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

/** A record that was asked for. */
export interface GivenRecord {
  readonly record: StreamedRecord
  readonly complete: () => void
  /** It stays uncompleted. Only once `context.signal` has aborted: before, the record would be given again. */
  readonly leave: () => void
}

interface Turn {
  readonly shardId: string
  readonly halt: AbortSignal
  readonly wake: () => void
}

/**
 * Turns the handler calls of all shards into records that are asked for, one after the other. The gate lets one call begin for each record
 * asked for, in the order in which shards came to wait, so that a record is handed over at the moment when its lease was looked at.
 */
export class RecordTurns implements StartGate {
  readonly handlers: Handlers = { eachRecord: (record, context) => this.#begin(record, context) }
  readonly #waiting = new Set<Turn>()
  /** Shards have one listener each, not one for each record. */
  readonly #watched = new WeakSet<AbortSignal>()
  /** Woken, and expected to begin. */
  #granted: Turn | undefined
  #asking: ((given: GivenRecord | undefined) => void) | undefined
  #over = false
  readonly #clock: Clock
  readonly #loop: LoopTurns
  /** When the record in hand was given. */
  #givenAt: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#loop = LoopTurns.of(clock)
  }

  /** The next record, or undefined when there will be none. Ask again only after the answer. */
  ask(): Promise<GivenRecord | undefined> {
    // How much of it the body waited is not known. Too many turns cost little.
    if (this.#givenAt !== undefined) this.#loop.kept(this.#clock.now() - this.#givenAt)
    this.#givenAt = undefined
    if (this.#over) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.#asking = resolve
      this.#grant()
    })
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
    this.#granted = undefined
    this.#asking = undefined
    this.#givenAt = this.#clock.now()
    return new Promise((resolve, reject) => {
      const streamed: StreamedRecord = Object.assign(record, { context })
      give({ record: streamed, complete: resolve, leave: () => reject(context.signal.reason) })
    })
  }
}
