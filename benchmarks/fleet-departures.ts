import { type Elsewhere, OwnStream } from './elsewhere.js'
import { FleetLoad } from './fleet-load.js'
import { FleetWorkerProcess } from './fleet-worker-process.js'
import { ACCOUNT } from './latency-turn.js'
import { LocalServiceProcess } from './local-service-process.js'
import { type Measurement, median, WrongResult } from './rounds.js'
import type { Outcome, Scenario, Scenarios } from './scenario.js'

const STREAM = 'fleet'
const SHARDS = 12
const FAILOVER_MS = 10_000
/** A record to every shard so often. */
const LOAD_EVERY_MS = 50
/** One after the other goes, and one is left. */
const WORKERS = 6
const PATIENCE_MS = 180_000

interface Departure {
  readonly name: string
  readonly verb: string
  readonly leave: (worker: FleetWorkerProcess) => Promise<void>
  /** What is known of KCL: the middle stands beside our median, the most beside our most. */
  readonly peers: readonly { readonly name: string; readonly middle: number; readonly most: number }[]
}

/** From a worker's end to records flowing again from its shards, in real processes over real HTTP, with everything by default. */
export const fleetDepartures: Scenarios = {
  failover: departures({
    name: 'failover',
    verb: 'killed',
    leave: async (worker) => worker.kill(),
    peers: [
      { name: 'KCL 2.x (derived: 20 to 40 s)', middle: 30, most: 40 },
      { name: 'KCL 3.x (derived: 20 to 50 s)', middle: 35, most: 50 },
    ],
  }),
  handover: departures({
    name: 'handover',
    verb: 'asked to stop',
    leave: (worker) => worker.stop(),
    peers: [{ name: 'KCL (reported by a user, its issue 845)', middle: 27, most: 27 }],
  }),
}

function departures(departure: Departure): Scenario {
  return {
    ofWallClock: true,
    anywhere: true,
    async run(rounds, progress, elsewhere) {
      const ms: number[][] = []
      const fleets: string[] = []
      while (ms.length < rounds) fleets.push(await oneFleet(departure, rounds, ms, progress, elsewhere))
      return outcome(departure, ms, fleets)
    },
  }
}

interface Member {
  readonly name: string
  readonly process: FleetWorkerProcess
  readonly shards: Set<string>
}

/** Adds to `ms`, for each worker that leaves: for each of its shards how long nobody got its records. */
async function oneFleet(
  departure: Departure,
  rounds: number,
  ms: number[][],
  progress: (step: string) => void,
  elsewhere: Elsewhere | undefined,
): Promise<string> {
  progress('preparing, local services and workers')
  await using kinesis = elsewhere === undefined ? await LocalServiceProcess.start('kinesis') : undefined
  await using dynamodb = await LocalServiceProcess.start('dynamodb')
  const where = elsewhere ?? { connection: { ...ACCOUNT, endpoint: kinesis!.endpoint }, stream: STREAM }
  await using stream = await OwnStream.make(where, SHARDS)
  const load = new FleetLoad(stream, LOAD_EVERY_MS)
  const options = {
    ...{ ...where.connection, dynamodbEndpoint: dynamodb.endpoint, stream: where.stream },
    ...{ applicationName: 'fleet', failoverTimeMs: FAILOVER_MS, initialPosition: 'trim-horizon' as const },
  }
  let members = Array.from({ length: WORKERS }, (_, i) => join(`worker-${i + 1}`, load))
  try {
    for (const { name, process } of members) process.run({ ...options, workerId: name })
    while (members.length > 1 && ms.length < rounds) {
      progress(`round ${ms.length + 1} of ${rounds}, ${members.length} workers`)
      await balanced(members, load)
      const [leaver, ...others] = members as [Member, ...Member[]]
      members = others
      const orphans = [...leaver.shards]
      const since = performance.now()
      const left = departure.leave(leaver.process)
      const again = orphans.map((shardId) => load.handledElsewhere(shardId, leaver.name, since, PATIENCE_MS))
      ms.push((await Promise.all(again)).map((at) => at - since))
      await left
      await leaver.process[Symbol.asyncDispose]()
    }
    await load.verified(PATIENCE_MS)
    return `${load.put} records were put and handled, ${load.repeated} of them again, ${load.refusals} refused at first`
  } finally {
    load.stop()
    await Promise.all(members.map(({ process }) => process[Symbol.asyncDispose]()))
  }
}

function join(name: string, load: FleetLoad): Member {
  const process = new FleetWorkerProcess()
  const shards = new Set<string>()
  process.listen((message) => {
    if (message.type === 'started') shards.add(message.shardId)
    else if (message.type === 'left') shards.delete(message.shardId)
    else if (message.type === 'handled') load.handled(name, message.shardId, message.text)
  })
  return { name, process, shards }
}

/** Everybody has as many shards as everybody else, give or take one, and records come from all of them. */
async function balanced(members: readonly Member[], load: FleetLoad): Promise<void> {
  const share = SHARDS / members.length
  const fair = (): boolean =>
    members.every(({ shards }) => shards.size >= Math.floor(share) && shards.size <= Math.ceil(share)) &&
    members.reduce((sum, { shards }) => sum + shards.size, 0) === SHARDS
  for (const end = performance.now() + PATIENCE_MS; !fair(); await new Promise((resolve) => setTimeout(resolve, 50))) {
    if (performance.now() > end) {
      const found = members.map(({ shards }) => shards.size).join(', ')
      throw new WrongResult(`${members.length} workers do not share ${SHARDS} shards evenly, they have ${found}`)
    }
  }
  const since = performance.now()
  await Promise.all(load.shardIds.map((shardId) => load.handledElsewhere(shardId, '', since, PATIENCE_MS)))
}

function outcome({ name, verb, peers }: Departure, ms: readonly (readonly number[])[], fleets: readonly string[]): Outcome {
  const all = ms.flat()
  const measurement = (figure: string, ours: number, of: 'middle' | 'most'): Measurement => ({
    name: figure,
    unit: 's',
    ours,
    peers: peers.map((peer) => ({ name: peer.name, value: peer[of], ratio: peer[of] / ours, spread: undefined })),
    nsByRound: { ours: ms.map((round) => median(round) * 1e6) },
  })
  const seconds = (value: number): string => (value / 1000).toFixed(2)
  const rounds = ms.map((round) => `${seconds(median(round))} (${round.length} shards, the last ${seconds(Math.max(...round))})`)
  const report = `${name}: from the moment at which a worker is ${verb} to the first record of each of its shards in another worker's handler, failoverTimeMs ${FAILOVER_MS}, ${WORKERS} workers at first, ${SHARDS} shards, each with a record every ${LOAD_EVERY_MS} ms
  seconds, worker by worker: ${rounds.join(', ')}
  ${fleets.join('\n  ')}; each shard's in order
`
  const measurements = [
    measurement(name, median(all) / 1000, 'middle'),
    measurement(`${name}-max`, Math.max(...all) / 1000, 'most'),
  ]
  return { measurements, report }
}
