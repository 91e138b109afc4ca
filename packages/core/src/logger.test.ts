import { expect, test } from 'vitest'
import { type Logger, loggerOption } from './logger.js'

// The signatures of pino 9 (LogFn) and bunyan 1.8 (@types/bunyan), as far as a call with fields and a message meets them.
interface PinoLogFn {
  <T, M extends string = string>(obj: T, msg?: M, ...args: unknown[]): void
  <_, M extends string = string>(msg: M, ...args: unknown[]): void
}
interface BunyanLogFn {
  (): boolean
  (error: Error, ...params: unknown[]): void
  (obj: object, ...params: unknown[]): void
  (format: unknown, ...params: unknown[]): void
}
type LoggerOf<F> = Record<keyof Logger, F>

test('takes pino, bunyan and the console as they are', () => {
  const loggers = (pino: LoggerOf<PinoLogFn>, bunyan: LoggerOf<BunyanLogFn>, own: Console): readonly Logger[] => [
    pino,
    bunyan,
    own,
  ]
  expect(loggers).toBeTypeOf('function')
})

test('does not take what wants the message first', () => {
  const winston = (log: LoggerOf<(message: string, meta?: object) => void>): Logger =>
    // @ts-expect-error: needs an adapter
    log
  expect(winston).toBeTypeOf('function')
})

test.each([
  ['null', null],
  ['a function', () => {}],
  ['one without levels', {}],
  ['one that lacks a level', { debug() {}, info() {}, warn() {} }],
  ['one whose level is no function', { debug() {}, info() {}, warn() {}, error: true }],
])('refuses %s', (_, given) => {
  expect(() => loggerOption('logger', given as unknown as Logger)).toThrow(
    /Option `logger` must be an object with the functions debug, info, warn, error, got/,
  )
})

test('gives back the very logger, or nothing', () => {
  expect(loggerOption('logger', console)).toBe(console)
  expect(loggerOption('logger', undefined)).toBeUndefined()
})
