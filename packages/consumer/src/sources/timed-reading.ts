import type { Clock } from '@shardwise/core/clock'
import type { FetchedBatch, RecordSource } from './record-source.js'

/**
 * The next batch of a source, undefined when none comes for so long. The source itself decides between the two, by the signal that it is given:
 * what it has read it brings, however late, for it does not bring it again. Rejects with the reason of `signal`.
 */
export async function readFor(
  source: RecordSource,
  limitMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<FetchedBatch | undefined> {
  const end = new AbortController()
  const quit = (): void => end.abort(signal.reason)
  const timer = clock.schedule(limitMs, () => end.abort())
  if (signal.aborted) quit()
  signal.addEventListener('abort', quit)
  try {
    return await source.next(end.signal)
  } catch (error) {
    signal.throwIfAborted()
    if (!end.signal.aborted) throw error
    return undefined
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', quit)
  }
}
