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
export function recordIterator(options: RecordIteratorOptions): AsyncIterableIterator<StreamedRecord> {
  const { turns, signal, run, stop } = options
  let running: Promise<void> | undefined
  const quit = (): void => void stop()

  async function* generate(): AsyncGenerator<StreamedRecord, void, void> {
    running = run()
    void running.catch(() => {}).then(() => turns.end())
    try {
      if (signal?.aborted === true) quit()
      signal?.addEventListener('abort', quit)
      for (let given = await turns.ask(); given !== undefined; given = await turns.ask()) {
        let askedOn = false
        try {
          yield given.record
          askedOn = true
          given.complete()
        } finally {
          if (!askedOn) {
            void stop({ timeoutMs: 0 })
            given.leave()
          }
        }
      }
      await running
    } finally {
      signal?.removeEventListener('abort', quit)
      await stop({ timeoutMs: 0 })
    }
  }

  const generator = generate()
  /** Somebody who waits for a record shall not have to wait until one comes. */
  const leave = <T>(settle: () => Promise<T>): Promise<T> => {
    if (running !== undefined) quit()
    return settle()
  }
  return {
    next: () => generator.next(),
    return: () => leave(() => generator.return()),
    throw: (error) => leave(() => generator.throw(error)),
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
