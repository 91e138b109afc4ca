import { sleep } from '@shardwise/core/clock'
import { InvalidOptionError } from '@shardwise/core/options'
import { classifyFailure, withAdvice } from '@shardwise/core/service-error'
import { ConsumerStartError } from './consumer-error.js'
import type { ConsumerEvent } from './consumer-events.js'
import type { ConsumerSettings } from './consumer-options.js'
import { LeaseTableError } from './leases/lease-table-error.js'
import type { StartStep } from './start-event.js'
import { afterStartFailure } from './start-policy.js'
import { DeletingStreamError } from './streams/consumed-stream.js'

export interface StartStepsOptions {
  readonly settings: ConsumerSettings
  /** Ends the start. */
  readonly stop: AbortSignal
  readonly emit: (event: ConsumerEvent) => void
}

const PURPOSE: Readonly<Record<StartStep, string>> = {
  'describe-stream': 'Looking up the stream',
  'find-stream-consumer': 'Finding the stream consumer for enhanced fan-out',
  'open-lease-table': 'Opening the lease table',
  'list-shards': 'Matching the shards with the lease table',
}

/** The steps of a consumer's start, each repeated while its failure may pass by itself. */
export class StartSteps {
  readonly #options: StartStepsOptions

  constructor(options: StartStepsOptions) {
    this.#options = options
  }

  /** Rejects with what needs a person, and with the stop's reason. `stream`: the one that it is about. */
  async take(step: StartStep, run: () => Promise<void>, stream?: string): Promise<void> {
    const { settings, stop, emit } = this.#options
    const { clock, random } = settings
    for (let attempt = 1; ; attempt++) {
      stop.throwIfAborted()
      try {
        return await run()
      } catch (error) {
        if (stop.aborted || isTold(error)) throw error
        const at = stream === undefined ? settings : { ...settings, stream }
        if (error instanceof DeletingStreamError) {
          throw new ConsumerStartError(at, 'the stream is being deleted. Wait until it is gone and create it again', {
            cause: error,
          })
        }
        const failure = classifyFailure(error)
        const verdict = afterStartFailure(failure, attempt, random)
        if (verdict.kind === 'fail') {
          const problem = `${PURPOSE[step]} failed with ${failure.code}: ${withAdvice(failure)}`
          throw new ConsumerStartError(at, problem, { cause: error })
        }
        emit({ type: 'start-retried', step, stream, failure, attempt, retryInMs: verdict.delayMs })
        await sleep(clock, verdict.delayMs, { signal: stop })
      }
    }
  }
}

/** Errors that say by themselves what to do. */
function isTold(error: unknown): boolean {
  return error instanceof ConsumerStartError || error instanceof LeaseTableError || error instanceof InvalidOptionError
}
