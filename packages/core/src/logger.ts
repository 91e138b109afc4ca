import { functionsOption } from './options.js'

/**
 * Where log lines go: a pino or bunyan logger as it is. The fields come first, then the message. For others an adapter of four lines does:
 * `{ warn: (fields, message) => winston.warn(message, fields), ... }`. The console prints the fields before the message and else fits.
 *
 * Fields are strings, numbers and booleans. Payloads, partition keys and credentials are never in them. The functions are called as methods of the object.
 */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** The option, checked. Throws InvalidOptionError. */
export function loggerOption(option: string, given: Logger | undefined): Logger | undefined {
  return given === undefined ? undefined : functionsOption(option, given, ['debug', 'info', 'warn', 'error'])
}
