import { type Clock, sleep } from '@shardwise/core/clock'
import {
  choiceOption,
  InvalidOptionError,
  integerOption,
  numberOption,
  refuseUnknownOptions,
  stringOption,
} from '@shardwise/core/options'
import { checkInterruption, type Interruption, interrupting } from './interrupted-subscription.js'
import { operationNames } from './operation-names.js'
import { type EntryRejection, rejectingEntries } from './rejected-entries.js'
import { WireError } from './wire-error.js'

/** Which calls a rule meets. */
export interface FaultScope {
  /** How many calls, from now on; default 1. `Infinity`: until the rule is removed. */
  readonly times?: number
  /** Default: whichever service has an operation of this name. Needed for the few names that both have, such as TagResource. */
  readonly service?: 'kinesis' | 'dynamodb'
  /** Only calls whose input this accepts; the others do not count. The input has the API's own shape: `Data` as bytes, times as Date. */
  readonly when?: (input: ServiceInput) => boolean
}

/**
 * What happens to the calls a rule meets:
 * - `fail`: they are refused with this error, without any work done. `status` is 400 by default, 500 for InternalFailure and
 *   InternalServerError, 503 for ServiceUnavailable.
 * - `drop`: the connection breaks and no answer comes: before the work, or with the work done. Over HTTP/2 the other calls on the same
 *   connection are lost too, as they would be.
 * - `delayMs` on the service's clock, before the work or, by default, between work and answer.
 * - `hold`: as `delayMs`, until this promise settles.
 * - `rejectEntries`: of a PutRecords, the entries that `when` accepts are refused one by one and not written; the others are.
 * - `interrupt`: a SubscribeToShard is accepted, and its subscription goes wrong later.
 * - `observe`: nothing; `observe` is told of the call when its answer is known, before it is sent. What it throws
 *   is rethrown outside, as an uncaught exception.
 */
export type FaultRule = FaultScope &
  (
    | { readonly fail: { readonly code: string; readonly status?: number; readonly message?: string } }
    | { readonly drop: WorkPhase }
    | { readonly delayMs: number; readonly phase?: WorkPhase }
    | { readonly hold: Promise<unknown>; readonly phase?: WorkPhase }
    | { readonly rejectEntries: EntryRejection }
    | { readonly interrupt: Interruption }
    | { readonly observe: (call: ObservedCall) => void }
  )

export type WorkPhase = 'before-work' | 'after-work'

export type ServiceInput = Readonly<Record<string, unknown>>

export interface ObservedCall {
  readonly service: 'kinesis' | 'dynamodb'
  readonly operation: string
  readonly input: ServiceInput
  /** How the work went. What the client gets can still differ: an `after-work` drop leaves it without. `dropped`: no work was done. */
  readonly outcome:
    | { readonly kind: 'answered'; readonly output: object }
    | { readonly kind: 'failed'; readonly code: string; readonly message: string }
    | { readonly kind: 'dropped' }
}

export interface FaultHandle {
  /** Calls this rule has met so far. */
  readonly hits: number
  /** Ends the rule. Harmless when it is over already. A call that it met goes on as it met it. */
  remove(): void
}

export interface Call {
  readonly service: 'kinesis' | 'dynamodb'
  readonly operation: string
  readonly input: ServiceInput
}

interface Entry {
  readonly rule: FaultRule
  left: number
  hits: number
}

/** Does a call and gives its output; throws where the service refuses. */
export type Work = (input: ServiceInput) => object | Promise<object>

const EFFECTS = ['fail', 'drop', 'delayMs', 'hold', 'rejectEntries', 'interrupt', 'observe'] as const
const PHASES = ['before-work', 'after-work'] as const
const DEFAULT_STATUS: Readonly<Record<string, number>> = {
  InternalFailure: 500,
  InternalServerError: 500,
  ServiceUnavailable: 503,
}

/**
 * Decides, call by call, what goes wrong. Rules apply in the order they were added, all that match a call, except that only one `fail`
 * or `drop` is taken per call: two such rules meet two calls.
 */
export class FaultControl {
  readonly #clock: Clock
  readonly #rules = new Map<string, Set<Entry>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** From now on `rule` meets calls of `operation` (`'PutRecords'`, `'UpdateItem'`), of Kinesis or DynamoDB. */
  on(operation: string, rule: FaultRule): FaultHandle {
    checkRule(operation, rule)
    const entry: Entry = { rule, left: rule.times ?? 1, hits: 0 }
    const entries = this.#rules.get(operation) ?? new Set()
    this.#rules.set(operation, entries.add(entry))
    return {
      get hits() {
        return entry.hits
      },
      remove: () => this.#remove(operation, entry),
    }
  }

  /** Removes every rule. */
  clear(): void {
    this.#rules.clear()
  }

  /** Whether any rule waits for this operation. Asked first, so that calls cost nothing where there is none. */
  concerns(operation: string): boolean {
    return this.#rules.has(operation)
  }

  /**
   * One call with its faults: `work` does it, throwing or rejecting where the service refuses. Resolves to its output or to `'drop'`,
   * rejects with the service's error or with the reason of `signal`.
   */
  async perform(call: Call, work: Work, signal: AbortSignal): Promise<object | 'drop'> {
    const rules = this.#take(call)
    for (const rule of rules) await this.#wait(rule, 'before-work', signal)
    const outcome = await outcomeOf(rules, call, work)
    for (const rule of rules) await this.#wait(rule, 'after-work', signal)
    for (const rule of rules) if ('observe' in rule) tell(rule.observe, { ...call, outcome: shown(outcome) })
    if (outcome.kind === 'dropped' || rules.some((rule) => 'drop' in rule)) return 'drop'
    if (outcome.kind === 'failed') throw outcome.error
    return outcome.output
  }

  #take(call: Call): FaultRule[] {
    const taken: FaultRule[] = []
    let ended = false
    for (const entry of this.#rules.get(call.operation) ?? []) {
      const ends = 'fail' in entry.rule || 'drop' in entry.rule
      if ((ends && ended) || !meets(entry.rule, call)) continue
      ended ||= ends
      entry.hits++
      entry.left--
      if (entry.left <= 0) this.#remove(call.operation, entry)
      taken.push(entry.rule)
    }
    return taken
  }

  #remove(operation: string, entry: Entry): void {
    const entries = this.#rules.get(operation)
    entries?.delete(entry)
    if (entries?.size === 0) this.#rules.delete(operation)
  }

  async #wait(rule: FaultRule, phase: WorkPhase, signal: AbortSignal): Promise<void> {
    if (!('delayMs' in rule || 'hold' in rule) || (rule.phase ?? 'after-work') !== phase) return
    if ('delayMs' in rule) return sleep(this.#clock, rule.delayMs, { signal })
    await rule.hold.catch(() => undefined)
    signal.throwIfAborted()
  }
}

function meets(rule: FaultRule, call: Call): boolean {
  return (rule.service ?? call.service) === call.service && rule.when?.(call.input) !== false
}

type Outcome =
  | { readonly kind: 'answered'; readonly output: object }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'dropped' }

async function outcomeOf(rules: readonly FaultRule[], call: Call, work: Work): Promise<Outcome> {
  let reduced = work
  for (const rule of rules) {
    if ('drop' in rule && rule.drop === 'before-work') return { kind: 'dropped' }
    if ('fail' in rule) {
      const { code, status = DEFAULT_STATUS[code] ?? 400, message = `${code}, by a fault rule` } = rule.fail
      return { kind: 'failed', error: new WireError(code, status, message) }
    }
    if ('rejectEntries' in rule) reduced = rejectingEntries(rule.rejectEntries, reduced)
    if ('interrupt' in rule) reduced = interrupting(rule.interrupt, reduced)
  }
  try {
    return { kind: 'answered', output: await reduced(call.input) }
  } catch (error) {
    return { kind: 'failed', error }
  }
}

function shown(outcome: Outcome): ObservedCall['outcome'] {
  if (outcome.kind !== 'failed') return outcome
  const { error } = outcome
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'InternalFailure'
  return { kind: 'failed', code, message: error instanceof Error ? error.message : String(error) }
}

function tell(observe: (call: ObservedCall) => void, call: ObservedCall): void {
  try {
    observe(call)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/** What could not be called or waited for would fail later, in the call that the rule meets, as the service's own failure. */
function checkKinds(rule: FaultRule): void {
  const must = (holds: boolean, option: string, says: string, value: unknown): void => {
    if (!holds) throw new InvalidOptionError(option, says, value)
  }
  must(rule.when === undefined || typeof rule.when === 'function', 'when', 'a function', rule.when)
  if ('observe' in rule) must(typeof rule.observe === 'function', 'observe', 'a function', rule.observe)
  if ('hold' in rule) must(rule.hold instanceof Promise, 'hold', 'a promise', rule.hold)
  if ('delayMs' in rule) must(typeof rule.delayMs === 'number', 'delayMs', 'a number', rule.delayMs)
  if ('fail' in rule) must(typeof rule.fail === 'object' && rule.fail !== null, 'fail', 'an object with a code', rule.fail)
  if ('interrupt' in rule) checkInterruption(rule.interrupt)
  if ('rejectEntries' in rule) {
    const { rejectEntries } = rule
    const says = 'an object with a function `when`'
    must(typeof rejectEntries?.when === 'function', 'rejectEntries', says, rejectEntries)
  }
}

function checkRule(operation: string, rule: FaultRule): void {
  if (typeof rule !== 'object' || rule === null) {
    throw new InvalidOptionError('rule', `an object with exactly one of ${EFFECTS.join(', ')}`, rule)
  }
  if (rule.service !== undefined) choiceOption('service', rule.service, ['kinesis', 'dynamodb'], rule.service)
  const known = operationNames(rule.service ?? 'both')
  if (!known.includes(operation)) throw new InvalidOptionError('operation', `one of ${known.join(', ')}`, operation)
  refuseUnknownOptions(rule, ['times', 'service', 'when', 'phase', ...EFFECTS])
  const effects = EFFECTS.filter((effect) => effect in rule)
  if (effects.length !== 1) throw new InvalidOptionError('rule', `an object with exactly one of ${EFFECTS.join(', ')}`, rule)
  checkKinds(rule)
  if (rule.times !== Number.POSITIVE_INFINITY) integerOption('times', rule.times, { min: 1, fallback: 1 })
  if ('phase' in rule) choiceOption('phase', rule.phase, PHASES, 'after-work')
  if ('drop' in rule) choiceOption('drop', rule.drop, PHASES, 'after-work')
  if ('delayMs' in rule) numberOption('delayMs', rule.delayMs, { min: 0, fallback: 0 })
  if ('fail' in rule) {
    stringOption('fail.code', rule.fail.code, { pattern: /^[A-Za-z]\w*$/, says: 'an error name, such as InternalFailure' })
    integerOption('fail.status', rule.fail.status, { min: 400, max: 599, fallback: 400 })
  }
  if ('interrupt' in rule && operation !== 'SubscribeToShard') {
    throw new InvalidOptionError('operation', 'SubscribeToShard for a rule with `interrupt`', operation)
  }
  if ('rejectEntries' in rule && operation !== 'PutRecords') {
    throw new InvalidOptionError('operation', 'PutRecords for a rule with `rejectEntries`', operation)
  }
}
