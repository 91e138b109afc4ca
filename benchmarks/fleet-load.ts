import { setTimeout as delay } from 'node:timers/promises'
import { PutRecordsCommand } from '@aws-sdk/client-kinesis'
import type { OwnStream } from './elsewhere.js'
import { WrongResult } from './rounds.js'

/** A record to every shard, again and again; who handled which, and when. */
export class FleetLoad {
  readonly shardIds: readonly string[]
  readonly #stream: OwnStream
  readonly #everyMs: number
  /** By shard: when the last record came to each worker. */
  readonly #lastAt = new Map<string, Map<string, number>>()
  readonly #firstCalls = new Map<string, number[]>()
  readonly #handled = new Set<string>()
  readonly #waiting = new Set<() => void>()
  /** Requests of which the stream did not take all at once: it waited, and so did the others' records. */
  refusals = 0
  #calls = 0
  #put = 0
  #stopped = false
  readonly #running: Promise<void>

  /** Begins to put. */
  constructor(stream: OwnStream, everyMs: number) {
    this.#stream = stream
    this.#everyMs = everyMs
    this.shardIds = stream.shards.map(({ shardId }) => shardId)
    this.#running = this.#run()
    this.#running.catch(() => {})
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
      this.refusals += await putToEach(this.#stream, () => String(this.#put))
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

/** The most of one PutRecords. */
const PUT_RECORDS = 500
const REFUSED_PAUSE_MS = 100
const MOST_REFUSALS = 50

/** One record to every shard, the text by the shard's place among them. What is refused goes again; resolves to how often that was. */
export async function putToEach(
  { client, name: StreamName, shards }: OwnStream,
  text: (shard: number) => string,
): Promise<number> {
  let refusals = 0
  let left = shards.map(({ range }, i) => ({
    ...{ Data: Buffer.from(text(i)), PartitionKey: 'fleet', ExplicitHashKey: String(range.start) },
  }))
  while (left.length > 0) {
    const sent = left.slice(0, PUT_RECORDS)
    const { Records = [] } = await client.send(new PutRecordsCommand({ StreamName, Records: sent }))
    const refused = sent.filter((_, i) => Records[i]?.ErrorCode !== undefined)
    left = [...refused, ...left.slice(PUT_RECORDS)]
    if (refused.length === 0) continue
    if (++refusals > MOST_REFUSALS) {
      const why = Records.find(({ ErrorCode }) => ErrorCode !== undefined)
      throw new Error(`${StreamName} refused records ${refusals} times: ${why?.ErrorCode}: ${why?.ErrorMessage}`)
    }
    await delay(REFUSED_PAUSE_MS)
  }
  return refusals
}
