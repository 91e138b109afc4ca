import type { Breach, LedgerVerdict } from './ledger.js'
import type { ProcessMemory } from './process-memory.js'
import { commandOf, type SoakOptions } from './soak-options.js'

/** What a run measured. The last line of `--json` is this with `passed` and `failures`. */
export interface SoakResult extends LedgerVerdict {
  readonly options: SoakOptions
  /** The producer's process, settled and empty, after the collector has run. */
  readonly memory: {
    readonly baseline: ProcessMemory
    readonly end: ProcessMemory
    /** Of the heap, as a share of the baseline. */
    readonly heapGrowth: number
    readonly heapTolerance: number
    readonly highestRssBytes: number
    readonly serviceRssBytes: number
  }
  readonly seconds: number
  readonly splits: number
  readonly merges: number
  readonly shardsSeen: number
  /** Why records failed, and how many. */
  readonly failures: Readonly<Record<string, number>>
  /** Offers that were refused because the order had halted. */
  readonly refusedWhileHalted: number
  readonly resumed: number
  readonly rates: {
    readonly recordsPerSecond: number
    readonly bytesPerSecond: number
    readonly kinesisRecordsPerSecond: number
    /** What the shards stored of what they take, in bytes and in Kinesis records; the outage is left out. */
    readonly percentOfShardBytes: number
    readonly percentOfShardRecords: number
  }
  readonly kinesisRecords: number
  readonly requests: number
  readonly requestsFailed: number
  readonly retries: number
  readonly throttled: number
  readonly wrongShard: number
  readonly droppedAggregates: number
  /** Times that the buffer was full. */
  readonly fullBuffer: number
  readonly highestBufferedBytes: number
  readonly maxBufferedBytes: number
  readonly highestBufferedRecords: number
  readonly maxBufferedRecords: number
  readonly flushes: number
  /** Flushes that resolved with a record unsettled that was put before. */
  readonly earlyFlushes: number
  /** Flushes that had not ended long after everything must have settled. */
  readonly stuckFlushes: number
  /** Records in the stream that were never put, or not as they were put. */
  readonly foreign: number
  /** Calls that each fault met. */
  readonly faults: Readonly<Record<string, number>>
  readonly openSockets: number
  readonly openResources: readonly string[]
}

export interface Check {
  readonly holds: boolean
  readonly text: string
}

/** It is no proof where little happened. */
export const LEAST_ACKNOWLEDGED = 1000

/** All promises, each with what was found. */
export function checksOf(result: SoakResult): readonly Check[] {
  const { memory, options } = result
  const none = ({ count, examples }: Breach, text: string): Check => ({
    holds: count === 0,
    text: count === 0 ? `${text}: 0` : `${text}: ${grouped(count)}, the first: ${examples.join(', ')}`,
  })
  const checks = [
    {
      holds: result.acknowledged >= LEAST_ACKNOWLEDGED,
      text: `records were acknowledged: ${grouped(result.acknowledged)} of at least ${grouped(LEAST_ACKNOWLEDGED)}`,
    },
    none(result.lost, 'acknowledged records that no reader gets to see'),
    none(result.misplaced, 'acknowledged records elsewhere than told'),
    none(result.denied, 'stored records that failed as surely not written'),
    none(result.unsettled, 'accepted records that never settled'),
    none(result.settledTwice, 'records that settled twice'),
    none(result.unexplainedCopies, 'records stored more often than attempted'),
    { holds: result.foreign === 0, text: `records in the stream that are not as they were put: ${result.foreign}` },
    {
      holds: result.highestBufferedBytes <= result.maxBufferedBytes && result.highestBufferedRecords <= result.maxBufferedRecords,
      text: `the buffer kept its bounds: at most ${mib(result.highestBufferedBytes)} of ${mib(result.maxBufferedBytes)}, ${grouped(result.highestBufferedRecords)} of ${grouped(result.maxBufferedRecords)} records`,
    },
    {
      holds: result.fullBuffer > 0,
      text: `more was offered than shards take: the buffer was full ${grouped(result.fullBuffer)} times`,
    },
    { holds: result.earlyFlushes === 0, text: `flushes that resolved too early: ${result.earlyFlushes} of ${result.flushes}` },
    { holds: result.stuckFlushes === 0, text: `flushes that did not end: ${result.stuckFlushes}` },
    {
      holds: memory.heapGrowth <= memory.heapTolerance,
      text: `heap after collection, without code: ${mib(memory.end.heapBytes)}, ${signed(memory.heapGrowth)} against ${mib(memory.baseline.heapBytes)} early in the run (at most ${signed(memory.heapTolerance)})`,
    },
    {
      holds: result.openSockets === 0 && result.openResources.length === 0,
      text: `open after close: ${result.openSockets} sockets, ${result.openResources.length === 0 ? 'no timers' : result.openResources.join(', ')}`,
    },
  ]
  const isOrdered = options.ordering !== 'none'
  return isOrdered ? [...checks, none(result.outOfOrder, 'acknowledged records out of the order of their key')] : checks
}

/** What a person reads at the end. */
export function verdictText(result: SoakResult): string {
  const { rates, memory } = result
  const failures = Object.entries(result.failures).map(([reason, count]) => `${reason} ${grouped(count)}`)
  const faults = Object.entries(result.faults).map(([name, count]) => `${name} ${grouped(count)}`)
  const checks = checksOf(result)
  const lines = [
    '',
    `${grouped(result.offered)} records in ${grouped(result.kinesisRecords)} Kinesis records and ${grouped(result.requests)} requests, ${Math.round(result.seconds)} s`,
    `  ${grouped(rates.recordsPerSecond)} records/s, ${mib(rates.bytesPerSecond)}/s: ${rates.percentOfShardBytes} % of the shards' bytes, ${rates.percentOfShardRecords} % of their records`,
    `  ${result.splits} splits, ${result.merges} merges, ${result.shardsSeen} shards read to the end`,
    `  faults: ${faults.join(', ')}`,
    `  ${grouped(result.retries)} Kinesis records sent again, ${grouped(result.throttled)} throttled, ${grouped(result.wrongShard)} in another shard, ${grouped(result.droppedAggregates)} aggregates that readers drop`,
    `  ${grouped(result.acknowledged)} acknowledged (${grouped(result.retried)} after a retry), ${grouped(result.duplicates)} duplicates, ${grouped(result.failed)} failed${failures.length > 0 ? `: ${failures.join(', ')}` : ''}`,
    `  memory: RSS at most ${mib(memory.highestRssBytes)}, compiled code ${mib(memory.end.codeBytes)} after ${mib(memory.baseline.codeBytes)}, outside the heap ${mib(memory.end.externalBytes)} after ${mib(memory.baseline.externalBytes)}; the service's RSS ${mib(memory.serviceRssBytes)}`,
    ...checks.map(({ holds, text }) => `  ${holds ? '✓' : '✗'} ${text}`),
    ...(checks.every(({ holds }) => holds) ? [] : [`  To repeat it: ${commandOf(result.options)}`]),
  ]
  return lines.join('\n')
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

function signed(share: number): string {
  return `${share < 0 ? '' : '+'}${(share * 100).toFixed(1)} %`
}
