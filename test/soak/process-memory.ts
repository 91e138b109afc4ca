import { getHeapCodeStatistics } from 'node:v8'

/** Bytes that this process holds after everything unreachable is collected. */
export interface ProcessMemory {
  /** Of the heap, what is no code. */
  readonly heapBytes: number
  /** Compiled code and what belongs to it: for minutes after everything has run once, the compiler still makes it faster, and larger. */
  readonly codeBytes: number
  /** Outside the heap, without what the soak's own ledger took at its start. */
  readonly externalBytes: number
  readonly rssBytes: number
}

export function memoryAfterCollection(ledgerBytes: number): ProcessMemory {
  const { gc } = globalThis
  if (gc === undefined) throw new Error('The soak needs node --expose-gc, as scripts/soak.mjs starts it')
  // Twice: what finalizers let go in the first is collected in the second.
  gc()
  gc()
  const { heapUsed, external, rss } = process.memoryUsage()
  const code = getHeapCodeStatistics()
  const codeBytes = code.code_and_metadata_size + code.bytecode_and_metadata_size
  return { heapBytes: heapUsed - codeBytes, codeBytes, externalBytes: external - ledgerBytes, rssBytes: rss }
}

/** Sockets and timers that keep this process alive, by kind. */
export function openResources(): readonly string[] {
  return process.getActiveResourcesInfo().filter((kind) => /^(TCPSocketWrap|TLSWrap|Timeout|Immediate)$/.test(kind))
}
