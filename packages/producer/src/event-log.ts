import type { Clock, Scheduled } from '@shardwise/core/clock'
import type { EventSource } from '@shardwise/core/events'
import type { Logger } from '@shardwise/core/logger'
import { type LogLine, lineOf } from './event-line.js'
import type { ProducerEvent } from './producer-events.js'

/** Of what recurs, one line at once and then one each time that this is over: a failing stream must not flood the log. */
const QUIET_MS = 10_000

/** What was not told of a subject since its last line. */
interface Recurrence {
  last: LogLine
  untold: number
}

/** Writes the events into a log. `closed` writes what recurred and has not been told. */
export class EventLog {
  readonly #logger: Logger
  readonly #clock: Clock
  #recurrences = new Map<string, Recurrence>()
  #timer: Scheduled | undefined

  constructor(logger: Logger, clock: Clock, events: EventSource<ProducerEvent>) {
    this.#logger = logger
    this.#clock = clock
    events.onAny((event) => this.#tell(lineOf(event)))
  }

  closed(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#tellRecurrences()
    this.#recurrences.clear()
  }

  #tell(line: LogLine): void {
    if (line.subject === undefined) {
      this.#write(line)
      return
    }
    const recurrence = this.#recurrences.get(line.subject)
    if (recurrence !== undefined) {
      recurrence.last = line
      recurrence.untold++
      return
    }
    this.#recurrences.set(line.subject, { last: line, untold: 0 })
    this.#timer ??= this.#clock.schedule(QUIET_MS, () => this.#wake(), { background: true })
    this.#write(line)
  }

  #wake(): void {
    this.#timer = this.#tellRecurrences() ? this.#clock.schedule(QUIET_MS, () => this.#wake(), { background: true }) : undefined
  }

  /** Says how often each subject recurred, and forgets those that did not. Returns whether any is left. */
  #tellRecurrences(): boolean {
    const recurring = new Map<string, Recurrence>()
    for (const [subject, { last, untold }] of this.#recurrences) {
      if (untold > 0) recurring.set(subject, { last, untold: 0 })
    }
    const told = [...this.#recurrences.values()]
    // Before the writing: a logger may call the producer.
    this.#recurrences = recurring
    for (const { last, untold } of told) {
      if (untold > 0) this.#write({ ...last, fields: { ...last.fields, repeated: untold } })
    }
    return recurring.size > 0
  }

  /** What a logger throws is rethrown outside, as with listeners of events. */
  #write({ level, fields, message }: LogLine): void {
    try {
      this.#logger[level](fields, message)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
