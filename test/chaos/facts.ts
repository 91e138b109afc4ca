import { writeSync } from 'node:fs'
import { machineNow } from './machine-time.js'
import { memoryInUse } from './memory-in-use.js'
import { watchStandstill } from './standstill.js'

/** What an app was told by nobody and has seen itself. `at`: machine time. */
export type Fact = { readonly at: number } & (
  | ProducerFact
  | WorkerFact
  | RowFact
  | ThrottledFact
  | StoodFact
  | MemoryFact
  | EventFact
)

export type ProducerFact =
  /** Records `from` up to, without, `from + count` are about to be put. */
  | { readonly fact: 'put'; readonly from: number; readonly count: number }
  /** Record, attempts, record, attempts, ... */
  | { readonly fact: 'acknowledged'; readonly records: readonly number[] }
  | { readonly fact: 'failed'; readonly record: number; readonly reason: string; readonly written: 'no' | 'unknown' }
  /** Everything put has settled, and the producer is closed. */
  | { readonly fact: 'closed' }

/** The records of one Kinesis record: sub-sequence number, producer, record, and so on. */
export interface DeliveredGroup {
  readonly sequenceNumber: string
  /** One of its records lies outside the shard: the producer puts all of them again. */
  readonly outside: boolean
  readonly records: readonly number[]
}

export type WorkerFact =
  | {
      readonly fact: 'began'
      readonly call: number
      readonly shardId: string
      readonly groups: readonly DeliveredGroup[]
      /** Records that are not as they were put. */
      readonly foreign: number
    }
  /** `aborted`: its signal had aborted, and it completes nothing. */
  | { readonly fact: 'completed'; readonly call: number; readonly aborted: boolean }
  | { readonly fact: 'stopped' }

/** A write to a row of the lease table has landed. Told by the table's process, before who wrote has the answer. */
export interface RowFact {
  readonly fact: 'row'
  readonly leaseKey: string
  /** The worker whose lease it is now. */
  readonly owner?: string
  /** It took the lease with this write. */
  readonly taken: boolean
  /** Missing: the row is gone. */
  readonly checkpoint?: string
  readonly subSequenceNumber?: number
}

/** The service refused so much for the quota of a shard. */
export interface ThrottledFact {
  readonly fact: 'throttled'
  readonly writes: number
  readonly reads: number
}

/** The process did not run in this time. */
export interface StoodFact {
  readonly fact: 'stood'
  readonly from: number
}

export interface MemoryFact {
  readonly fact: 'memory'
  readonly rssBytes: number
  /** Used heap and what lies outside of it. */
  readonly heapBytes: number
  readonly bufferedBytes?: number
  /** Everything unreachable was collected just before. */
  readonly collected?: true
}

/** What the library announced: for who reads the log. Nothing is judged by it. */
export interface EventFact {
  readonly fact: 'event'
  readonly type: string
  readonly detail: string
}

type WithoutTime<T> = T extends unknown ? Omit<T, 'at'> : never

/** Where an app writes its facts: a pipe to the coordinator. */
export const FACTS_FD = 4

const TICK_MS = 1000

/**
 * Written when it returns, whatever becomes of this process afterwards, for the kernel has it then. A coordinator that is gone ends the process.
 */
export function tell(fact: WithoutTime<Fact>, at: number): void {
  const line = Buffer.from(`${JSON.stringify({ at, ...fact })}\n`)
  try {
    for (let written = 0; written < line.length; ) written += writeSync(FACTS_FD, line, written)
  } catch {
    process.exit(1)
  }
}

/** Says how much memory this process has, once a second, how much of it is in use, when it is asked, and when it has not run. */
export function tellOfProcess(bufferedBytes?: () => number): void {
  watchStandstill((from, to) => tell({ fact: 'stood', from }, to))
  const measure = (collected?: true): void => {
    const { rss, heapUsed, external } = process.memoryUsage()
    const heapBytes = collected ? memoryInUse() : heapUsed + external
    const buffered = bufferedBytes === undefined ? {} : { bufferedBytes: bufferedBytes() }
    tell({ fact: 'memory', rssBytes: rss, heapBytes, ...buffered, ...(collected && { collected }) }, machineNow())
  }
  setInterval(() => measure(), TICK_MS).unref()
  process.on('message', (message: { readonly say?: string }) => void (message.say === 'measure' && measure(true)))
}

/** Ctrl-C reaches every process of the terminal: the coordinator decides what happens. When it is gone, so is the app. */
export function endWithCoordinator(): void {
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  process.on('disconnect', () => process.exit(1))
}

/** The app has done its work: it ends when nothing else keeps it. */
export function leave(): void {
  process.removeAllListeners('disconnect')
  process.disconnect()
}
