import type { SimulatedProcess } from './simulated-process.js'

/** What the handlers of one worker do at present: shares of calls. */
export interface Conduct {
  /** It takes long; it throws; it computes without a turn of the event loop. */
  slow: number
  failing: number
  blocking: number
  /** One that takes long takes so many milliseconds at most. */
  longestMs: number
  /** The application has paused all shards. */
  isHeld: boolean
}

export function usual(): Conduct {
  return { slow: 0, failing: 0, blocking: 0, longestMs: 0, isHeld: false }
}

/** A worker of the fleet, whatever it is made with. */
export interface FleetMember {
  readonly process: SimulatedProcess
  readonly conduct: Conduct
  /** As lease rows name it. Empty before the start. */
  readonly workerId: string
  /** It was told to stop, or has ended. */
  readonly isStopping: boolean
  readonly isStopped: boolean
  /** Resolves when it has ended. Rejects when it cannot start. */
  run(): Promise<void>
  stop(timeoutMs: number | undefined): void
  /** Begins to read a stream, or ceases to. */
  addStream(name: string): void
  removeStream(name: string): void
  /** Pauses all shards, or ends that. */
  hold(): void
  goOn(): void
  /** What it has read and not completed, of each shard that it reads. */
  readonly buffered: readonly { readonly stream: string; readonly shardId: string; readonly bytes: number }[]
  /** It was told that its take, at `at` or later, has succeeded, and has not left the lease since as it was told. */
  knowsOf(leaseKey: string, at: number): boolean
  /**
   * For how long it has done nothing with this lease although it should. Undefined: it is busy with it, or waits for a reason. `since`: from then on it
   * had something to do; undefined: nobody says so before its first call.
   */
  silence(leaseKey: string, generation: number, since: number | undefined): number | undefined
}
