import { type HeapProfiler, type Profiler, Session } from 'node:inspector/promises'
import { basename } from 'node:path'
import { type Benchmark, collectGarbage, WrongResult } from './rounds.js'

const WARM_UP_RUNS = 10
const RUNS = 10
/** Mean distance of two samples, in allocated bytes and in microseconds. */
const HEAP_INTERVAL = 4096
const CPU_INTERVAL = 200
const ROWS = 25

/** What an amount belongs to: a function, or the built-in that it called, and its file. */
type Amounts = Map<string, number>

/** What our variant of a benchmark allocates for an operation, and where its time goes. */
export interface Profile {
  readonly benchmark: string
  readonly variant: string
  /** Bytes allocated for an operation, whether they outlive it or not, by the function that allocated them. */
  readonly bytes: Amounts
  /** Share of the time, by the function without those it calls. */
  readonly share: Amounts
}

/** Verifies, warms up, then runs under the one profiler and under the other. */
export async function profile(name: string, benchmark: Benchmark): Promise<Profile> {
  const [variant] = benchmark.variants
  const fingerprint = await variant.verify()
  const session = new Session()
  session.connect()
  const runs = async (times: number, start: () => Promise<unknown>, stop: () => Promise<unknown>): Promise<void> => {
    for (let i = 0; i < times; i++) {
      benchmark.prepare()
      await variant.before?.()
      collectGarbage('minor')
      await start()
      if ((await variant.run()) !== fingerprint)
        throw new WrongResult(`${name}: a run gave something else than the one that was verified`)
      await stop()
      await variant.after?.()
    }
  }
  const nothing = async (): Promise<void> => undefined
  await runs(WARM_UP_RUNS, nothing, nothing)

  const bytes: Amounts = new Map()
  const sampling = {
    samplingInterval: HEAP_INTERVAL,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  }
  await runs(
    RUNS,
    () => session.post('HeapProfiler.startSampling', sampling),
    async () => addAllocations((await session.post('HeapProfiler.stopSampling')).profile.head, '', bytes),
  )

  const samples: Amounts = new Map()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: CPU_INTERVAL })
  await runs(
    RUNS,
    () => session.post('Profiler.start'),
    async () => addSamples((await session.post('Profiler.stop')).profile, samples),
  )
  session.disconnect()
  return {
    benchmark: name,
    variant: variant.name,
    bytes: divided(bytes, RUNS * benchmark.operations),
    share: divided(samples, sum(samples) / 100),
  }
}

export function profileTable({ benchmark, variant, bytes, share }: Profile): string {
  return `${benchmark}: ${variant}, ${RUNS} runs

${table('bytes', 'allocated for each operation', bytes)}
${table('%', 'of the time, in the function itself', share)}`
}

function addAllocations(node: HeapProfiler.SamplingHeapProfileNode, caller: string, to: Amounts): void {
  const where = named(node.callFrame, caller)
  if (node.selfSize > 0) to.set(where, (to.get(where) ?? 0) + node.selfSize)
  for (const child of node.children) addAllocations(child, node.callFrame.url === '' ? caller : where, to)
}

function addSamples({ nodes, samples = [] }: Profiler.Profile, to: Amounts): void {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const where = new Map<number, string>()
  const walk = ({ id, callFrame, children = [] }: Profiler.ProfileNode, caller: string): void => {
    const own = named(callFrame, caller)
    where.set(id, own)
    for (const child of children) walk(byId.get(child)!, callFrame.url === '' ? caller : own)
  }
  walk(nodes[0]!, '')
  for (const id of samples) {
    const own = where.get(id)!
    // The profiler's own beginning and end.
    if (own.includes('inspector')) continue
    to.set(own, (to.get(own) ?? 0) + 1)
  }
}

/** Built-ins have no file: the function that calls them says more. */
function named({ functionName, url }: { readonly functionName: string; readonly url: string }, caller: string): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url !== '') return `${name}, ${basename(url)}`
  return caller === '' ? name : `${name} in ${caller}`
}

function divided(amounts: Amounts, by: number): Amounts {
  return new Map([...amounts].map(([where, amount]) => [where, amount / by]))
}

function sum(amounts: Amounts): number {
  return [...amounts.values()].reduce((total, amount) => total + amount, 0)
}

function table(unit: string, title: string, amounts: Amounts): string {
  const sorted = [...amounts].sort(([, a], [, b]) => b - a)
  const line = (amount: number, where: string): string => `${amount.toFixed(1).padStart(8)}  ${where}\n`
  const shown = sorted.slice(0, ROWS)
  const rest = sum(new Map(sorted.slice(ROWS)))
  const lines = [...shown, [`elsewhere, in ${sorted.length - shown.length} functions`, rest] as const]
  return `${unit.padStart(8)}  ${title}\n${line(sum(amounts), 'in all')}${lines.map(([where, amount]) => line(amount, where)).join('')}`
}
