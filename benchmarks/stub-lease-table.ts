/**
 * DynamoDB as far as one worker needs it for its leases: tables in memory, and of a condition only whether the row is there and stands at the
 * counter that was expected. dynalite takes about 3 ms for a renewal, so that the 300 a second of a thousand leases are more than it can answer,
 * and what was measured beside it were renewals that fail.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '@shardwise/core/clock'

type Attribute = Readonly<Record<string, unknown>>
type Row = Record<string, Attribute>

/** Members of the inputs that are looked at. */
interface Input {
  readonly TableName: string
  readonly Key?: { readonly leaseKey: { readonly S: string } }
  readonly Item?: Row & { readonly leaseKey: { readonly S: string } }
  readonly ConditionExpression?: string
  readonly UpdateExpression?: string
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>>
  readonly ExpressionAttributeValues?: Readonly<Record<string, Attribute>>
}

class Refusal extends Error {
  readonly type: string

  constructor(type: string) {
    super(type)
    this.type = type
  }
}

class LeaseTables {
  readonly #tables = new Map<string, Map<string, Row>>()

  answer(operation: string, input: Input): object {
    if (operation === 'CreateTable') {
      this.#tables.set(input.TableName, new Map())
      return { TableDescription: description(input.TableName) }
    }
    const rows = this.#tables.get(input.TableName)
    if (rows === undefined) throw new Refusal('ResourceNotFoundException')
    const leaseKey = input.Key?.leaseKey.S ?? ''
    switch (operation) {
      case 'DescribeTable':
        return { Table: description(input.TableName) }
      case 'Scan':
        return { Items: [...rows.values()] }
      case 'GetItem':
        return { Item: rows.get(leaseKey) }
      case 'PutItem':
        return put(rows, input)
      case 'UpdateItem':
        return { Attributes: update(rows.get(leaseKey), input) }
      case 'DeleteItem':
        rows.delete(leaseKey)
        return {}
      default:
        throw new Refusal('UnknownOperationException')
    }
  }
}

function description(TableName: string): object {
  const KeySchema = [{ AttributeName: 'leaseKey', KeyType: 'HASH' }]
  const AttributeDefinitions = [{ AttributeName: 'leaseKey', AttributeType: 'S' }]
  return { TableName, TableStatus: 'ACTIVE', KeySchema, AttributeDefinitions }
}

function put(rows: Map<string, Row>, { Item, ConditionExpression }: Input): object {
  const leaseKey = Item!.leaseKey.S
  if (ConditionExpression === 'attribute_not_exists(leaseKey)' && rows.has(leaseKey)) {
    throw new Refusal('ConditionalCheckFailedException')
  }
  rows.set(leaseKey, Item!)
  return {}
}

/** `SET #a = :a, #b = :b REMOVE #c, #d` is all that is written. */
function update(row: Row | undefined, input: Input): Row {
  const { UpdateExpression = '', ExpressionAttributeNames: names = {}, ExpressionAttributeValues: values = {} } = input
  const counter = values[':counter']
  if (row === undefined || (counter !== undefined && counter.N !== row.leaseCounter?.N)) {
    throw new Refusal('ConditionalCheckFailedException')
  }
  const [, sets = '', removes] = /^SET (.*?)(?: REMOVE (.*))?$/.exec(UpdateExpression) ?? []
  for (const set of sets.split(', ')) {
    const [name = '', value = ''] = set.split(' = ')
    row[names[name] ?? name] = values[value]!
  }
  for (const name of removes?.split(', ') ?? []) delete row[names[name] ?? name]
  return row
}

/** Resolves to its endpoint. */
export async function startLeaseTable(): Promise<string> {
  const tables = new LeaseTables()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const operation = String(request.headers['x-amz-target']).split('.')[1]!
      let status = 200
      let answer: object
      try {
        answer = tables.answer(operation, JSON.parse(Buffer.concat(chunks).toString()) as Input)
      } catch (error) {
        status = 400
        const type = error instanceof Refusal ? error.type : 'ValidationException'
        answer = { __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: String(error) }
      }
      const text = Buffer.from(JSON.stringify(answer))
      const date = new Date(systemClock.wallTime()).toUTCString()
      const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': '0'.repeat(52), date }
      response.writeHead(status, { ...headers, 'content-length': text.length }).end(text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
