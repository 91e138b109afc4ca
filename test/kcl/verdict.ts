import type { Ledger } from './ledger.js'

/** The last line of `--json`. */
export interface KclFleetResult {
  readonly kcl: '2' | '3'
  readonly put: number
  readonly acknowledged: number
  readonly seen: number
  readonly missing: number
  readonly missingRows: readonly number[]
  readonly unknown: number
  readonly outOfOrder: number
  readonly seenTwice: number
  readonly storedTwice: number
  readonly seenBy: Readonly<Record<string, number>>
  readonly roles: readonly string[]
  readonly seconds: number
}

export function passed(result: KclFleetResult): boolean {
  return (
    result.put > 0 &&
    result.acknowledged === result.put &&
    result.missing === 0 &&
    result.outOfOrder === 0 &&
    result.unknown === 0 &&
    Object.values(result.seenBy).every((records) => records > 0)
  )
}

export function countsOf(ledger: Ledger): Omit<KclFleetResult, 'kcl' | 'acknowledged' | 'seenBy' | 'roles' | 'seconds'> {
  const { put, seen, missing, unknown, outOfOrder, seenTwice, storedTwice } = ledger
  return { put, seen, missing, missingRows: ledger.missingRows(10), unknown, outOfOrder, seenTwice, storedTwice }
}

/** What a person reads at the end. */
export function verdictText(result: KclFleetResult): string {
  const check = (holds: boolean, text: string): string => `  ${holds ? '✓' : '✗'} ${text}`
  const rows = result.missing === 0 ? '' : `, the first rows: ${result.missingRows.join(', ')}`
  return [
    '',
    `Beside Java's KCL ${result.kcl}: ${result.put} records put, ${result.acknowledged} acknowledged, ${result.seconds} s`,
    check(result.missing === 0, `${result.seen} seen, ${result.missing} missing${rows}`),
    check(result.outOfOrder === 0, `order kept per key (${result.outOfOrder} first deliveries out of order)`),
    check(result.unknown === 0, `${result.unknown} that were never put`),
    `  ${result.seenTwice} seen again, ${result.storedTwice} stored again by the producer after the reshard`,
    `  ${Object.entries(result.seenBy)
      .map(([worker, records]) => `${worker} saw ${records}`)
      .join(', ')}; Shardwise was ${result.roles.join(', ')}`,
  ].join('\n')
}
