import { KinesisModelError, validationFailed } from './kinesis-error.js'

/** What a field may hold, as the service's own model declares it (botocore, kinesis 2013-12-02, service-2.json). */
export type Rule = (
  | {
      readonly type: 'string'
      readonly min?: number
      readonly max?: number
      readonly pattern?: string
      readonly choices?: readonly string[]
    }
  | { readonly type: 'integer'; readonly min?: number; readonly max?: number }
  | { readonly type: 'blob'; readonly max: number }
  | { readonly type: 'timestamp' }
  | { readonly type: 'boolean' }
  | { readonly type: 'list'; readonly of: Rule; readonly min?: number; readonly max?: number; readonly shown: string }
  | { readonly type: 'map'; readonly key: Rule; readonly value: Rule; readonly min: number; readonly max: number }
  | { readonly type: 'structure'; readonly fields: Fields }
) & { readonly required?: boolean }

export type Fields = { readonly [name: string]: Rule }

const MOST_REPORTED = 10

/**
 * Checks a request against the rules and returns its known fields, null ones left out. The first value of a wrong type is a SerializationException; constraints that do not
 * hold are collected, at most ten, into one ValidationException in the service's wording.
 */
export function checkInput<T>(fields: Fields, input: unknown): T {
  if (!isRecord(input)) throw wrongType('structure')
  const failures: string[] = []
  checkFields(fields, input, '', failures)
  if (failures.length > 0) throw constraintsFailed(failures)
  // Only what the operation has: a field of another one must not have an effect.
  const known = Object.keys(fields).filter((name) => input[name] !== undefined && input[name] !== null)
  return Object.fromEntries(known.map((name) => [name, withoutNulls(fields[name]!, input[name])])) as T
}

/** A field that is null is a field that is absent. Copies only what has one. */
function withoutNulls(rule: Rule, value: unknown): unknown {
  if (rule.type === 'list') {
    const items = value as unknown[]
    return rule.of.type === 'structure' ? items.map((item) => withoutNulls(rule.of, item)) : items
  }
  if (rule.type !== 'structure') return value
  const given = value as Record<string, unknown>
  let kept = given
  for (const name of Object.keys(rule.fields)) {
    const field = given[name]
    if (field === undefined) continue
    const cleaned = field === null ? undefined : withoutNulls(rule.fields[name]!, field)
    if (cleaned === field) continue
    if (kept === given) kept = { ...given }
    if (cleaned === undefined) delete kept[name]
    else kept[name] = cleaned
  }
  return kept
}

export function constraintsFailed(failures: readonly string[]): KinesisModelError {
  const reported = failures.slice(0, MOST_REPORTED)
  return validationFailed(`${reported.length} validation error${reported.length > 1 ? 's' : ''} detected: ${reported.join('; ')}`)
}

export function constraint(value: string, path: string, rule: string): string {
  return `Value ${value} at '${path}' failed to satisfy constraint: ${rule}`
}

export function missing(path: string): string {
  return constraint('null', path, 'Member must not be null')
}

function checkFields(fields: Fields, input: Record<string, unknown>, path: string, failures: string[]): void {
  for (const name of Object.keys(fields)) {
    check(
      fields[name]!,
      input[name] ?? undefined,
      `${path}${path === '' ? '' : '.'}${name[0]!.toLowerCase()}${name.slice(1)}`,
      failures,
    )
  }
}

function check(rule: Rule, value: unknown, path: string, failures: string[]): void {
  if (value === undefined) {
    if (rule.required === true) failures.push(missing(path))
    return
  }
  switch (rule.type) {
    case 'string': {
      if (typeof value !== 'string') throw wrongType(rule.type)
      const fail = (says: string): void => void failures.push(constraint(`'${value}'`, path, says))
      if (rule.choices?.includes(value) === false) fail(`Member must satisfy enum value set: [${rule.choices.join(', ')}]`)
      // Not on a text that is too long anyway: the service's pattern for ARNs backtracks.
      if (rule.pattern !== undefined && value.length <= (rule.max ?? value.length) && !matches(rule.pattern, value)) {
        fail(`Member must satisfy regular expression pattern: ${rule.pattern}`)
      }
      checkLength(value.length, rule, fail)
      return
    }
    case 'integer': {
      if (!Number.isSafeInteger(value)) throw wrongType(rule.type)
      const given = value as number
      const fail = (says: string): void => void failures.push(constraint(`'${given}'`, path, says))
      if (rule.min !== undefined && given < rule.min) fail(`Member must have value greater than or equal to ${rule.min}`)
      if (rule.max !== undefined && given > rule.max) fail(`Member must have value less than or equal to ${rule.max}`)
      return
    }
    case 'blob': {
      if (!(value instanceof Uint8Array)) throw wrongType(rule.type)
      const shown = `'java.nio.HeapByteBuffer[pos=0 lim=${value.length} cap=${value.length}]'`
      checkLength(value.length, rule, (says) => failures.push(constraint(shown, path, says)))
      return
    }
    case 'timestamp':
      if (!(value instanceof Date) || Number.isNaN(value.getTime())) throw wrongType(rule.type)
      return
    case 'boolean':
      if (typeof value !== 'boolean') throw wrongType(rule.type)
      return
    case 'list': {
      if (!Array.isArray(value)) throw wrongType(rule.type)
      const shown = `'[${value.map((item) => (typeof item === 'string' ? item : rule.shown)).join(', ')}]'`
      checkLength(value.length, rule, (says) => failures.push(constraint(shown, path, says)))
      for (const [index, item] of value.entries()) check(rule.of, item ?? undefined, `${path}.${index + 1}.member`, failures)
      return
    }
    case 'map': {
      if (!isRecord(value)) throw wrongType(rule.type)
      const entries = Object.entries(value)
      const shown = `'{${entries.map(([key, item]) => `${key}=${String(item)}`).join(', ')}}'`
      checkLength(entries.length, rule, (says) => failures.push(constraint(shown, path, says)))
      for (const [key, item] of entries) {
        check(rule.key, key, `${path}.${key}`, failures)
        check(rule.value, item ?? undefined, `${path}.${key}.member`, failures)
      }
      return
    }
    case 'structure':
      if (!isRecord(value)) throw wrongType(rule.type)
      checkFields(rule.fields, value, path, failures)
  }
}

function checkLength(length: number, rule: { readonly min?: number; readonly max?: number }, fail: (says: string) => void): void {
  if (rule.min !== undefined && length < rule.min) fail(`Member must have length greater than or equal to ${rule.min}`)
  if (rule.max !== undefined && length > rule.max) fail(`Member must have length less than or equal to ${rule.max}`)
}

const compiled = new Map<string, RegExp>()

function matches(pattern: string, value: string): boolean {
  const expression = compiled.get(pattern) ?? new RegExp(`^(?:${pattern})$`)
  compiled.set(pattern, expression)
  return expression.test(value)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}

function wrongType(expected: string): KinesisModelError {
  return new KinesisModelError(
    'SerializationException',
    `A value in the request can not be converted to the ${expected} expected there`,
  )
}
