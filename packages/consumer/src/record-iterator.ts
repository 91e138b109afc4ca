import { consumingLoop } from './consuming-loop.js'
import type { RecordTurns, StreamedRecord } from './delivery/record-turns.js'
import type { RunOptions } from './run-options.js'
import type { StopOptions } from './stop-limit.js'

export interface RecordsOptions {
  /** Stops the consumer when it aborts: the loop ends, without an error, when its body asks for the next record. */
  readonly signal?: AbortSignal | undefined
  /** As for `run`; with `'manual'` the body calls `record.context.checkpoint`. */
  readonly checkpoint?: RunOptions['checkpoint']
}

export interface RecordIteratorOptions extends RecordsOptions {
  readonly turns: RecordTurns
  /** Throws when the consumer ran before. */
  readonly run: () => Promise<void>
  /** As `stop` of the consumer. */
  readonly stop: (options?: StopOptions) => Promise<unknown>
}

/** `consumer.records()`: begins when the first record is asked for. */
export function recordIterator({ turns, signal, run, stop }: RecordIteratorOptions): AsyncIterableIterator<StreamedRecord> {
  const ask = (): Promise<StreamedRecord | undefined> => {
    turns.complete()
    return turns.ask()
  }
  const left = (): void => {
    void stop({ timeoutMs: 0 })
    turns.leave()
  }
  return consumingLoop({ signal, run, stop, limit: { timeoutMs: 0 }, ask, left, over: () => turns.end() })
}
