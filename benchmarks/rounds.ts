import type { Goal } from './goals.js'

/** One way to do the job of a benchmark. */
export interface Variant {
  readonly name: string
  /** Does the job once and returns a fingerprint of what came out, the same each time. */
  run(): number | Promise<number>
  /** Untimed, before every run, when the fresh input is there. */
  before?(): Promise<void>
  /** Untimed, after every run: what the job leaves to be done that is not measured. */
  after?(): Promise<void>
  /** Does the job once, has everything that came out examined (throws WrongResult) and returns the fingerprint of it. */
  verify(): number | Promise<number>
}

export interface Unit {
  readonly name: string
  /** The figure for a time per operation, in nanoseconds; or for its bytes. */
  readonly of: (cost: number) => number
}

export interface Benchmark {
  readonly unit: Unit
  /** Instead of time: the bytes of the heap that a run leaves in use before `after`. Garbage does not count. */
  readonly measures?: 'heap'
  /** Operations in one run. */
  readonly operations: number
  /** Untimed, before every run: fresh input, or the runtime would profit from what it remembers of the last (hashes of strings). */
  prepare(): void
  /** Ours first, then the peer that matters most, then others. */
  readonly variants: readonly [Variant, Variant, ...Variant[]]
}

/** By name; made when it is its turn, as the input takes memory. */
export type Benchmarks = Readonly<Record<string, () => Benchmark>>

export interface Peer {
  readonly name: string
  readonly value: number
  /** How many times as fast ours is: median, least and most of the ratios within each round. */
  readonly ratio: number
  /** Undefined: its figure comes out of its sources and was not measured. */
  readonly spread: readonly [least: number, most: number] | undefined
}

export interface Measurement {
  readonly name: string
  readonly unit: string
  readonly ours: number
  /** The first is the one that matters most. There may be none. */
  readonly peers: readonly Peer[]
  /** Where it depends on what else the run has measured; else that of goals.ts. */
  readonly goal?: Goal
  /** Nanoseconds (or bytes) an operation, round by round. */
  readonly nsByRound: { readonly [variant: string]: readonly number[] }
}

/**
 * What a turn is measured by. `cpu`: the processor time of this process, all its threads, the collector of garbage included. It is what counts
 * on a machine that does other work: the wall clock would measure who was scheduled when.
 */
export type Timer = 'wall' | 'cpu'

function milliseconds(timer: Timer): number {
  if (timer === 'wall') return performance.now()
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** A variant is fast at something else than what was asked. No figure of the run counts. */
export class WrongResult extends Error {
  override readonly name = 'WrongResult'
}

/** Below this the ratios of a round say more about the machine than about the variants. */
export const LEAST_ROUNDS = 5
const WARM_UP_MS = 200
const TURN_MS = 100

/**
 * Verifies every variant, warms each up, then lets them take turns: a round is one turn of each, so that a machine that slows down
 * slows all of them, and a ratio is only ever taken within a round. The first to go changes from round to round.
 */
export async function measure(
  name: string,
  make: () => Benchmark,
  { rounds, timer }: { readonly rounds: number; readonly timer: Timer },
  progress: (step: string) => void,
): Promise<Measurement> {
  const step = async <Result>(what: string, who: string, act: () => Result | Promise<Result>): Promise<Result> => {
    progress(`${what}, ${who}`)
    try {
      return await act()
    } catch (error) {
      throw error instanceof WrongResult ? new WrongResult(`${name}, ${who}: ${error.message}`) : error
    }
  }
  const benchmark = await step('preparing', 'input', make)
  const contestants: { readonly variant: Variant; readonly fingerprint: number; readonly ns: number[] }[] = []
  for (const variant of benchmark.variants) {
    const fingerprint = await step('verifying', variant.name, () => variant.verify())
    contestants.push({ variant, fingerprint, ns: [] })
  }
  for (const { variant, fingerprint } of contestants) {
    await step('warming up', variant.name, () => turn(benchmark, variant, fingerprint, timer, WARM_UP_MS))
  }
  await inTurns(contestants, rounds, async ({ variant, fingerprint, ns }, round) => {
    const act = () => turn(benchmark, variant, fingerprint, timer, TURN_MS)
    ns.push(await step(`round ${round + 1} of ${rounds}`, variant.name, act))
  })
  return compared(
    name,
    benchmark.unit,
    contestants.map(({ variant, ns }) => ({ name: variant.name, ns })),
  )
}

/** A round is one turn of each; who goes first changes from round to round. */
export async function inTurns<T>(
  contestants: readonly T[],
  rounds: number,
  turn: (contestant: T, round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < contestants.length; i++) await turn(contestants[(round + i) % contestants.length]!, round)
  }
}

/** Ours first. `over`: what a variant's figure is, of its times in all rounds. */
export function compared(
  name: string,
  unit: Unit,
  contestants: readonly { readonly name: string; readonly ns: readonly number[] }[],
  over: (ns: readonly number[]) => number = median,
): Measurement {
  const [ours, ...peers] = contestants
  return {
    name,
    unit: unit.name,
    ours: unit.of(over(ours!.ns)),
    peers: peers.map((peer) => {
      const ratios = peer.ns.map((time, round) => time / ours!.ns[round]!)
      return {
        name: peer.name,
        value: unit.of(over(peer.ns)),
        ratio: median(ratios),
        spread: [Math.min(...ratios), Math.max(...ratios)],
      }
    }),
    nsByRound: Object.fromEntries(contestants.map((contestant) => [contestant.name, contestant.ns])),
  }
}

/** Runs for at least `leastMs` of timed work and returns nanoseconds (or, after one run, bytes) an operation. */
async function turn(benchmark: Benchmark, variant: Variant, fingerprint: number, timer: Timer, leastMs: number): Promise<number> {
  let runs = 0
  let elapsedMs = 0
  while (elapsedMs < leastMs) {
    benchmark.prepare()
    await variant.before?.()
    // The fresh input moves out of the young generation, or the variant would pay for copying it. Twice, as survivors move on the
    // second time; not a major collection, which after a few makes V8 drop the code of the variants that wait for their turn.
    collectGarbage('minor')
    collectGarbage('minor')
    const heapBefore = benchmark.measures === 'heap' ? heapBytes() : 0
    const started = milliseconds(timer)
    const found = await variant.run()
    elapsedMs += milliseconds(timer) - started
    runs++
    if (found !== fingerprint) throw new WrongResult('a timed run gave something else than the run that was verified')
    const heap = benchmark.measures === 'heap' ? heapBytes() - heapBefore : 0
    await variant.after?.()
    if (benchmark.measures === 'heap') return heap / benchmark.operations
  }
  return (elapsedMs * 1e6) / (runs * benchmark.operations)
}

function heapBytes(): number {
  collectGarbage('major')
  // Again: where marking was under way, the first one ends that, and leaves what has become garbage since it began.
  collectGarbage('major')
  return process.memoryUsage().heapUsed
}

/**
 * `major`: all of it, for a heap that is looked at. Not before something is timed, which is slower after one.
 */
export function collectGarbage(type: 'major' | 'minor'): void {
  if (globalThis.gc === undefined) throw new Error('Benchmarks need `node --expose-gc`: start them with `npm run bench`')
  // Node 20 takes `{ type: 'major' }` for a minor one: with an argument it collects everything only where that is an option it knows.
  if (type === 'major') globalThis.gc()
  else globalThis.gc({ type })
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
