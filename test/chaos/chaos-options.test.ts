import { expect, it } from 'vitest'
import { commandOf, parseChaosOptions } from './chaos-options.js'

it('has a seed of the day, and ten minutes of everything', () => {
  const options = parseChaosOptions([], 42)
  expect(options).toEqual({ scenario: 'all', minutes: 10, seed: 42, reading: 'mixed', json: false })
})

it.each([
  ['--scenario', 'kinesis-down', '--minutes', '0.5', '--seed', '7', '--fan-out'],
  ['--scenario', 'all', '--minutes', '30', '--seed', '0', '--polling'],
  ['--scenario', 'dynamodb-down', '--minutes', '10', '--seed', '1'],
])('tells the command that repeats it: %s %s %s %s %s %s', (...args) => {
  const options = parseChaosOptions(args, 42)
  expect(options === 'help' ? options : commandOf(options)).toBe(`npm run chaos -- ${args.join(' ')}`)
})

it.each([
  [['--minutes', '0'], "--minutes must be a number from 0.2 to 60, got '0'"],
  [['--minutes', ''], "--minutes must be a number from 0.2 to 60, got ''"],
  [['--seed', '1.5'], "--seed must be a whole number from 0 to 4294967295, got '1.5'"],
  [['--scenario', 'none'], "--scenario must be one of all, kinesis-down, dynamodb-down, got 'none'"],
  [['--fan-out', '--polling'], '--fan-out and --polling exclude each other'],
  [['--fast'], "Unknown option '--fast'"],
])('refuses %j, naming it', (args, message) => {
  expect(() => parseChaosOptions(args, 42)).toThrow(message)
})
