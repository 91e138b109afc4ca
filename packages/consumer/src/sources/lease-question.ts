import { type Clock, type Scheduled, sleep } from '@shardwise/core/clock'
import { unlessAborted } from '../aborted.js'
import type { HeldLease } from '../leases/held-lease.js'

export interface LeaseQuestionOptions {
  readonly lease: Pick<HeldLease, 'revalidate' | 'confirm'>
  readonly clock: Clock
  /** The lease is waited for. */
  readonly waits: () => void
}

/** Then others who watch hear that who asks is alive, again and again. */
const PATIENCE_MS = 5_000

/**
 * Asks whether the lease is ours; when it is lost the signal aborts soon. Asked once: the table may be out of reach for hours. A no comes no
 * sooner than after the patience, so that who asks again makes no busy loop. Rejects with the signal's reason.
 */
export async function isLeaseOurs(
  { lease, clock, waits }: LeaseQuestionOptions,
  how: 'confirm' | 'revalidate',
  signal: AbortSignal,
): Promise<boolean> {
  const since = clock.now()
  let next: Scheduled
  const tell = (): void => {
    waits()
    next = clock.schedule(PATIENCE_MS, tell)
  }
  tell()
  try {
    if (await unlessAborted(lease[how](), signal)) return true
  } finally {
    next!.cancel()
  }
  await sleep(clock, Math.max(0, since + PATIENCE_MS - clock.now()), { signal })
  return false
}
