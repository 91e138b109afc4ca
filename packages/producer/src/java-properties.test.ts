import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseJavaProperties } from './java-properties.js'

/** Texts, and what java.util.Properties of OpenJDK 17.0.15 made of them (`malformed`: it threw). */
const JAVA: readonly (readonly [string, Readonly<Record<string, string>> | 'malformed'])[] = JSON.parse(
  readFileSync(new URL('./testing/java-properties.json', import.meta.url), 'utf8'),
)

const values = (text: string): object =>
  Object.fromEntries([...parseJavaProperties(text, 'a.properties')].map(([key, { value }]) => [key, value]))

describe('reads as Java does', () => {
  test.each(JAVA)('%j', (text, expected) => {
    if (expected === 'malformed') expect(() => values(text)).toThrow(/must be a Java properties file: line \d+ has \\u without/)
    else expect(values(text)).toEqual(expected)
  })
})

test('what is written by the rules comes back, whatever it is', () => {
  const escaped = (text: string, isKey: boolean): string =>
    text.replace(/[\\ \t\n\r\f=:#!]|[^ -~]/g, (char, at: number) => {
      if (char === ' ' && !isKey && at > 0) return char
      return /[\\ =:#!]/.test(char) ? `\\${char}` : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
    })
  const entry = fc.record({
    key: fc.string({ unit: 'binary', maxLength: 8 }),
    value: fc.string({ unit: 'binary', maxLength: 8 }),
    separator: fc.constantFrom('=', ':', ' = ', '\t:\f', ' \\\n  = ', '\\\r\n='),
    before: fc.constantFrom('', '# a = 1\\\n', '\n', ' \t', '!\r\n'),
    end: fc.constantFrom('\n', '\r\n', '\r'),
  })
  fc.assert(
    fc.property(fc.array(entry), (entries) => {
      const lines = entries.map(
        ({ key, value, separator, before, end }) => `${before}${escaped(key, true)}${separator}${escaped(value, false)}${end}`,
      )
      expect(values(lines.join(''))).toEqual(Object.fromEntries(entries.map(({ key, value }) => [key, value])))
    }),
  )
})

test('each key knows the line where it begins', () => {
  const text = '# one\r\nb = \\\r\n  2\r\n\r\na = 4\rc = 6\na = 7'
  expect([...parseJavaProperties(text, 'f')].map(([key, { line }]) => [key, line])).toEqual([
    ['b', 2],
    ['c', 6],
    ['a', 7],
  ])
})

test('a malformed escape is named with its file and line', () => {
  expect(() => parseJavaProperties('a = 1\nb = \\u12g4', 'kpl.properties')).toThrow(
    "Option `kpl.properties` must be a Java properties file: line 2 has \\u without four hexadecimal digits, got '\\\\u12g4'",
  )
})
