import { inUse, type KinesisModelError, notFound } from './kinesis-error.js'
import type { Change, Stream } from './stream.js'

/** What the passage of time has made of a stream. */
export type Settled = 'stays' | 'gone'

/**
 * Carries out what has fallen due by `now` (monotonic milliseconds), each thing with the wall time at which it was due: states move on
 * when somebody looks, there is no timer.
 */
export function settle(stream: Stream, now: number, wallTime: number): Settled {
  const wallTimeAt = (then: number): number => Math.floor(wallTime - Math.max(0, now - then))
  const { state } = stream
  switch (state.status) {
    case 'ACTIVE':
      return 'stays'
    case 'CREATING':
      if (state.until > now) return 'stays'
      stream.open(state.shardCount, wallTimeAt(state.until))
      stream.state = { status: 'ACTIVE' }
      return 'stays'
    case 'DELETING':
      return state.until > now ? 'stays' : 'gone'
    case 'UPDATING': {
      const left = state.changes.filter((change) => change.at > now)
      // Set anew the state would tell its watchers, who would look again, and so on.
      if (left.length > 0 && left.length === state.changes.length) return 'stays'
      for (const change of state.changes) if (change.at <= now) apply(stream, change, wallTimeAt(change.at))
      stream.state = left.length === 0 ? { status: 'ACTIVE' } : { status: 'UPDATING', changes: left }
      return 'stays'
    }
  }
}

function apply(stream: Stream, change: Change, wallTime: number): void {
  if (change.kind === 'reshard') stream.reshard(change.step, wallTime)
  else stream.settings = { ...stream.settings, ...change.settings }
}

/** Most changes are taken only by a stream that is not changing already. */
export function requireActive(stream: Stream, accountId: string): void {
  const { status } = stream.state
  if (status !== 'ACTIVE') throw inUse(`Stream ${stream.name} under account ${accountId} not ACTIVE, instead in state ${status}`)
}

/** Records are taken from creation's end to deletion's beginning; otherwise the service answers as if there were no such stream. */
export function requireWritable(stream: Stream, accountId: string): void {
  const { status } = stream.state
  if (status !== 'ACTIVE' && status !== 'UPDATING') throw noSuchStream(stream.name, accountId)
}

export function noSuchStream(name: string, accountId: string): KinesisModelError {
  return notFound(`Stream ${name} under account ${accountId} not found.`)
}
