import { inspect } from 'node:util'

/** A caller's option is not usable. `option` is its key, `value` what was given. Nothing was started and nothing was accepted. */
export class InvalidOptionError extends TypeError {
  override readonly name = 'InvalidOptionError'
  readonly code = 'ERR_SHARDWISE_INVALID_OPTION'
  readonly option: string
  /** Not enumerable: a logger that prints the error prints no credentials. */
  declare readonly value: unknown

  constructor(option: string, rule: string, value: unknown) {
    super(`Option \`${option}\` must be ${rule}, got ${SECRET_NAME.test(option) ? '[hidden]' : shown(value)}`)
    this.option = option
    Object.defineProperty(this, 'value', { value, enumerable: false })
  }
}

const SECRET_NAME = /secret|token|password|credential/i
const SECRET = /\b(secretAccessKey|sessionToken|password|key): (?:'[^']*'|"[^"]*"|`[^`]*`|<Buffer[^>]*>)/g

/** An AWS client has thousands. */
const LONGEST_SHOWN = 300

/** A value as an error message shows it: short, without secrets, with its type where that is the surprise. */
function shown(value: unknown): string {
  const inspected = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 80, maxArrayLength: 5 })
  const whole = inspected.replace(SECRET, '$1: [hidden]')
  const text = whole.length <= LONGEST_SHOWN ? whole : `${whole.slice(0, LONGEST_SHOWN)}...`
  return typeof value === 'object' || value === undefined ? text : `${text} (${typeof value})`
}

/** The checks below return the value, or `fallback` where it is undefined; they throw InvalidOptionError naming the option. */
export function integerOption(
  option: string,
  value: number | undefined,
  rule: { readonly min: number; readonly max?: number; readonly fallback: number },
): number {
  const given = value ?? rule.fallback
  const max = rule.max ?? Number.MAX_SAFE_INTEGER
  if (!Number.isInteger(given) || given < rule.min || given > max) {
    throw new InvalidOptionError(option, `a whole number ${rangeText(rule.min, rule.max)}`, value)
  }
  return given
}

export function numberOption(
  option: string,
  value: number | undefined,
  rule: { readonly min: number; readonly max?: number; readonly fallback: number },
): number {
  const given = value ?? rule.fallback
  if (typeof given !== 'number' || Number.isNaN(given) || given < rule.min || given > (rule.max ?? Number.POSITIVE_INFINITY)) {
    throw new InvalidOptionError(option, `a number ${rangeText(rule.min, rule.max)}`, value)
  }
  return given
}

export function booleanOption(option: string, value: boolean | undefined, fallback: boolean): boolean {
  const given = value ?? fallback
  if (typeof given !== 'boolean') throw new InvalidOptionError(option, 'true or false', value)
  return given
}

export function choiceOption<const T extends string>(
  option: string,
  value: T | undefined,
  choices: readonly T[],
  fallback: NoInfer<T>,
): T {
  const given = value ?? fallback
  if (!choices.includes(given)) throw new InvalidOptionError(option, choices.map((choice) => `'${choice}'`).join(' or '), value)
  return given
}

export function stringOption(
  option: string,
  value: string | undefined,
  rule: { readonly pattern: RegExp; readonly says: string; readonly fallback?: string },
): string {
  const given = value ?? rule.fallback
  if (typeof given !== 'string' || !rule.pattern.test(given)) throw new InvalidOptionError(option, rule.says, value)
  return given
}

/** For objects of the caller's: they are used as they are, and must have these functions. */
export function functionsOption<T>(option: string, value: T, names: readonly (keyof T & string)[], what = 'an object'): T {
  const given: unknown = value
  const isObject = (typeof given === 'object' && given !== null) || typeof given === 'function'
  if (!isObject || !names.every((name) => typeof Reflect.get(given, name) === 'function')) {
    throw new InvalidOptionError(option, `${what} with the function${names.length > 1 ? 's' : ''} ${names.join(', ')}`, value)
  }
  return value
}

/** Refuses keys that are not options, so that a misspelt one is not silently ignored. `option`: the one whose value they are in. */
export function refuseUnknownOptions(given: object, known: readonly string[], option?: string): void {
  if (typeof given !== 'object' || given === null) throw new InvalidOptionError(option ?? 'options', 'an object', given)
  for (const key of Object.keys(given)) {
    if (!known.includes(key))
      throw new InvalidOptionError(
        option === undefined ? key : `${option}.${key}`,
        `left out: there is no such option (there are ${known.join(', ')})`,
        Reflect.get(given, key),
      )
  }
}

function rangeText(min: number, max: number | undefined): string {
  return max === undefined ? `from ${min} up` : `from ${min} to ${max}`
}
