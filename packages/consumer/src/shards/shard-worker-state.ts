/**
 * The life of a shard worker.
 * - `starting`: nothing is read yet.
 * - `running`: reads and delivers.
 * - `draining`: no new read, no new handler call; the handler call in hand finishes.
 * - `ending`: every record of a closed shard is completed; children's leases and SHARD_END are being written.
 * - `releasing`: the last checkpoint and the release are being written.
 * - `ended`, `released`, `lost`: final. The worker touches neither records nor lease any more.
 */
export type ShardWorkerState = 'starting' | 'running' | 'draining' | 'ending' | 'releasing' | 'ended' | 'released' | 'lost'

/**
 * - `drain`: the consumer stops, or the lease is to be handed over.
 * - `all-completed`: the shard is closed and its last record completed.
 * - `failed`: a fault that nobody expected. The lease is given up.
 */
export type ShardWorkerInput =
  | 'ready'
  | 'drain'
  | 'drained'
  | 'all-completed'
  | 'end-recorded'
  | 'release-recorded'
  | 'lease-lost'
  | 'failed'

/**
 * Draining wins over nothing but running: a shard that is already ending goes on ending, because that is as quick as a release and spares
 * the next owner a read; but when its end cannot be recorded, it is released after all. A lost lease wins over everything that is not final.
 */
export const TRANSITIONS: Readonly<Record<ShardWorkerState, Readonly<Partial<Record<ShardWorkerInput, ShardWorkerState>>>>> = {
  starting: { ready: 'running', drain: 'draining', 'lease-lost': 'lost', failed: 'releasing' },
  running: { drain: 'draining', 'all-completed': 'ending', 'lease-lost': 'lost', failed: 'releasing' },
  draining: { drain: 'draining', drained: 'releasing', 'all-completed': 'ending', 'lease-lost': 'lost', failed: 'releasing' },
  ending: { drain: 'ending', drained: 'releasing', 'end-recorded': 'ended', 'lease-lost': 'lost', failed: 'releasing' },
  releasing: { drain: 'releasing', 'release-recorded': 'released', 'lease-lost': 'lost' },
  ended: { drain: 'ended', 'lease-lost': 'ended' },
  released: { drain: 'released', 'lease-lost': 'released' },
  lost: { drain: 'lost', 'lease-lost': 'lost', failed: 'lost' },
}

/** The state after `input`. Throws where the table has no entry: that is a mistake in the worker. */
export function transition(state: ShardWorkerState, input: ShardWorkerInput): ShardWorkerState {
  const next = TRANSITIONS[state][input]
  if (next === undefined) throw new Error(`A shard worker that is ${state} cannot take '${input}'`)
  return next
}
