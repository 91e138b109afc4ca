import { systemClock } from '@shardwise/core/clock'
import type { DeliveredRecord, FromFleetWorker } from './fleet-worker.js'

/** `at`: monotonic milliseconds of its arrival. */
export type LogEntry = FromFleetWorker & { readonly by: string; readonly at: number }

export interface Repeat {
  readonly text: string
  readonly position: string
  /** Who got it, in order. */
  readonly by: readonly string[]
}

/** A wait that lasts longer than this has failed, and says what it waited for and what there was. */
const PATIENCE_MS = 240_000

/** What the workers of a fleet report, in order of arrival; the messages of one worker keep their order. */
export class FleetLog {
  readonly entries: LogEntry[] = []
  readonly #checks = new Set<() => void>()
  /** By text. */
  readonly #deliveries = new Map<string, { readonly record: DeliveredRecord; readonly by: string[] }>()
  readonly #held = new Map<string, Set<string>>()
  readonly #ended: string[] = []

  add(by: string, message: FromFleetWorker): void {
    this.entries.push({ by, at: systemClock.now(), ...message })
    if (message.type === 'called') {
      for (const record of message.records) {
        const known = this.#deliveries.get(record.text)
        if (known === undefined) this.#deliveries.set(record.text, { record, by: [by] })
        else known.by.push(by)
      }
    } else if (message.type === 'event' && message.shardId !== undefined) {
      if (message.event === 'shard-started') this.#shardsOf(by).add(message.shardId)
      if (message.event === 'shard-stopped') this.#shardsOf(by).delete(message.shardId)
    }
    this.look()
  }

  /** The process is gone. */
  left(by: string, unexpected: boolean): void {
    this.#held.delete(by)
    if (unexpected) this.#ended.push(by)
    this.look()
  }

  /** Resolves once this holds, asked after each message. Rejects when a worker fails or ends by itself, or when it takes too long. */
  until(what: string, holds: () => boolean, { patienceMs = PATIENCE_MS }: { readonly patienceMs?: number } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        this.#checks.delete(check)
        watchdog.cancel()
        act()
      }
      const check = (): void => {
        const problem = this.#problem()
        if (problem !== undefined) settle(() => reject(new Error(`While waiting for ${what}: ${problem}\n${this.shown()}`)))
        else if (holds()) settle(resolve)
      }
      const late = (): void => settle(() => reject(new Error(`Waited ${patienceMs} ms for ${what}\n${this.shown()}`)))
      const watchdog = systemClock.schedule(patienceMs, late, { background: true })
      this.#checks.add(check)
      check()
    })
  }

  /** Distinct records. */
  get delivered(): number {
    return this.#deliveries.size
  }

  get texts(): IterableIterator<string> {
    return this.#deliveries.keys()
  }

  /** Shards that this worker reads at present. */
  held(by: string): string[] {
    return [...this.#shardsOf(by)].sort()
  }

  events(type: string, since = 0): Extract<LogEntry, { type: 'event' }>[] {
    return this.entries.slice(since).flatMap((entry) => (entry.type === 'event' && entry.event === type ? [entry] : []))
  }

  repeats(): Repeat[] {
    return [...this.#deliveries.values()].flatMap(({ record, by }) => (by.length > 1 ? [{ ...record, by }] : []))
  }

  /** What is wrong with the first deliveries of `key:0` to `key:rounds-1`, for each key: lost records, and ones before their turn. */
  faults(keys: readonly string[], rounds: number): string[] {
    const faults: string[] = []
    const next = new Map(keys.map((key) => [key, 0]))
    for (const [text, { record, by }] of this.#deliveries) {
      const [key, n] = text.split(':') as [string, string]
      const expected = next.get(key)
      if (expected !== Number(n)) faults.push(`${text} (${record.position}, by ${by}) came where ${key}:${expected} was due`)
      next.set(key, Math.max(expected ?? 0, Number(n) + 1))
    }
    for (const key of keys)
      for (let n = 0; n < rounds; n++) if (!this.#deliveries.has(`${key}:${n}`)) faults.push(`${key}:${n} was lost`)
    return faults
  }

  /** For the message of a failure. */
  shown(): string {
    const held = [...this.#held].map(([by, shards]) => `${by} reads ${[...shards].join(', ') || 'nothing'}`)
    const last = this.entries.slice(-30).map((entry) => {
      const what = entry.type === 'called' ? `${entry.records.length} records` : JSON.stringify(entry)
      return `${Math.round(entry.at)} ${entry.by} ${entry.type === 'called' ? entry.shardId : ''} ${what}`
    })
    return [`${this.delivered} records delivered`, ...held, ...last].join('\n')
  }

  #shardsOf(by: string): Set<string> {
    const known = this.#held.get(by) ?? new Set()
    this.#held.set(by, known)
    return known
  }

  #problem(): string | undefined {
    if (this.#ended.length > 0) return `${this.#ended.join(', ')} ended by itself`
    const failed = this.entries.find(({ type }) => type === 'failed')
    return failed?.type === 'failed' ? `${failed.by} failed: ${failed.message}` : undefined
  }

  /** Asks all waits again. */
  look(): void {
    for (const check of [...this.#checks]) check()
  }
}
