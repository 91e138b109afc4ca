import { InvalidOptionError } from '@shardwise/core/options'

export interface Property {
  readonly value: string
  /** Where it begins, from 1. */
  readonly line: number
}

const BLANK = ' \t\f'
const ESCAPED: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

/**
 * The text of a Java properties file as `java.util.Properties.load` reads it
 * (https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/Properties.html#load(java.io.Reader)): of a key given twice the last
 * counts, blanks at a value's end belong to it. `source` names the text in errors. Throws InvalidOptionError for a malformed \uXXXX.
 */
export function parseJavaProperties(text: string, source: string): ReadonlyMap<string, Property> {
  const properties = new Map<string, Property>()
  const lines = text.split(/\r\n|\r|\n/)
  for (let index = 0; index < lines.length; index++) {
    const line = index + 1
    let logical = withoutIndent(lines[index]!)
    // A lone backslash joins nothing to the next line, so that a comment there is one.
    if (logical === '' || logical === '\\' || logical[0] === '#' || logical[0] === '!') continue
    while (endsInBackslash(logical)) logical = logical.slice(0, -1) + withoutIndent(lines[++index] ?? '')
    const keyEnd = endOfKey(logical)
    const key = unescaped(logical.slice(0, keyEnd), source, line)
    const value = unescaped(logical.slice(endOfSeparator(logical, keyEnd)), source, line)
    properties.delete(key)
    properties.set(key, { value, line })
  }
  return properties
}

function withoutIndent(line: string): string {
  return line.slice(skip(line, 0))
}

function skip(line: string, from: number): number {
  let at = from
  while (at < line.length && BLANK.includes(line[at]!)) at++
  return at
}

/** The line goes on when an odd number of backslashes ends it. */
function endsInBackslash(line: string): boolean {
  let count = 0
  while (line[line.length - 1 - count] === '\\') count++
  return count % 2 === 1
}

function endOfKey(line: string): number {
  for (let at = 0; at < line.length; at++) {
    if (line[at] === '\\') at++
    else if (`${BLANK}=:`.includes(line[at]!)) return at
  }
  return line.length
}

/** One = or : with blanks around, or blanks alone. */
function endOfSeparator(line: string, from: number): number {
  const at = skip(line, from)
  return line[at] === '=' || line[at] === ':' ? skip(line, at + 1) : at
}

function unescaped(text: string, source: string, line: number): string {
  return text.replace(/\\(?:u(.{0,4})|(.?))/gs, (_, hex: string | undefined, plain: string) => {
    if (hex === undefined) return ESCAPED[plain] ?? plain
    if (/^[0-9a-f]{4}$/i.test(hex)) return String.fromCharCode(Number.parseInt(hex, 16))
    throw new InvalidOptionError(
      source,
      `a Java properties file: line ${line} has \\u without four hexadecimal digits`,
      `\\u${hex}`,
    )
  })
}
