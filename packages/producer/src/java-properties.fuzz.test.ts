import { systemClock } from '@shardwise/core/clock'
import { InvalidOptionError } from '@shardwise/core/options'
import fc from 'fast-check'
import { afterEach, expect, it } from 'vitest'
import { fromKplProperties } from './from-kpl-properties.js'
import { parseJavaProperties } from './java-properties.js'

const piece = fc.oneof(
  fc.constantFrom(
    ...[
      'Region',
      'MaxConnections',
      'RecordMaxBufferedTime',
      'AggregationEnabled',
      '__proto__',
      'constructor',
      'polluted',
      'toString',
    ],
    ...[
      '=',
      ':',
      ' ',
      '\t',
      '\\',
      '\\u',
      '\\u00',
      '\\u0041',
      '\\uD800',
      '\n',
      '\r\n',
      '#',
      '!',
      'true',
      '-1',
      '1e9',
      '9'.repeat(40),
      '\0',
    ],
  ),
  fc.string(),
)
const files = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(''))

afterEach(() => {
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
})

it('properties of any text are parsed, or refused as an option', () => {
  fc.assert(
    fc.property(files, (text) => {
      try {
        for (const [key, { value, line }] of parseJavaProperties(text, 'a file')) {
          expect([typeof key, typeof value, Number.isInteger(line)]).toEqual(['string', 'string', true])
        }
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidOptionError)
      }
    }),
    { numRuns: 5000 },
  )
})

it('so is a KPL configuration, and what it makes of it has no strange keys', async () => {
  await fc.assert(
    fc.asyncProperty(files, async (text) => {
      try {
        const { options } = await fromKplProperties({ text })
        expect(Object.getPrototypeOf(options)).toBe(Object.prototype)
        for (const key of Object.keys(options)) expect(key).toMatch(/^[a-z]\w+$/)
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidOptionError)
      }
    }),
    { numRuns: 2000 },
  )
})

it('a line that goes on for very long does not take very long', () => {
  const before = systemClock.now()
  parseJavaProperties(`a=${'x\\\n'.repeat(50_000)}`, 'a file')
  parseJavaProperties(`${'\\'.repeat(500_000)}=1`, 'a file')
  expect(systemClock.now() - before).toBeLessThan(20_000)
})
