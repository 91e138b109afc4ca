import type { Unsubscribe } from '@shardwise/core/events'
import { InvalidOptionError, integerOption, refuseUnknownOptions } from '@shardwise/core/options'
import type { Consumer } from './consumer.js'

/** Each default holds where the option is absent or undefined. */
export interface StopOnSignalsOptions {
  /** Default SIGTERM (Docker, ECS, Kubernetes, systemd) and SIGINT (Ctrl+C). */
  readonly signals?: readonly NodeJS.Signals[] | undefined
  /** As `timeoutMs` of `stop`. Default 20000: ECS and Kubernetes kill a process 30 s after SIGTERM unless told otherwise. */
  readonly timeoutMs?: number | undefined
}

/**
 * Stops the consumer when one of these signals comes. More of them while it stops change nothing; afterwards, and after the returned
 * function was called, a signal does what it did before. The process is not ended: it ends by itself when nothing holds it, or by what
 * follows `run`, which resolves then.
 */
export function stopOnSignals(consumer: Pick<Consumer, 'stop' | 'events'>, options: StopOnSignalsOptions = {}): Unsubscribe {
  refuseUnknownOptions(options, ['signals', 'timeoutMs'])
  if (options.signals !== undefined && !Array.isArray(options.signals)) {
    throw new InvalidOptionError('signals', "an array, such as ['SIGTERM']", options.signals)
  }
  const signals = [...(options.signals ?? (['SIGTERM', 'SIGINT'] as const))]
  const timeoutMs = integerOption('timeoutMs', options.timeoutMs, { min: 0, fallback: 20_000 })
  let stopping = false
  const stop = (): void => {
    if (stopping) return
    stopping = true
    void consumer.stop({ timeoutMs }).then(dispose)
  }
  const dispose = (): void => {
    for (const signal of signals) process.off(signal, stop)
    unsubscribe()
  }
  const unsubscribe = consumer.events.on('consumer-stopped', dispose)
  for (const signal of signals) process.on(signal, stop)
  return dispose
}
