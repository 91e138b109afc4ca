/** The local service in a process of its own, so that its memory and its work are not the producer's. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Clock, systemClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { type LocalServices, startLocal } from '@shardwise/local'
import { ServiceFaults } from './service-faults.js'
import type { Answer, Question, ServiceCall, ServiceCalls, ServiceReport, ServiceSetup } from './service-messages.js'
import type { OpenShard } from './workload.js'

const POLL_MS = 10

/** Its days may pass at the soak's word: so the stream's retention drops what has been read, and memory does not fill. */
let passedMs = 0
const clock: Clock = { ...systemClock, wallTime: () => systemClock.wallTime() + passedMs }

let local: LocalServices | undefined
let faults: ServiceFaults | undefined
let StreamName = ''

const calls: { readonly [call in ServiceCall]: (input: ServiceCalls[call]['input']) => Promise<ServiceCalls[call]['output']> } = {
  async start(setup: ServiceSetup) {
    local = await startLocal({ clock, dynamodb: false, transitionMs: { create: 50, update: 300 } })
    StreamName = setup.stream
    model('CreateStream', { StreamName, ShardCount: setup.shards })
    await untilActive()
    faults = new ServiceFaults(local.faults)
    faults.begin(seededRandom(setup.seed), { density: setup.faultDensity, requestTimeoutMs: setup.requestTimeoutMs })
    return { endpoint: local.kinesisEndpoint }
  },
  async openShards() {
    return openShards()
  },
  async split({ shardId, at }) {
    model('SplitShard', { StreamName, ShardToSplit: shardId, NewStartingHashKey: at })
    await untilActive()
    return openShards()
  },
  async merge({ shardId, with: neighbour }) {
    model('MergeShards', { StreamName, ShardToMerge: shardId, AdjacentShardToMerge: neighbour })
    await untilActive()
    return openShards()
  },
  async outage(on) {
    faults!.outage(on)
    return undefined
  },
  async calm() {
    faults!.calm()
    return undefined
  },
  async passTime(ms) {
    passedMs += ms
    return clock.wallTime()
  },
  async report(): Promise<ServiceReport> {
    return {
      rssBytes: process.memoryUsage.rss(),
      openConnections: process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length,
      faults: faults!.hits,
    }
  },
}

function model(operation: string, input: object): object {
  return local!.model.call(operation, input)
}

async function untilActive(): Promise<void> {
  type Summary = { readonly StreamDescriptionSummary: { readonly StreamStatus: string } }
  const status = (): string => (model('DescribeStreamSummary', { StreamName }) as Summary).StreamDescriptionSummary.StreamStatus
  while (status() !== 'ACTIVE') await delay(POLL_MS)
}

interface Listing {
  readonly Shards: readonly {
    readonly ShardId: string
    readonly HashKeyRange: { readonly StartingHashKey: string; readonly EndingHashKey: string }
  }[]
}

function openShards(): OpenShard[] {
  const { Shards } = model('ListShards', { StreamName, ShardFilter: { Type: 'AT_LATEST' } }) as Listing
  return Shards.map(({ ShardId, HashKeyRange: { StartingHashKey, EndingHashKey } }) => {
    return { shardId: ShardId, start: StartingHashKey, end: EndingHashKey }
  }).sort((a, b) => (BigInt(a.start) < BigInt(b.start) ? -1 : 1))
}

process.on('message', ({ id, call, input }: Question) => {
  const tell = (answer: Answer): void => {
    if (process.connected) process.send!(answer)
  }
  ;(calls[call] as (input: unknown) => Promise<unknown>)(input).then(
    (output) => tell({ id, output }),
    (error: unknown) => tell({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  )
})
// Ctrl-C reaches every process of the terminal. The soak decides what happens; when it is gone, so are we.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(0))
