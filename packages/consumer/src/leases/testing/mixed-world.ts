import { sleep } from '@shardwise/core/clock'
import type { Shard } from '@shardwise/core/shard-map'
import { parentIds } from '../../shards/shard-family.js'
import { DynamoDBLeaseStore } from '../dynamodb-lease-store.js'
import type { KclEvent } from '../kcl-event.js'
import { OWNER_INDEX } from '../kcl-tables.js'
import { DynamoDBTables } from './dynamodb-tables.js'
import { JavaAssignedWorker } from './java-leader-model.js'
import type { JavaShard, JavaStream } from './java-shard.js'
import { type Item, JavaTaker, type JavaWorker, type JavaWorkerOptions } from './java-worker-model.js'
import { type SimulatedShard, type SimulatedWorker, type Stream, TABLE, World } from './simulated-world.js'

export type Layout = 'leases-only' | 'three-tables' | 'single-table'

/** A world in which Java's workers share the table. */
export class MixedWorld extends World {
  readonly java: JavaWorker[] = []
  readonly db: DynamoDBTables
  readonly #layout: Layout

  constructor(options: {
    seed?: number
    stream: Stream
    failoverTimeMs: number
    layout: Layout
    index?: boolean
    finishedLeaseKeptMs?: number
  }) {
    const tables = new DynamoDBTables()
    tables.createTable(TABLE, 'leaseKey', ...(options.index === false ? [] : [OWNER_INDEX]))
    if (options.layout === 'three-tables') {
      tables.createTable(`${TABLE}-CoordinatorState`, 'key')
      tables.createTable(`${TABLE}-WorkerMetricStats`, 'wid')
    }
    const store = new DynamoDBLeaseStore({ dynamodb: tables, tableName: TABLE, streamName: 'flights', clock: new NoClock() })
    super({ ...options, seed: options.seed ?? 1, store, tables })
    this.db = tables
    this.#layout = options.layout
  }

  /** KCL 2.x. */
  addTaker(workerId: string): JavaTaker {
    return this.#started(new JavaTaker(this.#javaOptions(workerId)))
  }

  /** KCL 3.x. */
  addAssigned(workerId: string): JavaAssignedWorker {
    if (this.#layout === 'leases-only') throw new Error('KCL 3.x has a layout of its own')
    return this.#started(new JavaAssignedWorker({ ...this.#javaOptions(workerId), layout: this.#layout }))
  }

  /** `Migration3.0`. */
  setClientVersion(cv: string): void {
    const single = this.#layout === 'single-table'
    const [table, key] = single ? [TABLE, 'leaseKey'] : [`${TABLE}-CoordinatorState`, 'key']
    const entityType = { entityType: { S: 'CLIENT_VERSION_MIGRATION' } }
    this.db.put(table, { [key]: { S: 'Migration3.0' }, cv: { S: cv }, ...(single && entityType) })
  }

  /** A lease as KCL creates it. */
  createLease(leaseKey: string, changes: Item = {}): void {
    this.db.put(TABLE, {
      leaseKey: { S: leaseKey },
      leaseCounter: { N: '0' },
      ownerSwitchesSinceCheckpoint: { N: '0' },
      checkpoint: { S: 'TRIM_HORIZON' },
      checkpointSubSequenceNumber: { N: '0' },
      ...changes,
    })
  }

  row(leaseKey: string): Item | undefined {
    return this.db.row(TABLE, leaseKey)
  }

  /** Leases that have not ended by their owner, as the table has them. */
  owners(): ReadonlyMap<string | undefined, readonly string[]> {
    const owners = new Map<string | undefined, string[]>()
    for (const row of this.db.rows(TABLE)) {
      if (row.leaseCounter === undefined || row.checkpoint?.S === 'SHARD_END') continue
      const owner = row.leaseOwner?.S
      owners.set(owner, [...(owners.get(owner) ?? []), row.leaseKey!.S!])
    }
    return owners
  }

  count(workerId: string): number {
    return this.owners().get(workerId)?.length ?? 0
  }

  /** What would have thrown in Java. */
  get javaErrors(): readonly string[] {
    return this.java.flatMap(({ errors }) => errors)
  }

  #started<T extends JavaWorker>(worker: T): T {
    this.java.push(worker)
    worker.start()
    return worker
  }

  #javaOptions(workerId: string): JavaWorkerOptions {
    const { clock, random, failoverTimeMs, stream } = this
    const childrenOf = (shardId: string): readonly JavaShard[] => {
      const children = [...stream.values()].filter(({ shard }) => parentIds(shard).includes(shardId))
      return children.map(({ shard }) => ({ shardId: shard.shardId, parents: parentIds(shard) }))
    }
    const open: JavaStream['open'] = (shardId, from, holds) => {
      let position = /^\d+$/.test(from.checkpoint) ? Number(from.checkpoint) : 0
      return {
        next: async () => {
          await sleep(clock, 20 + random() * 200)
          if (!holds()) return { is: 'processed', upTo: undefined }
          if (position === stream.get(shardId)!.records) return { is: 'end', children: childrenOf(shardId) }
          this.deliver({ leaseKey: shardId, shardId }, ++position, workerId)
          return { is: 'processed', upTo: { checkpoint: `${position}`, sub: 0 } }
        },
      }
    }
    return { tables: this.db, tableName: TABLE, workerId, failoverTimeMs, clock, random, stream: { open } }
  }
}

/** Open shards, with records without end. */
export function openShards(...shardIds: string[]): Map<string, SimulatedShard> {
  const count = BigInt(shardIds.length)
  const edge = (index: number): bigint => ((1n << 128n) * BigInt(index)) / count
  return new Map(
    shardIds.map((shardId, index) => {
      const shard: Shard = { shardId, range: { start: edge(index), end: edge(index + 1) - 1n }, startingSequenceNumber: '1' }
      return [shardId, { shard, records: undefined }]
    }),
  )
}

/** What a worker found out about Java's. */
export function roles(worker: SimulatedWorker): readonly Extract<KclEvent, { type: 'kcl-role' }>[] {
  return worker.events.flatMap((event) => (event.type === 'kcl-role' ? [event] : []))
}

/** Opening the store in place costs no time. */
class NoClock {
  now(): number {
    return 0
  }
  wallTime(): number {
    return 0
  }
  schedule(): never {
    throw new Error('The table is there')
  }
}
