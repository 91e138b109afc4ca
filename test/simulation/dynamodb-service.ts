import type { Random } from '@shardwise/core/random'
import { type Item, type Placeholders, parseCondition, parseUpdate } from './dynamodb-expression.js'
import type { VirtualTime } from './virtual-time.js'

interface Input extends Placeholders {
  readonly TableName: string
  readonly IndexName?: string
  readonly ConsistentRead?: boolean
  readonly Key?: Item
  readonly ExclusiveStartKey?: Item
  readonly Item?: Item
  readonly UpdateExpression?: string
  readonly ConditionExpression?: string
  readonly FilterExpression?: string
  readonly KeyConditionExpression?: string
  readonly ReturnValues?: string
  readonly ReturnValuesOnConditionCheckFailure?: string
  readonly KeySchema?: readonly { readonly AttributeName?: string }[]
  readonly AttributeDefinitions?: readonly object[]
}

/** One write that has taken effect. */
export interface LandedWrite {
  /** The process that sent it. */
  readonly by: string
  /** Virtual time at which it did. */
  readonly sentAt: number
  readonly operation: 'PutItem' | 'UpdateItem' | 'DeleteItem'
  readonly table: string
  readonly key: string
  /** Of an update. */
  readonly expression: string | undefined
  readonly before: Item | undefined
  readonly after: Item | undefined
}

/** What was in a row until `until`; undefined: nothing. */
interface Past {
  readonly item: Item | undefined
  readonly until: number
}

interface Row {
  item: Item | undefined
  /** Newest first, as far back as a read may be behind. */
  past: Past[]
}

interface Table {
  readonly key: string
  readonly definition: object
  readonly activeAt: number
  readonly rows: Map<string, Row>
  readonly indexes: ReadonlySet<string>
}

/** A table is made in this time. */
const CREATION_MS = 700
/** An index follows its table. */
const INDEX_BEHIND_MS = 1_000
/** An eventually consistent read is behind by so much at most, often by nothing. */
const READ_BEHIND_MS = 1_500
/** So long what was in a row before can be seen. */
const KEPT_MS = Math.max(INDEX_BEHIND_MS, READ_BEHIND_MS)

/**
 * DynamoDB as one pure object on the time that it is given: the commands and expressions that our lease store sends, and no others. Writes take effect one
 * after the other; a read that is not consistent may show each row as it was a moment ago, so that no scan is a snapshot.
 */
export class DynamoDBService {
  readonly #time: Pick<VirtualTime, 'now'>
  readonly #random: Random
  readonly #landed: (write: LandedWrite) => void
  readonly #tables = new Map<string, Table>()
  /** Of a scan. */
  rowsPerPage: number = Number.POSITIVE_INFINITY

  constructor(time: Pick<VirtualTime, 'now'>, random: Random, landed: (write: LandedWrite) => void) {
    this.#time = time
    this.#random = random
    this.#landed = landed
  }

  /** An operator, or KCL, has made it before anything of ours was there. */
  prepare(name: string, key: string, ...indexes: readonly string[]): void {
    const KeySchema = [{ AttributeName: key, KeyType: 'HASH' }]
    const definition = { TableName: name, KeySchema, AttributeDefinitions: [{ AttributeName: key, AttributeType: 'S' }] }
    this.#tables.set(name, { key, definition, activeAt: 0, rows: new Map(), indexes: new Set(indexes) })
  }

  /** What is in the table now. */
  rows(table: string): readonly Item[] {
    return [...(this.#tables.get(table)?.rows.values() ?? [])].map(({ item }) => item).filter((item) => item !== undefined)
  }

  row(table: string, key: string): Item | undefined {
    return this.#tables.get(table)?.rows.get(key)?.item
  }

  perform(by: string, operation: string, input: Input, sentAt: number = this.#time.now): object {
    const sent = { by, sentAt }
    if (operation === 'CreateTable') return this.#create(input)
    const table = this.#tables.get(input.TableName)
    if (table === undefined) throw failure('ResourceNotFoundException', `Table: ${input.TableName} not found`)
    if (operation === 'DescribeTable') return { Table: this.#describe(table) }
    if (this.#time.now < table.activeAt) throw failure('ResourceNotFoundException', `Table: ${input.TableName} is not active`)
    switch (operation) {
      case 'GetItem': {
        const row = table.rows.get(keyOf(table, input.Key))
        const Item = row && (input.ConsistentRead === true ? row.item : this.#seen(row, READ_BEHIND_MS))
        return Item === undefined ? {} : { Item }
      }
      case 'Scan':
        return this.#scan(table, input)
      case 'Query':
        // Only KCL 3.x makes one.
        if (!table.indexes.has(input.IndexName ?? ''))
          throw failure('ValidationException', `The table does not have the specified index: ${input.IndexName}`)
        return { Items: this.#read(table.rows.values(), input, INDEX_BEHIND_MS, input.KeyConditionExpression) }
      case 'PutItem':
        return this.#write(sent, 'PutItem', table, input, keyOf(table, input.Item), input.Item)
      case 'DeleteItem':
        return this.#write(sent, 'DeleteItem', table, input, keyOf(table, input.Key), undefined)
      case 'UpdateItem': {
        const key = keyOf(table, input.Key)
        const before = table.rows.get(key)?.item
        const after = parseUpdate(input.UpdateExpression!)(input, before ?? input.Key!)
        return this.#write(sent, 'UpdateItem', table, input, key, after)
      }
      default:
        throw new Error(`No ${operation} is known here`)
    }
  }

  #create(input: Input): object {
    if (this.#tables.has(input.TableName)) throw failure('ResourceInUseException', `Table already exists: ${input.TableName}`)
    const key = input.KeySchema![0]!.AttributeName!
    const { KeySchema, AttributeDefinitions } = input
    const definition = { TableName: input.TableName, KeySchema, AttributeDefinitions }
    const activeAt = this.#time.now + CREATION_MS
    const table: Table = { key, definition, activeAt, rows: new Map(), indexes: new Set() }
    this.#tables.set(input.TableName, table)
    return { TableDescription: this.#describe(table) }
  }

  #describe({ definition, activeAt }: Table): object {
    return { ...definition, TableStatus: this.#time.now < activeAt ? 'CREATING' : 'ACTIVE' }
  }

  /** A page: as many rows as are looked at, those included that are left out. */
  #scan(table: Table, input: Input): object {
    const behindMs = input.ConsistentRead === true ? 0 : READ_BEHIND_MS
    const keys = [...table.rows.keys()]
    const from = input.ExclusiveStartKey === undefined ? 0 : keys.indexOf(keyOf(table, input.ExclusiveStartKey)) + 1
    const page = keys.slice(from, from + this.rowsPerPage)
    const rows = page.map((key) => table.rows.get(key)!)
    const Items = this.#read(rows, input, behindMs, input.FilterExpression)
    if (from + page.length >= keys.length) return { Items }
    return { Items, LastEvaluatedKey: { [table.key]: { S: page.at(-1)! } } }
  }

  #read(rows: Iterable<Row>, given: Input, behindMs: number, filter: string | undefined): Item[] {
    const accepts = filter === undefined ? undefined : parseCondition(filter)
    const items: Item[] = []
    for (const row of rows) {
      const item = behindMs === 0 ? row.item : this.#seen(row, behindMs)
      if (item !== undefined && accepts?.(given, item) !== false) items.push(item)
    }
    return items
  }

  /** As some replica has it. */
  #seen(row: Row, behindMs: number): Item | undefined {
    const [last] = row.past
    if (last === undefined || last.until <= this.#time.now - behindMs || this.#random() < 0.5) return row.item
    const at = this.#time.now - this.#random() * behindMs
    let item = row.item
    for (const past of row.past) {
      if (past.until <= at) break
      item = past.item
    }
    return item
  }

  #write(
    sent: Pick<LandedWrite, 'by' | 'sentAt'>,
    operation: LandedWrite['operation'],
    table: Table,
    input: Input,
    key: string,
    after: Item | undefined,
  ): object {
    const row = table.rows.get(key)
    const before = row?.item
    if (input.ConditionExpression !== undefined && !parseCondition(input.ConditionExpression)(input, before ?? {})) {
      const error = failure('ConditionalCheckFailedException', 'The conditional request failed')
      throw input.ReturnValuesOnConditionCheckFailure === 'ALL_OLD' && before ? Object.assign(error, { Item: before }) : error
    }
    if (row === undefined) table.rows.set(key, { item: after, past: [{ item: undefined, until: this.#time.now }] })
    else {
      row.past = [{ item: before, until: this.#time.now }, ...row.past.filter(({ until }) => until > this.#time.now - KEPT_MS)]
      row.item = after
    }
    this.#landed({ ...sent, operation, table: input.TableName, key, expression: input.UpdateExpression, before, after })
    return input.ReturnValues === 'ALL_NEW' ? { Attributes: after } : {}
  }
}

function keyOf(table: Table, item: Item | undefined): string {
  const key = item?.[table.key]?.S
  if (key === undefined) throw failure('ValidationException', 'The provided key element does not match the schema')
  return key
}

function failure(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}
