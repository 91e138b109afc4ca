import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb'
import type { ConsumerOptions } from '@shardwise/consumer'
import { expect, it } from 'vitest'
import { CREDENTIALS, REGION, StreamHarness } from './consumer-harness.js'
import type { FromCrashWorker, ToCrashWorker } from './crash-worker.js'
import { RETRIEVALS } from './retrievals.js'

/** Long enough that a starved machine is not taken for a dead worker. */
const FAILOVER_MS = 6000
/** One for each of four shards of equal width. */
const KEYS = ['key-1', 'key-3', 'key-0', 'key-8'] as const

/** All that workers report, in order of arrival; the messages of one worker keep their order. */
class Log {
  readonly entries: (FromCrashWorker & { readonly by: string })[] = []
  readonly #checks = new Set<() => void>()

  add(by: string, message: FromCrashWorker): void {
    this.entries.push({ by, ...message })
    for (const check of this.#checks) check()
  }

  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!holds()) return
        this.#checks.delete(check)
        resolve()
      }
      this.#checks.add(check)
      check()
    })
  }

  calls(by?: string): Extract<FromCrashWorker & { by: string }, { type: 'called' }>[] {
    return this.entries.flatMap((entry) => (entry.type === 'called' && (by ?? entry.by) === entry.by ? [entry] : []))
  }

  /** Shards that this worker has taken and not stopped at since. */
  held(by: string): string[] {
    const held = new Set<string>()
    for (const entry of this.entries) {
      if (entry.by !== by) continue
      if (entry.type === 'taken') held.add(entry.shardId)
      if (entry.type === 'stopped') held.delete(entry.shardId)
    }
    return [...held].sort()
  }
}

class CrashWorker implements AsyncDisposable {
  readonly name: string
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  /** Calls are confirmed at once, but for these texts. */
  readonly withheld = new Map<string, number>()

  constructor(
    harness: StreamHarness,
    log: Log,
    options: Partial<ConsumerOptions> & { readonly name: string; readonly withhold?: (text: string) => boolean },
  ) {
    const { name, withhold, ...more } = options
    this.name = name
    this.#child = fork(fileURLToPath(new URL('./crash-worker.ts', import.meta.url)), {
      execArgv: ['--import', 'tsx', '-C', 'shardwise-source'],
    })
    this.#exited = once(this.#child, 'exit')
    this.#child.on('message', (message: FromCrashWorker) => {
      if (message.type === 'called') {
        if (withhold?.(message.text) === true) this.withheld.set(message.text, message.call)
        else this.confirm(message.call)
      }
      log.add(this.name, message)
    })
    const { region: _, credentials: __, ...rest } = harness.options({ failoverTimeMs: FAILOVER_MS, workerId: name, ...more })
    this.#send({ type: 'run', options: rest })
  }

  confirm(call: number): void {
    this.#send({ type: 'confirm', call })
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async stop(): Promise<void> {
    this.#send({ type: 'stop' })
    await this.#exited
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.#exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  #send(message: ToCrashWorker): void {
    if (this.#child.connected) this.#child.send(message, () => {})
  }
}

/** The checkpoint and owner of each lease, as the table has them now. */
async function leaseRows(harness: StreamHarness): Promise<Map<string, { owner: string | undefined; checkpoint: bigint }>> {
  const dynamodb = new DynamoDBClient({ endpoint: harness.local.dynamodbEndpoint, region: REGION, credentials: CREDENTIALS })
  const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'delays', ConsistentRead: true }))
  dynamodb.destroy()
  return new Map(
    Items.map(({ leaseKey, leaseOwner, checkpoint }) => {
      const at = /^\d+$/.test(checkpoint?.S ?? '') ? BigInt(checkpoint!.S!) : -1n
      return [leaseKey!.S!, { owner: leaseOwner?.S?.split(':')[0], checkpoint: at }]
    }),
  )
}

/** Puts `count` records on each shard. Their texts are `key:number`. */
async function putOnAll(harness: StreamHarness, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n++) for (const key of KEYS) await harness.put(key, `${key}:${n}`)
}

/** Nothing lost, and first deliveries in order per key. */
function expectComplete(log: Log, perKey: number): void {
  const first = [...new Set(log.calls().map(({ text }) => text))]
  for (const key of KEYS) {
    const numbers = first.filter((text) => text.startsWith(`${key}:`)).map((text) => Number(text.split(':')[1]))
    expect(numbers).toEqual(Array.from({ length: perKey }, (_, i) => i))
  }
}

it.each(RETRIEVALS)(
  '%s: the shards of a worker that was killed are processed by another, and nothing is lost',
  async (_, options) => {
    await using harness = await StreamHarness.start(4)
    const log = new Log()
    await using one = new CrashWorker(harness, log, { name: 'one', withhold: (text) => text.endsWith(':2'), ...options })
    await using two = new CrashWorker(harness, log, { name: 'two', ...options })
    await log.until(() => log.held('one').length === 2 && log.held('two').length === 2)
    await putOnAll(harness, 0, 4)
    // In the middle of a handler call on each of its shards.
    await log.until(() => one.withheld.size === 2)
    const orphans = log.held('one')
    const before = log.entries.length
    await one.kill()
    await log.until(() => {
      const since = log.entries.slice(before)
      return orphans.every((shardId) =>
        since.some((entry) => entry.by === 'two' && entry.type === 'called' && entry.shardId === shardId),
      )
    })
    await putOnAll(harness, 4, 2)
    await log.until(() => new Set(log.calls().map(({ text }) => text)).size === KEYS.length * 6)
    await two.stop()
    expectComplete(log, 6)
    expect(log.entries.filter(({ type }) => type === 'failed')).toEqual([])
    for (const { owner } of (await leaseRows(harness)).values()) expect(owner).toBeUndefined()
  },
)

it.each(RETRIEVALS)(
  '%s: a worker that was paused for longer than the failover time starts no handler and lands no checkpoint under a lease it has lost',
  async (_, options) => {
    await using harness = await StreamHarness.start(4)
    const log = new Log()
    // One of its shards is in the middle of a handler call when it is paused, with more records in hand; the other waits for records.
    let withheldKey: string | undefined
    await using one = new CrashWorker(harness, log, {
      ...options,
      name: 'one',
      withhold: (text) => {
        if (!text.endsWith(':1')) return false
        withheldKey ??= text.split(':')[0]!
        return text === `${withheldKey}:1`
      },
    })
    await using two = new CrashWorker(harness, log, { name: 'two', ...options })
    await log.until(() => log.held('one').length === 2 && log.held('two').length === 2)
    await putOnAll(harness, 0, 4)
    await log.until(() => one.withheld.size === 1 && new Set(log.calls().map(({ text }) => text)).size === KEYS.length * 4 - 2)
    const shards = log.held('one')

    one.signal('SIGSTOP')
    await putOnAll(harness, 4, 2)
    const paused = log.entries.length
    await log.until(() => log.held('two').length === 4)
    await log.until(() => new Set(log.calls().map(({ text }) => text)).size === KEYS.length * 6)
    const rows = await leaseRows(harness)
    for (const shardId of shards) expect(rows.get(shardId)?.owner).toBe('two')

    // The first thing it finds when it wakes: the handler call is done, the next record is in hand.
    one.confirm([...one.withheld.values()][0]!)
    expect(log.entries.slice(paused).filter(({ by }) => by === 'one')).toEqual([])
    one.signal('SIGCONT')
    await log.until(() => {
      const since = log.entries.slice(paused)
      return shards.every((shardId) =>
        since.some((entry) => entry.by === 'one' && entry.type === 'stopped' && entry.shardId === shardId),
      )
    })
    const taken = new Set<string>()
    for (const entry of log.entries.slice(paused)) {
      if (entry.by !== 'one') continue
      if (entry.type === 'taken') taken.add(entry.shardId)
      if (entry.type === 'called' && !taken.has(entry.shardId)) expect.fail(`${entry.text} was handled after the lease was lost`)
    }
    for (const [shardId, { checkpoint }] of await leaseRows(harness))
      expect(checkpoint).toBeGreaterThanOrEqual(rows.get(shardId)!.checkpoint)

    // It is a worker like any other again: it gets its share by request.
    await log.until(() => log.held('one').length === 2 && log.held('two').length === 2)
    await putOnAll(harness, 6, 1)
    await log.until(() => new Set(log.calls().map(({ text }) => text)).size === KEYS.length * 7)
    await Promise.all([one.stop(), two.stop()])
    expectComplete(log, 7)
    // What the handler call in hand had been given is repeated, and what was completed since the last renewal; nothing else.
    const again = log.calls().length - KEYS.length * 7
    expect(again).toBeLessThanOrEqual(shards.length * 4)
  },
)
