import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

/** One flight as it travels through the stream. `row` is its place in the file, which is in time order. */
export interface Flight {
  readonly row: number
  readonly date: string
  /** Minutes; negative when early. */
  readonly delay: number
  /** Miles. */
  readonly distance: number
  readonly origin: string
  readonly destination: string
}

/** US flights of January to June 2001, from npm `vega-datasets`. */
const FILE = 'flights-3m.parquet'
export const ALL_FLIGHTS = 3_000_000
const ROWS_AT_A_TIME = 50_000

/** The first `count` flights, in the file's order. */
export async function* readFlights(count: number): AsyncGenerator<Flight> {
  const file = await asyncBufferFromFile(datasetPath())
  for (let rowStart = 0; rowStart < count; rowStart += ROWS_AT_A_TIME) {
    const rowEnd = Math.min(rowStart + ROWS_AT_A_TIME, count)
    const rows = await parquetReadObjects({ file, compressors, rowStart, rowEnd })
    for (const [index, row] of rows.entries()) {
      yield {
        row: rowStart + index,
        date: (row.date as Date).toISOString(),
        delay: Number(row.delay),
        distance: Number(row.distance),
        origin: String(row.origin),
        destination: String(row.destination),
      }
    }
  }
}

export interface DelayTotal {
  flights: number
  minutes: number
}

/** The demo's question: the mean delay per origin. Kept as two whole numbers, so that two ways to the answer can be compared exactly. */
export class DelayPerOrigin {
  readonly totals: Map<string, DelayTotal> = new Map()

  add(origin: string, delay: number): void {
    const total = this.totals.get(origin)
    if (total === undefined) this.totals.set(origin, { flights: 1, minutes: delay })
    else {
      total.flights++
      total.minutes += delay
    }
  }

  equals(other: DelayPerOrigin): boolean {
    if (this.totals.size !== other.totals.size) return false
    for (const [origin, mine] of this.totals) {
      const theirs = other.totals.get(origin)
      if (theirs === undefined || theirs.flights !== mine.flights || theirs.minutes !== mine.minutes) return false
    }
    return true
  }

  /** The busiest origins with their mean delay in minutes. */
  busiest(count: number): { origin: string; flights: number; meanDelay: number }[] {
    return [...this.totals]
      .map(([origin, { flights, minutes }]) => ({ origin, flights, meanDelay: minutes / flights }))
      .sort((a, b) => b.flights - a.flights)
      .slice(0, count)
  }
}

/** The answer straight from the file, without any stream in between. */
export async function answerFromFile(count: number): Promise<DelayPerOrigin> {
  const answer = new DelayPerOrigin()
  for await (const flight of readFlights(count)) answer.add(flight.origin, flight.delay)
  return answer
}

/** The package exports only its JavaScript (build/index.js); the data lies beside that folder. */
function datasetPath(): string {
  return join(dirname(createRequire(import.meta.url).resolve('vega-datasets')), '..', 'data', FILE)
}
