/** Holds back the handler calls of shards, for as long as somebody wants. A call in hand goes on. */
export interface StartGate {
  /** Whether a call for the shard may begin at this moment. */
  isOpen(shardId: string): boolean
  /** Resolves when it is worth asking again, at once when `halt` aborts. Never rejects. */
  opened(shardId: string, halt: AbortSignal): Promise<void>
  /** The gate was open for this shard, and no call begins after all or for now: what was meant for it goes to another. */
  passUp?(shardId: string): void
}

/** A gate for the shards of several streams, where two may have one id. */
export function gateOf(
  gate: StartGate,
  { leaseKey, shardId }: { readonly leaseKey: string; readonly shardId: string },
): StartGate {
  if (leaseKey === shardId) return gate
  return {
    isOpen: () => gate.isOpen(leaseKey),
    opened: (_shardId, halt) => gate.opened(leaseKey, halt),
    passUp: () => gate.passUp?.(leaseKey),
  }
}
