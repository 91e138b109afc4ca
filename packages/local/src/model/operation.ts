import type { Account } from './account.js'
import { checkInput, type Fields } from './input-validation.js'

/** One API operation: checks its input, then does its work. */
export type Operation = (account: Account, input: unknown) => object

export function operation<T>(fields: Fields, run: (account: Account, input: T) => object): Operation {
  return (account, input) => run(account, checkInput<T>(fields, input))
}
