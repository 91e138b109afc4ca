/** The command line itself is wrong: nothing was started, the exit code is 2. The message names the option, the rule and the value. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'ERR_SHARDWISE_USAGE'
}
