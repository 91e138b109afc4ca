import type { ServiceInputTypes, ServiceOutputTypes, TableDescription } from '@aws-sdk/client-dynamodb'
import type { Clock } from '@shardwise/core/clock'
import type { CallOptions } from '@shardwise/core/kinesis-port'
import { classifyFailure } from '@shardwise/core/service-error'
import type { DynamoDBCommand, DynamoDBConnection } from '@shardwise/core/transport/dynamodb'
import type { LeaseEvent } from './lease-event.js'
import { capacityOf, type TableCapacity, throttlingAdvice } from './throttling-advice.js'

/** A throttled table refuses hundreds of calls a second: one word about each operation in this time says as much as all. */
const QUIET_MS = 10_000

interface Refusals {
  readonly saidAt: number
  /** Since then. */
  calls: number
}

/** Sends as the connection does and announces throttling, with the table's own capacity in the advice, which passes by in DescribeTable. */
export class ThrottlingWatch {
  readonly #dynamodb: Pick<DynamoDBConnection, 'send'>
  readonly #clock: Clock
  readonly #emit: (event: LeaseEvent) => void
  readonly #capacities = new Map<string, TableCapacity>()
  readonly #refusals = new Map<string, Refusals>()

  constructor(options: {
    readonly dynamodb: Pick<DynamoDBConnection, 'send'>
    readonly clock: Clock
    readonly emit: (event: LeaseEvent) => void
  }) {
    this.#dynamodb = options.dynamodb
    this.#clock = options.clock
    this.#emit = options.emit
  }

  async send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: DynamoDBCommand<Input, Output>,
    options?: CallOptions,
  ): Promise<Output> {
    const table = 'TableName' in command.input ? String(command.input.TableName) : ''
    try {
      const output = await this.#dynamodb.send(command, options)
      if ('Table' in output && output.Table !== undefined)
        this.#capacities.set(table, capacityOf(output.Table as TableDescription))
      return output
    } catch (error) {
      if (classifyFailure(error).kind === 'throttled')
        this.#refused(table, command.constructor.name.replace(/Command$/, ''), error)
      throw error
    }
  }

  #refused(table: string, operation: string, error: unknown): void {
    const now = this.#clock.now()
    const key = `${table} ${operation}`
    const known = this.#refusals.get(key)
    if (known !== undefined && now - known.saidAt < QUIET_MS) {
      known.calls++
      return
    }
    this.#refusals.set(key, { saidAt: now, calls: 0 })
    const reasons = reasonsOf(error)
    const advice = throttlingAdvice(table, operation, reasons, this.#capacities.get(table))
    this.#emit({ type: 'lease-table-throttled', table, operation, calls: (known?.calls ?? 0) + 1, reasons, advice })
  }
}

/** Each class of throttling in the SDK spells the field its own way. */
function reasonsOf(error: unknown): readonly string[] {
  const { ThrottlingReasons, throttlingReasons } = error as Readonly<Record<string, unknown>>
  const given: unknown = ThrottlingReasons ?? throttlingReasons
  if (!Array.isArray(given)) return []
  return given.flatMap((each: { readonly reason?: unknown } | undefined) => (typeof each?.reason === 'string' ? each.reason : []))
}
