import type { AttributeValue, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { Consumer, type EachRecord, type RunOptions } from '@shardwise/consumer'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { KinesisModel, KinesisModelError } from '@shardwise/local/model'
import { DynamoDBService } from '../test/simulation/dynamodb-service.js'
import { type Measurement, WrongResult } from './rounds.js'
import type { Outcome, Scenarios } from './scenario.js'
import { VirtualClock } from './virtual-clock.js'

const STREAM = 'a-stream-with-a-name-of-usual-length'
const FAILOVER_MS = 10_000
const CHECKPOINT_MS = 5_000
/** As many as come in that time. */
const RECORDS_A_CHECKPOINT = CHECKPOINT_MS / 1000
/** For the shares to be found, and again for the load to become steady. */
const SETTLE_MS = 60_000
const HOUR_MS = 3_600_000

/**
 * KCL 2.x and 3.x: a renewal every 10 s / 3 - 25 ms for each lease (LeaseRenewer: renewerTaskIntervalMs is a third of the failover time
 * less epsilon), and an update for each checkpoint.
 */
const KCL_RENEWALS = HOUR_MS / (FAILOVER_MS / 3 - 25)
const KCL_WRITES = KCL_RENEWALS + HOUR_MS / CHECKPOINT_MS

/** Requests to DynamoDB, exactly: the whole consumer in virtual time, on the model of Kinesis and of DynamoDB that the simulation has. */
export const leaseCost: Scenarios = { 'lease-cost': { ofWallClock: false, run } }

interface Case {
  readonly name: string
  readonly shards: number
  readonly workers: number
  /** One to each shard in a second. */
  readonly records: boolean
  readonly manual: boolean
  readonly lastsMs: number
}

const usual = { shards: 20, workers: 2, records: true, manual: false, lastsMs: HOUR_MS / 6 }
const CASES: readonly [Case, Case, ...Case[]] = [
  { ...usual, name: 'checkpointIntervalMs 5,000' },
  { ...usual, name: 'checkpoint() every 5 s', manual: true },
  { ...usual, name: 'idle', records: false },
  { ...usual, name: 'idle, large', records: false, shards: 1000, workers: 10, lastsMs: HOUR_MS / 60 },
]

interface Cost {
  readonly of: Case
  /** Of each lease in an hour. */
  readonly writes: number
  readonly writeUnits: number
  /** Of each worker in an hour. */
  readonly reads: number
  readonly readUnits: number
  /** By operation, of all. */
  readonly requests: ReadonlyMap<string, number>
}

async function run(_: number, progress: (step: string) => void): Promise<Outcome> {
  const costs: Cost[] = []
  for (const each of CASES) {
    progress(`${each.name}, ${each.shards} leases`)
    costs.push(await costOf(each))
  }
  const [automatic, manual] = costs as [Cost, Cost, ...Cost[]]
  const measurement = (name: string, ours: number): Measurement => ({
    ...{ name, unit: 'writes/lease/h', ours, nsByRound: { ours: [ours] } },
    peers: [{ name: 'KCL (derived)', value: KCL_WRITES, ratio: KCL_WRITES / ours, spread: undefined }],
  })
  return {
    measurements: [measurement('lease-cost', automatic.writes), measurement('lease-cost-manual', manual.writes)],
    report: report(costs),
  }
}

/** As the service counts: names and values, in UTF-8. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html */
function bytesOf(item: Readonly<Record<string, AttributeValue>>): number {
  let bytes = 0
  for (const [name, { S, N, L, SS }] of Object.entries(item)) {
    bytes += name.length
    if (S !== undefined) bytes += Buffer.byteLength(S)
    else if (N !== undefined) bytes += Math.ceil(N.length / 2) + 1
    else for (const each of [...(L ?? []).map((value) => value.S ?? ''), ...(SS ?? [])]) bytes += Buffer.byteLength(each) + 1
  }
  return bytes
}

async function costOf(each: Case): Promise<Cost> {
  const { shards, workers, records, manual, lastsMs } = each
  const clock = new VirtualClock()
  const model = new KinesisModel({ clock, random: seededRandom(7), transitionMs: { create: 0, delete: 0, update: 0 } })
  model.call('CreateStream', { StreamName: STREAM, ShardCount: shards })
  const { Shards } = model.call('ListShards', { StreamName: STREAM }) as Listing
  const counted = { writes: 0, writeUnits: 0, reads: 0, readUnits: 0 }
  const requests = new Map<string, number>()
  const service = new DynamoDBService(
    {
      get now() {
        return clock.now()
      },
    },
    seededRandom(8),
    ({ before, after }) => {
      counted.writeUnits += Math.ceil(Math.max(bytesOf(before ?? {}), bytesOf(after ?? {})) / 1024)
    },
  )
  const dynamodb = {
    send: async (command: { readonly constructor: { readonly name: string }; readonly input: never }) => {
      const operation = command.constructor.name.replace(/Command$/, '')
      requests.set(operation, (requests.get(operation) ?? 0) + 1)
      if (/^(Put|Update|Delete)Item$/.test(operation)) counted.writes++
      const answer = service.perform('worker', operation, command.input) as { Items?: object[]; Item?: object }
      if (/^(Scan|GetItem|Query)$/.test(operation)) {
        const found = (answer.Items ?? (answer.Item === undefined ? [] : [answer.Item])) as Record<string, AttributeValue>[]
        counted.reads++
        const { ConsistentRead = false } = command.input as { ConsistentRead?: boolean }
        counted.readUnits += Math.ceil(found.reduce((sum, item) => sum + bytesOf(item), 0) / 4096) / (ConsistentRead ? 1 : 2)
      }
      return answer
    },
  }
  const handled = new Map<string, number>()
  const eachRecord: EachRecord = async ({ data, shardId }, { checkpoint }) => {
    const number = Number(new TextDecoder().decode(data))
    const expected = handled.get(shardId) ?? 0
    if (number !== expected) throw new WrongResult(`${shardId}: record ${number} was handled where ${expected} was due`)
    handled.set(shardId, number + 1)
    if (manual && number % RECORDS_A_CHECKPOINT === 0) await checkpoint()
  }
  const runOptions: RunOptions = manual ? { checkpoint: 'manual' } : {}
  const consumers = Array.from({ length: workers }, (_, i) => {
    return new Consumer({
      ...{ stream: STREAM, applicationName: 'lease-cost', workerId: `ip-10-0-0-${i}.eu-central-1.compute.internal`, kcl: 'off' },
      ...{ kinesis: portOf(model), dynamodb: dynamodb as unknown as DynamoDBClient, clock, random: seededRandom(i) },
      ...{ failoverTimeMs: FAILOVER_MS, initialPosition: 'trim-horizon', idleTimeBetweenReadsMs: records ? 1500 : 60_000 },
      ...(manual ? {} : { checkpointIntervalMs: CHECKPOINT_MS }),
    })
  })
  const runs = consumers.map((consumer) => consumer.run({ eachRecord }, runOptions))
  let put = 0
  const load = async (ms: number): Promise<void> => {
    if (!records) return await clock.pass(ms)
    for (const end = clock.now() + ms; clock.now() < end; put++) {
      for (const { HashKeyRange } of Shards) {
        const Data = new TextEncoder().encode(String(put))
        model.call('PutRecord', {
          ...{ StreamName: STREAM, PartitionKey: 'key', Data },
          ExplicitHashKey: HashKeyRange.StartingHashKey,
        })
      }
      await clock.pass(1000)
    }
  }
  // Shares are found, and kept from here on: a shard that moves would repeat what has no checkpoint.
  await clock.pass(SETTLE_MS)
  await load(SETTLE_MS)
  Object.assign(counted, { writes: 0, writeUnits: 0, reads: 0, readUnits: 0 })
  requests.clear()
  await load(lastsMs)
  const cost = {
    of: each,
    writes: counted.writes / shards / (lastsMs / HOUR_MS),
    writeUnits: counted.writeUnits / shards / (lastsMs / HOUR_MS),
    reads: counted.reads / workers / (lastsMs / HOUR_MS),
    readUnits: counted.readUnits / workers / (lastsMs / HOUR_MS),
    requests: new Map(requests),
  }
  const held = consumers.map((consumer) => consumer.snapshot().shards.filter(({ worker }) => worker !== undefined).length)
  if (held.some((count) => count !== shards / workers)) throw new WrongResult(`the workers hold ${held.join(', ')} leases`)
  await clock.pass(10_000)
  const short = [...handled].find(([, count]) => count !== put)
  if (records && (handled.size !== shards || short !== undefined)) {
    throw new WrongResult(`${each.name}: ${put} records of each shard were put, and of ${short?.[0]} ${short?.[1]} handled`)
  }
  await clock.until(Promise.all(consumers.map((consumer) => consumer.stop())), 60_000)
  await Promise.all(runs)
  return cost
}

interface Listing {
  readonly Shards: readonly { readonly HashKeyRange: { readonly StartingHashKey: string } }[]
}

function portOf(model: KinesisModel): KinesisPort {
  const call = (operation: string) => async (input: object) => {
    try {
      return model.call(operation, input) as never
    } catch (error) {
      if (!(error instanceof KinesisModelError)) throw error
      throw Object.assign(new Error(error.message), { name: error.code, $metadata: { httpStatusCode: error.statusCode } })
    }
  }
  return {
    putRecords: call('PutRecords'),
    getShardIterator: call('GetShardIterator'),
    getRecords: call('GetRecords'),
    listShards: call('ListShards'),
    describeStreamSummary: call('DescribeStreamSummary'),
  }
}

function report(costs: readonly Cost[]): string {
  const heads = ['', 'leases', 'workers', 'writes/lease/h', 'write units', 'reads/worker/h', 'read units', 'of all']
  const rows = costs.map(({ of, writes, writeUnits, reads, readUnits, requests }) => [
    ...[
      of.name,
      String(of.shards),
      String(of.workers),
      writes.toFixed(1),
      writeUnits.toFixed(1),
      reads.toFixed(0),
      readUnits.toFixed(0),
    ],
    [...requests].map(([operation, count]) => `${operation} ${count}`).join(', '),
  ])
  const lines = [heads, ...rows]
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  const table = lines.map(
    (line) =>
      `  ${line
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd()}\n`,
  )
  return `lease-cost: failoverTimeMs ${FAILOVER_MS}, by virtual time; KCL (derived): ${KCL_RENEWALS.toFixed(0)} renewals + ${HOUR_MS / CHECKPOINT_MS} checkpoints\n${table.join('')}`
}
