import { CreateTableCommand, DescribeTableCommand, type TableDescription } from '@aws-sdk/client-dynamodb'
import { type Clock, sleep } from '@shardwise/core/clock'
import type { CallOptions } from '@shardwise/core/kinesis-port'
import { classifyFailure } from '@shardwise/core/service-error'
import type { DynamoDBPort } from './dynamodb-port.js'
import { creationCommand, definitionOf } from './lease-table-definition.js'
import { LeaseTableError } from './lease-table-error.js'
import type { LeaseTableSettings } from './lease-table-options.js'

/** AWS makes a table in seconds. Longer means that somebody should look. */
const TABLE_PATIENCE_MS = 180_000
const FIRST_LOOK_MS = 50
const LATER_LOOKS_MS = 1_000

/** What every worker needs. Kept equal to the README's and to what is sent by permissions.test.ts. */
const ACTIONS = ['DescribeTable', 'Scan', 'GetItem', 'PutItem', 'UpdateItem', 'DeleteItem'] as const

/** Why a table in this state is of no use. https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html */
const UNUSABLE: Readonly<Record<string, string>> = {
  DELETING: 'is being deleted. Wait until it is gone, or name another table',
  INACCESSIBLE_ENCRYPTION_CREDENTIALS:
    'cannot be used: DynamoDB has no access to its KMS key. Enable the key and its grant again; after seven days DynamoDB archives the table',
  ARCHIVING: 'is being archived, for its KMS key was out of reach for seven days. Restore its backup, or name another table',
  ARCHIVED: 'has been archived, for its KMS key was out of reach for seven days. Restore its backup, or name another table',
}

/** The DynamoDB table with the leases: made when it is missing, looked at when it is there, and never changed. */
export class LeaseTable {
  readonly #dynamodb: DynamoDBPort
  readonly #tableName: string
  readonly #settings: LeaseTableSettings
  readonly #clock: Clock

  constructor(options: {
    readonly dynamodb: DynamoDBPort
    readonly tableName: string
    readonly settings: LeaseTableSettings
    readonly clock: Clock
  }) {
    this.#dynamodb = options.dynamodb
    this.#tableName = options.tableName
    this.#settings = options.settings
    this.#clock = options.clock
  }

  /** Resolves when the table can be written to. Rejects with LeaseTableError when a person has to act, else as the service does. */
  async open(options: CallOptions = {}): Promise<void> {
    const deadline = this.#clock.now() + TABLE_PATIENCE_MS
    let pause = FIRST_LOOK_MS
    for (;;) {
      const table = await this.#describe(options)
      if (table === undefined) await this.#create(options)
      else {
        const { TableStatus: status = 'ACTIVE' } = table
        const problem = UNUSABLE[status]
        if (problem !== undefined) throw this.#error(problem)
        // While its capacity is changed (UPDATING) a table serves as always.
        if (status !== 'CREATING') return this.#checkKey(table)
      }
      if (this.#clock.now() > deadline) {
        throw this.#error(`is still not ACTIVE after ${TABLE_PATIENCE_MS / 1000} s. Look at it in the DynamoDB console`)
      }
      await sleep(this.#clock, pause, { signal: options.signal })
      pause = Math.min(pause * 2, LATER_LOOKS_MS)
    }
  }

  async #describe(options: CallOptions): Promise<TableDescription | undefined> {
    try {
      return (await this.#dynamodb.send(new DescribeTableCommand({ TableName: this.#tableName }), options)).Table
    } catch (error) {
      const { kind, message } = classifyFailure(error)
      if (kind === 'not-found') return undefined
      if (kind !== 'access-denied') throw error
      const actions = ACTIONS.map((action) => `dynamodb:${action}`).join(', ')
      throw this.#error(`may not be looked at: ${message}. Allow these credentials ${actions} on it`, error)
    }
  }

  async #create(options: CallOptions): Promise<void> {
    const { create, tags } = this.#settings
    const definition = definitionOf(this.#tableName, this.#settings)
    const yourself = `make it yourself: ${creationCommand(definition)}`
    if (!create) {
      const elsewhere = 'Check the name, the region and the account, or'
      throw this.#error(`does not exist, and \`leaseTableOptions.create\` is false. ${elsewhere} ${yourself}`)
    }
    try {
      await this.#dynamodb.send(new CreateTableCommand(definition), options)
    } catch (error) {
      const { kind, message } = classifyFailure(error)
      // Another worker was faster.
      if (kind === 'in-use') return
      if (kind === 'access-denied') {
        const actions = tags.length > 0 ? 'dynamodb:CreateTable and, for its tags, dynamodb:TagResource' : 'dynamodb:CreateTable'
        throw this.#error(
          `does not exist and may not be made: ${message}. Allow these credentials ${actions}, or ${yourself}`,
          error,
        )
      }
      if (kind !== 'invalid') throw error
      throw this.#error(
        `does not exist, and the service does not make it: ${message}. Change \`leaseTableOptions\`, or ${yourself}`,
        error,
      )
    }
  }

  #checkKey({ KeySchema = [], AttributeDefinitions = [] }: TableDescription): void {
    const type = AttributeDefinitions.find((attribute) => attribute.AttributeName === 'leaseKey')?.AttributeType
    if (KeySchema.length === 1 && KeySchema[0]?.AttributeName === 'leaseKey' && type === 'S') return
    const found = KeySchema.map((key) => `${key.AttributeName} (${key.KeyType})`).join(', ')
    throw this.#error(
      `must have the one partition key leaseKey of type S and no sort key, but its key is ${found}. Name another table for the leases`,
    )
  }

  #error(problem: string, cause?: unknown): LeaseTableError {
    return new LeaseTableError(this.#tableName, problem, { cause })
  }
}
