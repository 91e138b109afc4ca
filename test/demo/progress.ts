import type { LeaseRow } from './lease-table.js'

export interface Snapshot {
  readonly flights: number
  readonly put: number
  readonly acknowledged: number
  readonly delivered: number
  readonly duplicates: number
  readonly leases: readonly LeaseRow[]
  /** Milliseconds behind the tip, by shard. */
  readonly lag: ReadonlyMap<string, number>
  readonly workers: readonly string[]
}

const REDRAW_MS = 200
const PLAIN_LINE_MS = 1000

/** Shows how the run goes: a picture that is redrawn on a terminal, a line a second in a pipe. */
export class Progress {
  readonly #out: NodeJS.WriteStream
  readonly #snapshot: () => Snapshot
  readonly #started = performance.now()
  #timer: NodeJS.Timeout | undefined
  #drawnLines = 0
  #last: { at: number; acknowledged: number; delivered: number } | undefined
  #rates = { in: 0, out: 0 }

  constructor(out: NodeJS.WriteStream, snapshot: () => Snapshot) {
    this.#out = out
    this.#snapshot = snapshot
  }

  start(): void {
    this.#timer = setInterval(() => this.#show(), this.#out.isTTY ? REDRAW_MS : PLAIN_LINE_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
    if (this.#out.isTTY && this.#timer !== undefined) this.#show()
    this.#drawnLines = 0
    this.#timer = undefined
  }

  /** Something happened that stays on the screen. */
  say(text: string): void {
    this.#erase()
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1).padStart(6)
    this.#out.write(`${seconds} s  ${text}\n`)
  }

  #show(): void {
    const now = this.#snapshot()
    this.#measure(now)
    if (this.#out.isTTY) this.#redraw(now)
    else this.say(this.#line(now))
  }

  #measure(now: Snapshot): void {
    const at = performance.now()
    const last = this.#last
    if (last !== undefined && at - last.at < 500) return
    if (last !== undefined) {
      const seconds = (at - last.at) / 1000
      this.#rates = { in: (now.acknowledged - last.acknowledged) / seconds, out: (now.delivered - last.delivered) / seconds }
    }
    this.#last = { at, acknowledged: now.acknowledged, delivered: now.delivered }
  }

  #line(now: Snapshot): string {
    const open = now.leases.filter((lease) => !lease.ended)
    const owned = open.map(
      (lease) => `${shortShard(lease.shardId)}:${lease.owner === undefined ? 'nobody' : workerName(lease.owner)}`,
    )
    return (
      `in ${count(now.acknowledged)} (${count(this.#rates.in)}/s)  out ${count(now.delivered)} (${count(this.#rates.out)}/s)  ` +
      `of ${count(now.flights)}  lag ${count(Math.max(0, ...now.lag.values()))} ms  ${owned.join(' ')}`
    )
  }

  #redraw(now: Snapshot): void {
    const lines = [
      '',
      `  in   ${bar(now.acknowledged / now.flights)} ${count(now.acknowledged).padStart(9)}  ${count(this.#rates.in).padStart(7)}/s`,
      `  out  ${bar(now.delivered / now.flights)} ${count(now.delivered).padStart(9)}  ${count(this.#rates.out).padStart(7)}/s   ${count(now.duplicates)} again`,
      `  workers ${now.workers.join(', ')}`,
      ...now.leases.filter((lease) => !lease.ended).map((lease) => this.#shardLine(lease, now)),
      '',
    ]
    this.#erase()
    this.#out.write(lines.map((line) => `${line}\n`).join(''))
    this.#drawnLines = lines.length
  }

  #shardLine(lease: LeaseRow, now: Snapshot): string {
    const lag = now.lag.get(lease.shardId)
    return `  shard ${shortShard(lease.shardId).padEnd(3)} ${(lease.owner === undefined ? 'nobody' : workerName(lease.owner)).padEnd(12)} ${lag === undefined ? '' : `${count(lag)} ms behind`}`
  }

  #erase(): void {
    if (this.#drawnLines > 0) this.#out.write(`\x1b[${this.#drawnLines}A\x1b[0J`)
    this.#drawnLines = 0
  }
}

const BAR_WIDTH = 40

function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * BAR_WIDTH)
  return '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled)
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function shortShard(shardId: string): string {
  return String(Number(shardId.slice('shardId-'.length)))
}

/** Worker ids end in a random suffix; the name before it is what people know. */
function workerName(owner: string): string {
  return owner.split(/[-:/]/)[0] ?? owner
}
