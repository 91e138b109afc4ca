import type { DelayPerOrigin } from './flights.js'
import type { Ledger } from './ledger.js'

/** The last line of `--json`. */
export interface DemoResult {
  readonly records: number
  readonly acknowledged: number
  readonly delivered: number
  readonly lost: number
  readonly duplicates: number
  readonly duplicatesReplayed: number
  readonly duplicatesResent: number
  readonly outOfOrder: number
  readonly answerMatches: boolean
  readonly seconds: number
  readonly kinesisRecords: number
  readonly putRecordsRequests: number
  readonly workersStopped: number
  readonly workersKilled: number
  readonly splits: number
  readonly merges: number
  /** GetRecords calls that polling made, and subscriptions of fan-out. */
  readonly polls: number
  readonly subscriptions: number
}

export function passed(result: DemoResult): boolean {
  return result.lost === 0 && result.outOfOrder === 0 && result.answerMatches && result.acknowledged === result.records
}

/** What a person reads at the end. */
export function verdictText(result: DemoResult, ledger: Ledger, answer: DelayPerOrigin): string {
  const lines = [
    '',
    `${result.records.toLocaleString('en-US')} flights in ${result.kinesisRecords.toLocaleString('en-US')} Kinesis records and ${result.putRecordsRequests.toLocaleString('en-US')} PutRecords requests, ${result.seconds} s`,
    check(result.lost === 0, `every flight delivered at least once (${result.lost} lost${missingRows(result, ledger)})`),
    check(result.outOfOrder === 0, `order kept per origin (${result.outOfOrder} first deliveries out of order)`),
    check(result.answerMatches, 'mean delay per origin equals the one computed straight from the file'),
    ...answer
      .busiest(3)
      .map(
        ({ origin, flights, meanDelay }) =>
          `      ${origin}  ${meanDelay.toFixed(2)} min over ${flights.toLocaleString('en-US')} flights`,
      ),
    `  ${result.splits} split, ${result.merges} merge, ${result.workersStopped} worker stopped, ${result.workersKilled} worker killed`,
    `  read by ${result.subscriptions.toLocaleString('en-US')} subscriptions and ${result.polls.toLocaleString('en-US')} polls`,
    ...duplicateLines(result),
  ]
  return lines.join('\n')
}

function duplicateLines(result: DemoResult): string[] {
  if (result.duplicates === 0) return ['  no duplicates']
  const lines = [`  ${result.duplicates.toLocaleString('en-US')} duplicates:`]
  if (result.duplicatesReplayed > 0) {
    lines.push(
      `      ${result.duplicatesReplayed.toLocaleString('en-US')} handled by a worker that was killed before its checkpoint, and again by its successor`,
    )
  }
  if (result.duplicatesResent > 0) {
    lines.push(
      `      ${result.duplicatesResent.toLocaleString('en-US')} written twice: the producer sent them again after a shard was split or merged under them`,
    )
  }
  return lines
}

function missingRows(result: DemoResult, ledger: Ledger): string {
  return result.lost === 0 ? '' : `, the first rows: ${ledger.missing(5).join(', ')}`
}

function check(holds: boolean, text: string): string {
  return `  ${holds ? '✓' : '✗'} ${text}`
}
