import { setTimeout as delay } from 'node:timers/promises'
import { type KinesisClient, ListShardsCommand, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { WrongResult } from './rounds.js'

/** A record to every shard, again and again; who handled which, and when. */
export class FleetLoad {
  readonly shardIds: readonly string[]
  readonly #client: KinesisClient
  readonly #stream: string
  readonly #hashKeys: readonly string[]
  readonly #everyMs: number
  /** By shard: when the last record came to each worker. */
  readonly #lastAt = new Map<string, Map<string, number>>()
  readonly #firstCalls = new Map<string, number[]>()
  readonly #handled = new Set<string>()
  readonly #waiting = new Set<() => void>()
  #calls = 0
  #put = 0
  #stopped = false
  #running: Promise<void> = Promise.resolve()

  private constructor(client: KinesisClient, stream: string, everyMs: number, shards: readonly (readonly [string, string])[]) {
    this.#client = client
    this.#stream = stream
    this.#everyMs = everyMs
    this.shardIds = shards.map(([shardId]) => shardId)
    this.#hashKeys = shards.map(([, hashKey]) => hashKey)
  }

  /** Begins to put. At most 500 shards. */
  static async start(client: KinesisClient, stream: string, everyMs: number): Promise<FleetLoad> {
    const { Shards = [] } = await client.send(new ListShardsCommand({ StreamName: stream }))
    const shards = Shards.map(({ ShardId, HashKeyRange }) => [ShardId!, HashKeyRange!.StartingHashKey!] as const)
    const load = new FleetLoad(client, stream, everyMs, shards)
    load.#running = load.#run()
    load.#running.catch(() => {})
    return load
  }

  /** Records handled more than once, each time but the first. */
  get repeated(): number {
    return this.#calls - this.#handled.size
  }

  get put(): number {
    return this.#put * this.shardIds.length
  }

  handled(worker: string, shardId: string, text: string): void {
    this.#calls++
    const byWorker = this.#lastAt.get(shardId) ?? new Map<string, number>()
    this.#lastAt.set(shardId, byWorker.set(worker, performance.now()))
    const record = `${shardId}:${text}`
    if (!this.#handled.has(record)) {
      this.#handled.add(record)
      const numbers = this.#firstCalls.get(shardId) ?? []
      numbers.push(Number(text))
      this.#firstCalls.set(shardId, numbers)
    }
    for (const check of this.#waiting) check()
  }

  /** When a record of this shard has come to somebody else than `worker` after `since`. */
  async handledElsewhere(shardId: string, worker: string, since: number, withinMs: number): Promise<number> {
    const found = (): number | undefined => {
      for (const [other, at] of this.#lastAt.get(shardId) ?? []) if (other !== worker && at > since) return at
      return undefined
    }
    return await this.#until(found, withinMs, () => `no record of ${shardId} came to another worker`)
  }

  /** Resolves when everything that was put has been handled. Throws WrongResult if the first calls were out of order. */
  async verified(withinMs: number): Promise<void> {
    this.#stopped = true
    await this.#running
    const complete = (): true | undefined => (this.#handled.size === this.put ? true : undefined)
    await this.#until(complete, withinMs, () => `${this.put - this.#handled.size} of ${this.put} records were not handled`)
    for (const [shardId, numbers] of this.#firstCalls) {
      if (numbers.some((number, i) => number !== i)) throw new WrongResult(`${shardId} was not handled in its order`)
    }
  }

  stop(): void {
    this.#stopped = true
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const Data = Buffer.from(String(this.#put))
      const Records = this.#hashKeys.map((ExplicitHashKey) => ({ Data, PartitionKey: 'fleet', ExplicitHashKey }))
      const { FailedRecordCount } = await this.#client.send(new PutRecordsCommand({ StreamName: this.#stream, Records }))
      if (FailedRecordCount !== 0) throw new Error(`${FailedRecordCount} records were refused`)
      this.#put++
      await delay(this.#everyMs)
    }
  }

  #until<T>(found: () => T | undefined, withinMs: number, otherwise: () => string): Promise<T> {
    return new Promise((resolve, reject) => {
      const tooLate = setTimeout(() => {
        this.#waiting.delete(check)
        reject(new WrongResult(`${otherwise()} within ${withinMs / 1000} s`))
      }, withinMs)
      const check = (): void => {
        const value = found()
        if (value === undefined) return
        this.#waiting.delete(check)
        clearTimeout(tooLate)
        resolve(value)
      }
      this.#waiting.add(check)
      check()
    })
  }
}
