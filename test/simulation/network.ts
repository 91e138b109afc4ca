import { abortError } from './abort-error.js'
import type { SimulatedProcess } from './simulated-process.js'
import type { VirtualTime } from './virtual-time.js'

/** `sink`: a database of the application's own. */
export type Service = 'kinesis' | 'dynamodb' | 'sink'

/** Chances of what goes wrong with one call. */
export interface Weather {
  /** The request is lost. */
  readonly lost: number
  /** The answer is lost: the work is done. */
  readonly unanswered: number
  /** The request takes its time, up to the longest delay, or the answer does. */
  readonly late: number
  /** The request arrives twice, the second time at once or up to the longest delay later. */
  readonly twice: number
  /** The service refuses: throttled, or with an error of its own. */
  readonly throttled: number
  readonly failing: number
}

export const CALM: Weather = { lost: 0, unanswered: 0, late: 0, twice: 0, throttled: 0, failing: 0 }

export interface Call<T> {
  readonly process: SimulatedProcess
  readonly service: Service
  readonly operation: string
  readonly about: string
  /** At the service. */
  readonly work: () => T
  readonly signal: AbortSignal | undefined
  /** The caller's own time limit, on its own clock. Undefined: it sees to that by itself. */
  readonly timeoutMs: number | undefined
}

/** Kept by a cut link until it is mended. */
interface Held {
  readonly arrive: () => void
}

const FASTEST_MS = 1
const USUAL_MS = 12
const LONGEST_DELAY_MS = 8_000
/** A lost connection is seen after this, or never: then only the caller's patience ends the call. */
const RESET_WITHIN_MS = 200

/** Between the processes and the services. Requests overtake each other; every link can be cut. */
export class Network {
  readonly #time: VirtualTime
  readonly #trace: (line: string) => void
  readonly #weather = new Map<string, Weather>()
  readonly #cut = new Map<string, Held[]>()
  /** Calls of which nothing will be heard: each is told when its connection breaks after all. */
  readonly #silent = new Set<() => void>()
  /** Refused by the service for its own reasons, by kind. */
  readonly #refusals: Readonly<Record<Service, readonly [throttled: readonly string[], failing: readonly string[]]>> = {
    kinesis: [
      ['ProvisionedThroughputExceededException', 'LimitExceededException'],
      ['InternalFailure', 'ServiceUnavailable'],
    ],
    dynamodb: [
      ['ProvisionedThroughputExceededException', 'ThrottlingException'],
      ['InternalServerError', 'ServiceUnavailable'],
    ],
    sink: [['TooManyTransactions'], ['Unavailable']],
  }
  /** Calls that were sent, by operation. */
  readonly sent: Map<string, number> = new Map()

  constructor(time: VirtualTime, trace: (line: string) => void) {
    this.#time = time
    this.#trace = trace
  }

  setWeather(service: Service, weather: Weather): void {
    this.#weather.set(service, weather)
  }

  isCut(process: SimulatedProcess, service: Service): boolean {
    return this.#cut.has(linkOf(process, service))
  }

  /** Nothing passes any more. What is sent meanwhile is lost, or arrives when the link is mended. */
  cut(process: SimulatedProcess, service: Service): void {
    const link = linkOf(process, service)
    if (!this.#cut.has(link)) this.#cut.set(link, [])
  }

  mend(process: SimulatedProcess, service: Service): void {
    const link = linkOf(process, service)
    const held = this.#cut.get(link) ?? []
    this.#cut.delete(link)
    for (const { arrive } of held) this.#time.after(process.random() * 3_000, arrive)
  }

  /** Whether an event of a subscription is the first that does not arrive. */
  breaksEvent(process: SimulatedProcess): boolean {
    const { lost, unanswered } = this.#weather.get('kinesis') ?? CALM
    return this.isCut(process, 'kinesis') || (lost + unanswered > 0 && process.random() < (lost + unanswered) / 4)
  }

  /** A connection is lost: it is seen soon, or only when silent ones break. */
  losesConnection({ random }: SimulatedProcess, heard: () => void): void {
    if (random() < 0.5) this.#silent.add(heard)
    else this.#time.after(random() * RESET_WITHIN_MS, heard)
  }

  delay({ random }: SimulatedProcess): number {
    return delay(random)
  }

  /** All connections of which nothing is heard any more break. */
  breakSilent(): void {
    for (const reset of this.#silent) reset()
    this.#silent.clear()
  }

  /** Rejects as the SDK does. */
  send<T>(call: Call<T>): Promise<T> {
    const { process, signal, operation, timeoutMs } = call
    this.sent.set(operation, (this.sent.get(operation) ?? 0) + 1)
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted === true) return reject(abortError(operation, signal))
      let isOver = false
      const end = (settle: () => void): void => {
        if (isOver) return
        isOver = true
        timer?.cancel()
        signal?.removeEventListener('abort', onAbort)
        settle()
      }
      const onAbort = (): void => end(() => reject(abortError(operation, signal!)))
      signal?.addEventListener('abort', onAbort, { once: true })
      const timer =
        timeoutMs === undefined
          ? undefined
          : process.clock.schedule(timeoutMs, () =>
              end(() => reject(named('TimeoutError', `${operation} had no complete answer within ${timeoutMs} ms`))),
            )
      this.#carry(
        call,
        (value) => end(() => resolve(value)),
        (error) => end(() => reject(error)),
      )
    })
  }

  #carry<T>(call: Call<T>, resolve: (value: T) => void, reject: (error: unknown) => void): void {
    const { process, service, operation, about } = call
    const { random } = process
    const weather = this.#weather.get(service) ?? CALM
    const says = (what: string): void => this.#trace(`${process.name} ${operation} ${about}: ${what}`)
    const back = (what: string, settle: () => void): void => {
      if (this.isCut(process, service)) {
        says(`answer lost in a cut link (${what})`)
        reset()
        return
      }
      this.#time.after(isSlowBack ? random() * LONGEST_DELAY_MS : delay(random), () =>
        process.receive(() => {
          says(what)
          settle()
        }),
      )
    }
    const reset = (): void => this.losesConnection(process, () => process.receive(() => reject(connectionReset())))
    let chance = random()
    const hit = (share: number): boolean => {
      chance -= share
      return chance < 0 && chance >= -share
    }
    const lost = hit(weather.lost)
    const unanswered = hit(weather.unanswered)
    const late = hit(weather.late)
    const twice = hit(weather.twice)
    const throttled = hit(weather.throttled)
    const failing = hit(weather.failing)
    const isSlowBack = late && random() < 0.5
    const travel = late && !isSlowBack ? random() * LONGEST_DELAY_MS : delay(random)
    const work = (): void => {
      if (lost) {
        says('request lost')
        reset()
        return
      }
      if (throttled || failing) {
        const [throttling, failures] = this.#refusals[service]
        const names = throttled ? throttling : failures
        const name = names[Math.floor(random() * names.length)]!
        // A service that fails may have done the work.
        if (failing && random() < 0.5) attempt(call.work)
        back(name, () => reject(named(name, `${name}, by the weather`)))
        return
      }
      const outcome = attempt(call.work)
      if (twice) {
        const repeat = (): void => {
          const again = attempt(call.work)
          says(`arrived twice, the second time ${again.is === 'failed' ? nameOf(again.error) : 'too'}`)
        }
        // A record that was refused, and written by what comes long after, is nobody's to promise: what is for Kinesis comes at once.
        if (service === 'kinesis' || random() < 0.4) repeat()
        else this.#time.after(random() * LONGEST_DELAY_MS, repeat)
      }
      if (unanswered) {
        says(`answer lost (${outcome.is === 'failed' ? nameOf(outcome.error) : 'done'})`)
        reset()
        return
      }
      if (outcome.is === 'failed') back(nameOf(outcome.error), () => reject(outcome.error))
      else back('done', () => resolve(outcome.value))
    }
    const arrive = (): void => {
      const held = this.#cut.get(linkOf(process, service))
      if (held === undefined) work()
      else if (random() < 0.5) held.push({ arrive })
      else {
        says('request lost in a cut link')
        reset()
      }
    }
    this.#time.at(process.now + travel, arrive)
  }
}

type Outcome<T> = { readonly is: 'done'; readonly value: T } | { readonly is: 'failed'; readonly error: unknown }

function attempt<T>(work: () => T): Outcome<T> {
  try {
    return { is: 'done', value: work() }
  } catch (error) {
    return { is: 'failed', error }
  }
}

function delay(random: () => number): number {
  const chance = random()
  return FASTEST_MS + chance * chance * USUAL_MS
}

function linkOf({ name }: SimulatedProcess, service: Service): string {
  return `${name} ${service}`
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : String(error)
}

export function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}

export function connectionReset(): Error {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
}
