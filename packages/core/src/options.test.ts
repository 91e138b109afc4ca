import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import {
  booleanOption,
  choiceOption,
  InvalidOptionError,
  integerOption,
  numberOption,
  refuseUnknownOptions,
  stringOption,
} from './options.js'

const integer = (value: unknown) => () => integerOption('lingerMs', value as number, { min: 0, max: 10, fallback: 3 })
const open = (value: unknown) => () => integerOption('n', value as number, { min: 1, fallback: 1 })
const number = (value: unknown) => () => numberOption('ratio', value as number, { min: 0, max: 1, fallback: 0.5 })
const boolean = (value: unknown) => () => booleanOption('flag', value as boolean, true)
const choice = (value: unknown) => () => choiceOption('mode', value as 'a', ['a', 'b'], 'b')
const text = (value: unknown) => () => stringOption('name', value as string, { pattern: /^[a-z]+$/, says: 'lower-case letters' })

describe('accepted', () => {
  test.each<[string, () => unknown, unknown]>([
    ['the default integer', integer(undefined), 3],
    ['the least integer', integer(0), 0],
    ['the greatest integer', integer(10), 10],
    ['any great integer', open(Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER],
    ['the default number', number(undefined), 0.5],
    ['a fraction', number(0.25), 0.25],
    ['the default flag', boolean(undefined), true],
    ['false', boolean(false), false],
    ['the default choice', choice(undefined), 'b'],
    ['a choice', choice('a'), 'a'],
    ['a name', text('abc'), 'abc'],
    ['the default name', () => stringOption('name', undefined, { pattern: /./, says: 'x', fallback: 'd' }), 'd'],
  ])('%s', (_what, check, expected) => {
    expect(check()).toBe(expected)
  })
})

describe('refused', () => {
  test.each<[() => unknown, string]>([
    [integer(-1), 'Option `lingerMs` must be a whole number from 0 to 10, got -1 (number)'],
    [integer(11), 'Option `lingerMs` must be a whole number from 0 to 10, got 11 (number)'],
    [integer(1.5), 'Option `lingerMs` must be a whole number from 0 to 10, got 1.5 (number)'],
    [integer('5'), "Option `lingerMs` must be a whole number from 0 to 10, got '5' (string)"],
    [integer(Number.NaN), 'Option `lingerMs` must be a whole number from 0 to 10, got NaN (number)'],
    [integer(5n), 'Option `lingerMs` must be a whole number from 0 to 10, got 5n (bigint)'],
    [integer({}), 'Option `lingerMs` must be a whole number from 0 to 10, got {}'],
    [open(2 ** 53), 'Option `n` must be a whole number from 1 up, got 9007199254740992 (number)'],
    [number(1.1), 'Option `ratio` must be a number from 0 to 1, got 1.1 (number)'],
    [number(Number.NaN), 'Option `ratio` must be a number from 0 to 1, got NaN (number)'],
    [number('0.5'), "Option `ratio` must be a number from 0 to 1, got '0.5' (string)"],
    [boolean('true'), "Option `flag` must be true or false, got 'true' (string)"],
    [choice('c'), "Option `mode` must be 'a' or 'b', got 'c' (string)"],
    [text('A'), "Option `name` must be lower-case letters, got 'A' (string)"],
    [text(undefined), 'Option `name` must be lower-case letters, got undefined'],
    [text(7), 'Option `name` must be lower-case letters, got 7 (number)'],
    [() => refuseUnknownOptions(5000 as never, ['timeoutMs']), 'Option `options` must be an object, got 5000 (number)'],
    [
      () => refuseUnknownOptions({ lingerMS: 5 }, ['lingerMs', 'mode']),
      'Option `lingerMS` must be left out: there is no such option (there are lingerMs, mode), got 5 (number)',
    ],
    [
      () => refuseUnknownOptions({ baseMS: 5 }, ['baseMs'], 'retry'),
      'Option `retry.baseMS` must be left out: there is no such option (there are baseMs), got 5 (number)',
    ],
    [() => refuseUnknownOptions(5000 as never, ['baseMs'], 'retry'), 'Option `retry` must be an object, got 5000 (number)'],
  ])('%#', (check, message) => {
    expect(check).toThrow(new InvalidOptionError('x', 'x', 0).constructor as typeof InvalidOptionError)
    expect(check).toThrow(expect.objectContaining({ message, code: 'ERR_SHARDWISE_INVALID_OPTION' }))
  })

  test('known options pass', () => {
    expect(() => refuseUnknownOptions({ mode: undefined }, ['mode'])).not.toThrow()
  })
})

test('neither the message nor the printed error shows secrets', () => {
  const credentials = { accessKeyId: 'AKID', secretAccessKey: 'hush', sessionToken: "it's hush" }
  for (const error of [
    new InvalidOptionError('credental', 'left out', credentials),
    new InvalidOptionError('options', 'an object', { credentials }),
    new InvalidOptionError('secretAccessKey', 'left out', 'hush'),
  ]) {
    expect(`${error.message} ${inspect(error, { depth: 9 })} ${JSON.stringify(error)}`).not.toContain('hush')
  }
  expect(new InvalidOptionError('credental', 'left out', credentials).value).toBe(credentials)
})

test('a long value is cut short', () => {
  expect(new InvalidOptionError('x', 'short', 'y'.repeat(10_000)).message.length).toBeLessThan(200)
})

test('what was given is shown short, and no secret that it cuts', () => {
  const client = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`field${i}`, 'x'.repeat(20)]))
  const { message } = new InvalidOptionError('client', 'a client', { secretAccessKey: 'SECRET'.repeat(12), ...client })
  expect(message.length).toBeLessThan(400)
  expect(message).toMatch(/secretAccessKey: \[hidden\], field0: .*\.\.\.$/)
  expect(message).not.toContain('SECRET')
})
