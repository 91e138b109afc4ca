import type { PutRecordsRequestEntry } from '@aws-sdk/client-kinesis'
import { Producer, type ProducerOptions } from '@shardwise/producer'
import { AGGREGATE_BYTES } from './aggregate-codec.js'
import type { PutPlace } from './http-place.js'
import { KinesisWritable } from './kinesis-writable.js'
import { indexIn, type MarkedRecord } from './marked-records.js'
import { type PeerAggregate, PeerAggregates, PeerRouter, REQUEST_BYTES } from './producer.js'
import { deliver, entryOf, IN_FLIGHT, MAX_BATCH, sdkClient } from './sdk-peer.js'

/** The default of a producer of ours. A peer has no better reason than it to wait longer, or less. */
export const LINGER_MS = 100

/** One way to bring records to Kinesis as they come, which tells of each that it was acknowledged. */
export interface StreamingProducer {
  readonly name: string
  open(place: PutPlace, hooks: AckHooks): Promise<OpenStreaming>
}

export interface AckHooks {
  acknowledged(index: number): void
  /** Nothing that it does counts any more. */
  failed(error: Error): void
}

export interface OpenStreaming {
  /** A promise where the buffer is full, or too much is under way: what comes next is to wait for it. */
  put(record: MarkedRecord): Promise<void> | undefined
  /** Resolves when everything has been acknowledged. */
  flush(): Promise<void>
  close(): Promise<void>
}

export function oursStreaming(name: string, options: Partial<ProducerOptions> = {}): StreamingProducer {
  return {
    name,
    async open({ connection, stream, shardRatePercent }, { acknowledged, failed }) {
      const producer = new Producer({ ...connection, stream, shardRatePercent, ...options })
      await producer.start()
      const outcome = (error: Error | undefined, _: unknown, { index }: { readonly index: number }): void => {
        if (error === undefined) acknowledged(index)
        else failed(error)
      }
      const offerLate = async (record: MarkedRecord): Promise<void> => {
        do await producer.ready()
        while (!producer.offer(record, outcome))
      }
      return {
        put: (record) => (producer.offer(record, outcome) ? undefined : offerLate(record)),
        flush: () => producer.flush(),
        close: () => producer.close(),
      }
    },
  }
}

/** A request when there are 500 records, or when the first of fewer has waited for the linger. */
export function stockSdkStreaming(name: string, keepAlive: boolean): StreamingProducer {
  return {
    name,
    async open(place, hooks) {
      const client = sdkClient(place, keepAlive)
      const requests = new Requests(hooks)
      let waiting: MarkedRecord[] = []
      const linger = new Linger(() => {
        const batch = waiting
        waiting = []
        const entries = batch.map(({ partitionKey, data }) => ({ PartitionKey: partitionKey, Data: data }))
        requests.start(deliver(client, place.stream, entries, (position) => hooks.acknowledged(batch[position]!.index)))
      })
      return {
        put(record) {
          linger.begin()
          if (waiting.push(record) === MAX_BATCH) linger.end()
          return requests.wait()
        },
        flush() {
          linger.end()
          return requests.all()
        },
        close: async () => client.destroy(),
      }
    },
  }
}

/** An open aggregate for each shard, full ones in requests as large as ours, and all that there is when the first record has waited for the linger. */
export function aggregatesStreaming(name: string): StreamingProducer {
  return {
    name,
    async open(place, hooks) {
      const client = sdkClient(place, true)
      const requests = new Requests(hooks)
      const aggregates = new PeerAggregates(new PeerRouter(place.shards))
      const indexes = new Map<PeerAggregate, number[]>()
      let full: PeerAggregate[] = []
      const send = (all: readonly PeerAggregate[]): void => {
        const entries: PutRecordsRequestEntry[] = all.map(entryOf)
        const members = all.map((aggregate) => indexes.get(aggregate)!)
        for (const aggregate of all) indexes.delete(aggregate)
        requests.start(deliver(client, place.stream, entries, (position) => members[position]!.forEach(hooks.acknowledged)))
      }
      const linger = new Linger(() => {
        send([...full, ...aggregates.takeOpen()])
        full = []
      })
      return {
        put(record) {
          linger.begin()
          const aggregate = aggregates.add(record)
          const known = indexes.get(aggregate)
          if (known === undefined) indexes.set(aggregate, [record.index])
          else known.push(record.index)
          if (!aggregate.isFull) return undefined
          full.push(aggregate)
          if ((full.length + 1) * AGGREGATE_BYTES <= REQUEST_BYTES) return undefined
          send(full)
          full = []
          return requests.wait()
        },
        flush() {
          linger.end()
          return requests.all()
        },
        close: async () => client.destroy(),
      }
    },
  }
}

export function writableStreaming(name: string): StreamingProducer {
  return {
    name,
    async open(place, { acknowledged, failed }) {
      const keys = new Map<object, string>()
      const writable = new KinesisWritable(place, LINGER_MS / 1000, {
        keyOf(value) {
          const key = keys.get(value)!
          keys.delete(value)
          return key
        },
        accepted: (data) => acknowledged(indexIn(data)),
        failed,
      })
      return {
        put({ partitionKey, data }) {
          const value = JSON.parse(data.toString()) as object
          keys.set(value, partitionKey)
          return writable.write(value)
        },
        flush: () => writable.flush(),
        close: async () => writable.close(),
      }
    },
  }
}

/** Ends by itself when it has lasted, counted from the first record that waits. */
class Linger {
  readonly #ended: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(ended: () => void) {
    this.#ended = ended
  }

  begin(): void {
    this.#timer ??= setTimeout(() => this.end(), LINGER_MS)
  }

  /** Harmless where nothing waits. */
  end(): void {
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#ended()
  }
}

/** Requests under way, of which a peer may have so many. */
class Requests {
  readonly #underWay = new Set<Promise<void>>()
  readonly #hooks: AckHooks

  constructor(hooks: AckHooks) {
    this.#hooks = hooks
  }

  start(request: Promise<void>): void {
    const done = request.catch(this.#hooks.failed).then(() => {
      this.#underWay.delete(done)
    })
    this.#underWay.add(done)
  }

  /** Undefined while there are fewer than the peers may have. */
  wait(): Promise<void> | undefined {
    return this.#underWay.size < IN_FLIGHT ? undefined : Promise.race(this.#underWay)
  }

  async all(): Promise<void> {
    await Promise.all(this.#underWay)
  }
}
