/** The command line is not usable. The message names the argument, the rule and what was given. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
