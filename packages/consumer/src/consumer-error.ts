/**
 * The consumer could not start, and trying again as it is would not help: something must be set up or corrected first. Nothing was
 * delivered. `cause` is the error of the service, the network or the credentials.
 */
export class ConsumerStartError extends Error {
  override readonly name = 'ConsumerStartError'
  readonly code = 'ERR_SHARDWISE_CONSUMER_START'
  readonly stream: string
  readonly applicationName: string

  constructor(
    at: { readonly stream: string; readonly applicationName: string },
    problem: string,
    options: { readonly cause?: unknown } = {},
  ) {
    super(`Consumer of stream ${at.stream} (application ${at.applicationName}) cannot start: ${problem}`, options)
    this.stream = at.stream
    this.applicationName = at.applicationName
  }
}

/**
 * `run` was called a second time, or streams were to change after `stop`. A consumer runs once: make another for another run.
 */
export class ConsumerRanError extends Error {
  override readonly name = 'ConsumerRanError'
  readonly code = 'ERR_SHARDWISE_CONSUMER_RAN'

  constructor(because = '`run` was called before') {
    super(`A consumer runs once, and ${because}: make a new Consumer`)
  }
}

/**
 * The reason of `context.signal` when the consumer stops, or stops to read the stream, and the time for handler calls is over: give up what can be given up and return. What
 * was not completed is delivered again by the next owner of the shard. Nothing to repair.
 */
export class ConsumerStoppingError extends Error {
  override readonly name = 'ConsumerStoppingError'
  readonly code = 'ERR_SHARDWISE_CONSUMER_STOPPING'

  constructor(what = 'The consumer stops') {
    super(`${what} and waits no longer: give up the work in hand and return; its records are delivered again`)
  }
}
