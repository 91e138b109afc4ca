import { Session } from 'node:inspector/promises'

const INTERVAL_US = 500
const IDLE = '(idle)'

/** Samples of a profile by whose code it was: `@shardwise/consumer`, `@smithy/core`, `node:net`, ... Built-ins count as who called them. */
export type ProcessorShares = readonly (readonly [owner: string, samples: number])[]

/** Looks at what this process does until `act` has resolved. Time in which it did nothing is left out. */
export async function processorShares(act: () => Promise<unknown>): Promise<ProcessorShares> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US })
  await session.post('Profiler.start')
  await act()
  const { nodes, samples = [] } = (await session.post('Profiler.stop')).profile
  session.disconnect()
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const owners = new Map<number, string>()
  const walk = (id: number, caller: string): void => {
    const { callFrame, children = [] } = byId.get(id)!
    const own = callFrame.functionName.startsWith('(') ? callFrame.functionName : ownerOf(callFrame.url, caller)
    owners.set(id, own)
    for (const child of children) walk(child, own)
  }
  walk(nodes[0]!.id, '(program)')
  const shares = new Map<string, number>()
  for (const id of samples) {
    const owner = owners.get(id)!
    if (owner !== IDLE) shares.set(owner, (shares.get(owner) ?? 0) + 1)
  }
  return [...shares].sort(([, a], [, b]) => b - a)
}

/** `(root)` calls the first function, and is nobody's. */
function ownerOf(url: string, caller: string): string {
  if (url === '') return caller === '(root)' ? '(program)' : caller
  if (url.startsWith('node:')) return url.split('/').slice(0, 2).join('/')
  const installed = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]
  if (installed !== undefined) return installed
  const ours = /\/packages\/([^/]+)\//.exec(url)?.[1]
  return ours === undefined ? 'benchmarks' : `@shardwise/${ours}`
}

/** `least`: what is below so many percent is put together. */
export function sharesLine(shares: ProcessorShares, least: number): string {
  const all = shares.reduce((sum, [, samples]) => sum + samples, 0)
  const percent = (samples: number): number => (samples / all) * 100
  const shown = shares.filter(([, samples]) => percent(samples) >= least)
  const rest = 100 - shown.reduce((sum, [, samples]) => sum + percent(samples), 0)
  const parts = shown.map(([owner, samples]) => `${owner} ${percent(samples).toFixed(0)} %`)
  return [...parts, `others ${rest.toFixed(0)} %`].join(', ')
}
