import { CallQuota } from './call-quota.js'
import type { StreamConsumer } from './stream-consumer.js'

/** The consumers of one stream, by name. */
export class StreamConsumers {
  readonly #byName = new Map<string, StreamConsumer>()
  /** https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamConsumer.html and so on. */
  readonly describeQuota: CallQuota = new CallQuota(20)
  readonly listQuota: CallQuota = new CallQuota(5)
  readonly deregisterQuota: CallQuota = new CallQuota(5)

  get size(): number {
    return this.#byName.size
  }

  get creating(): number {
    return [...this.#byName.values()].filter(({ state }) => state.status === 'CREATING').length
  }

  /** In order of name. */
  list(): StreamConsumer[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  named(name: string): StreamConsumer | undefined {
    return this.#byName.get(name)
  }

  withArn(arn: string): StreamConsumer | undefined {
    for (const consumer of this.#byName.values()) if (consumer.arn === arn) return consumer
    return undefined
  }

  add(consumer: StreamConsumer): void {
    this.#byName.set(consumer.name, consumer)
  }

  /** `until`: when (monotonic milliseconds) they are gone. */
  deleteAll(until: number): void {
    for (const consumer of this.#byName.values()) {
      if (consumer.state.status !== 'DELETING') consumer.state = { status: 'DELETING', until }
    }
  }

  /** Carries out what has fallen due by `now` (monotonic milliseconds). */
  settle(now: number): void {
    for (const consumer of this.#byName.values()) {
      const { state } = consumer
      if (state.status === 'ACTIVE' || state.until > now) continue
      if (state.status === 'DELETING') this.#byName.delete(consumer.name)
      else consumer.state = { status: 'ACTIVE' }
    }
  }
}
