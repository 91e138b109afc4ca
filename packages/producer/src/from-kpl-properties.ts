import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { InvalidOptionError } from '@shardwise/core/options'
import { type Property, parseJavaProperties } from './java-properties.js'
import type { KplOption, KplProducerOptions, KplRule, KplValue } from './kpl-option.js'
import { KPL_OPTIONS } from './kpl-options.js'

/** A line of the file about which there is something to say. */
export interface KplRemark {
  /** The KPL's option, or whatever stands in its place. */
  readonly name: string
  /** As in the file; `[hidden]` for a password. */
  readonly value: string
  readonly line: number
  readonly reason: string
}

export interface KplProperties {
  /** For `new Producer({ stream, ...options })`. What the file does not set is not here: our default holds, not the KPL's. */
  readonly options: KplProducerOptions
  /** What no option takes, although the file asks for it: each reason says what to do. Unknown names, too. */
  readonly unmapped: readonly KplRemark[]
  /** What is taken, or not needed, and differs from the KPL. */
  readonly notes: readonly KplRemark[]
}

const BY_NAME = new Map(KPL_OPTIONS.map((option) => [option.name, option]))

/**
 * Reads a properties file as the KPL's `fromPropertiesFile` does (ISO 8859-1; java.util.Properties), checks its values by the KPL's own
 * rules, and says what they are here. A file that the KPL takes is taken.
 *
 * Rejects with InvalidOptionError, which names file, line, option, rule and value; with the file system's error if it cannot be read.
 */
export async function fromKplProperties(file: string | URL | { readonly text: string }): Promise<KplProperties> {
  const { text, source } = await read(file)
  const properties = parseJavaProperties(text, source)
  const given = new Map<string, KplValue>()
  for (const [name, property] of properties) {
    const option = BY_NAME.get(name)
    if (option !== undefined) given.set(name, checked(option, property, source))
  }
  const other = (name: string): KplValue => given.get(name) ?? parsed(BY_NAME.get(name)!.rule, BY_NAME.get(name)!.default)!
  const options: KplProducerOptions = {}
  const unmapped: KplRemark[] = []
  const notes: KplRemark[] = []
  for (const [name, { value, line }] of properties) {
    const remark = (reason: string): KplRemark => ({ name, value: /password/i.test(name) ? '[hidden]' : value, line, reason })
    const option = BY_NAME.get(name)
    if (option === undefined) {
      unmapped.push(remark(unknown(name)))
      continue
    }
    const mapping = option.map(given.get(name)!, other)
    Object.assign(options, mapping.options)
    if (mapping.unmapped !== undefined) unmapped.push(remark(mapping.unmapped))
    if (mapping.note !== undefined) notes.push(remark(mapping.note))
    if (option.rule.kind === 'boolean' && !/^(true|false)$/i.test(value)) notes.push(remark('The KPL reads this as false'))
  }
  refuseNoUrl(options.endpoint, properties, source)
  return { options, unmapped, notes }
}

async function read(file: string | URL | { readonly text: string }): Promise<{ readonly text: string; readonly source: string }> {
  if (typeof file === 'string') return { text: await readFile(file, 'latin1'), source: basename(file) }
  if (file instanceof URL) return { text: await readFile(file, 'latin1'), source: basename(fileURLToPath(file)) }
  if (typeof file === 'object' && file !== null && typeof file.text === 'string') return { text: file.text, source: 'text' }
  throw new InvalidOptionError('file', 'the path or file: URL of a properties file, or { text }', file)
}

function checked(option: KplOption, { value, line }: Property, source: string): KplValue {
  const known = parsed(option.rule, value)
  if (known === undefined) throw new InvalidOptionError(option.name, `${says(option.rule)} (${source}, line ${line})`, value)
  return known
}

/** As the KPL's setter gets it; undefined for what it refuses. Long.other takes a sign and no blanks; Boolean.other takes all. */
function parsed(rule: KplRule, value: string): KplValue | undefined {
  switch (rule.kind) {
    case 'integer': {
      const number = /^[+-]?\d+$/.test(value) ? BigInt(value.replace('+', '')) : undefined
      return number !== undefined && number >= rule.min && number <= rule.max ? number : undefined
    }
    case 'boolean':
      return value.toLowerCase() === 'true'
    case 'text':
      return rule.pattern.test(value) ? value : undefined
  }
}

function says(rule: KplRule): string {
  if (rule.kind === 'integer') return `a whole number from ${rule.min} to ${rule.max}`
  return rule.kind === 'text' ? rule.says : 'true or false'
}

function unknown(name: string): string {
  const meant = KPL_OPTIONS.find((option) => option.name.toLowerCase() === name.toLowerCase())
  return `The KPL has no such option, and leaves it out with a warning${meant === undefined ? '' : `. It is spelt ${meant.name}`}`
}

/** Not every host name that the KPL's pattern allows makes a URL. */
function refuseNoUrl(endpoint: string | undefined, properties: ReadonlyMap<string, Property>, source: string): void {
  if (endpoint === undefined || URL.canParse(endpoint)) return
  const { value, line } = properties.get('KinesisEndpoint')!
  throw new InvalidOptionError('KinesisEndpoint', `a host name or an IP address (${source}, line ${line})`, value)
}
