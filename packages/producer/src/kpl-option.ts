import type { ProducerOptions } from './producer-options.js'

/** A value of a properties file, in the type that the KPL's setter takes. */
export type KplValue = bigint | boolean | string

/** How the KPL reads and checks a value. */
export type KplRule =
  | { readonly kind: 'integer'; readonly min: bigint; readonly max: bigint }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'text'; readonly pattern: RegExp; readonly says: string }

/** The options that a properties file can give. */
export type KplProducerOptions = Pick<
  ProducerOptions,
  | 'aggregateMaxBytes'
  | 'aggregateMaxRecords'
  | 'aggregation'
  | 'connectTimeoutMs'
  | 'distributionIfUnknown'
  | 'endpoint'
  | 'failIfThrottled'
  | 'lingerMs'
  | 'maxRequestsInFlight'
  | 'recordTtlMs'
  | 'region'
  | 'requestMaxBytes'
  | 'requestMaxRecords'
  | 'requestTimeoutMs'
  | 'shardRatePercent'
>

/** What becomes of one value: options, with a note where they do not mean the same; or why no option takes what it asks for. */
export interface KplMapping {
  readonly options?: KplProducerOptions
  readonly note?: string
  readonly unmapped?: string
}

/** One option of the KPL and what stands in its place. */
export interface KplOption {
  /** As in a properties file: the KPL's setter without `set`. */
  readonly name: string
  /** The KPL's, as a file would have it. */
  readonly default: string
  readonly rule: KplRule
  /** Our option, or what there is instead. The README's column. */
  readonly here: string
  /** What differs, or why there is no option. The README's column, and the text of notes. */
  readonly about: string
  /** `other` gives what the file, else the KPL's default, says of another option. */
  map(value: KplValue, other: (name: string) => KplValue): KplMapping
}

export function integer(min: bigint, max: bigint): KplRule {
  return { kind: 'integer', min, max }
}

export function text(pattern: RegExp, says: string): KplRule {
  return { kind: 'text', pattern, says }
}

export function choice(...values: readonly string[]): KplRule {
  return text(new RegExp(`^(${values.join('|')})$`), `one of ${values.join(', ')}`)
}

type NumberOption = {
  [K in keyof KplProducerOptions]-?: KplProducerOptions[K] extends number | undefined ? K : never
}[keyof KplProducerOptions]

/** Our option is a number too, and takes at most `most`. */
export function number(
  name: string,
  preset: string,
  rule: KplRule,
  option: NumberOption,
  most: number,
  about: string,
): KplOption {
  return {
    ...{ name, default: preset, rule, here: `\`${option}\``, about },
    map: (value) => atMost(option, value as bigint, most),
  }
}

/** The option with the value, or with `most` and a note that says so. */
export function atMost(option: NumberOption, value: bigint, most: number): KplMapping {
  if (value <= BigInt(most)) return { options: { [option]: Number(value) } }
  return { options: { [option]: most }, note: `\`${option}\` takes at most ${most} here` }
}

/** What a value other than the default asks for is given by something else than an option of the file, or by nothing, and none is missed. */
export function elsewhere(name: string, preset: string, rule: KplRule, here: string, about: string): KplOption {
  return {
    ...{ name, default: preset, rule, here, about },
    map: (value) => (value === '' || String(value) === preset ? {} : { note: about }),
  }
}

/** A value other than the default asks for what must be done in another way. */
export function noOption(name: string, preset: string, rule: KplRule, about: string): KplOption {
  return {
    ...{ name, default: preset, rule, here: 'no option', about },
    map: (value) => (String(value) === preset ? {} : { unmapped: about }),
  }
}
