import type { AttributeValue } from '@aws-sdk/client-dynamodb'

type Item = Record<string, AttributeValue>
interface Input {
  readonly TableName: string
  readonly IndexName?: string
  readonly Key?: Item
  readonly Item?: Item
  readonly UpdateExpression?: string
  readonly ConditionExpression?: string
  readonly FilterExpression?: string
  readonly KeyConditionExpression?: string
  readonly ExpressionAttributeNames?: Record<string, string>
  readonly ExpressionAttributeValues?: Item
}

/**
 * DynamoDB without a network or a clock, for simulations: the expressions that KCL and we use, evaluated as the service does (decision 22: the
 * conditions are what is under test). A row is replaced by each write and never changed, so that nobody needs a copy. Knows no types beyond those of a lease table. Every other expression throws.
 */
export class DynamoDBTables {
  readonly #tables = new Map<string, { readonly key: string; readonly rows: Map<string, Item>; readonly indexes: Set<string> }>()
  readonly #denied = new Set<string>()
  /** Operation and table of each call. */
  readonly calls: string[] = []

  createTable(name: string, key: string, ...indexes: string[]): void {
    this.#tables.set(name, { key, rows: new Map(), indexes: new Set(indexes) })
  }

  put(table: string, item: Item): void {
    const { key, rows } = this.#table(table)
    rows.set(item[key]!.S!, { ...item })
  }

  remove(table: string, key: string): void {
    this.#table(table).rows.delete(key)
  }

  /** From now on calls to this table are refused. */
  deny(table: string): void {
    this.#denied.add(table)
  }

  rows(table: string): readonly Item[] {
    return [...this.#table(table).rows.values()]
  }

  row(table: string, key: string): Item | undefined {
    return this.#table(table).rows.get(key)
  }

  async send(command: object): Promise<never> {
    const operation = command.constructor.name.replace(/Command$/, '')
    const { input } = command as { readonly input: Input }
    this.calls.push(`${operation} ${input.TableName}`)
    if (this.#denied.has(input.TableName)) refuse('AccessDeniedException', `Not authorized to perform dynamodb:${operation}`)
    return this.#perform(operation, input) as never
  }

  #perform(operation: string, input: Input): object {
    const table = this.#table(input.TableName)
    const keyOf = (item: Item): string => item[table.key]?.S ?? refuse('ValidationException', 'The key does not match')
    switch (operation) {
      case 'DescribeTable': {
        const KeySchema = [{ AttributeName: table.key, KeyType: 'HASH' }]
        return {
          Table: { TableStatus: 'ACTIVE', KeySchema, AttributeDefinitions: [{ AttributeName: table.key, AttributeType: 'S' }] },
        }
      }
      case 'GetItem': {
        const Item = table.rows.get(keyOf(input.Key!))
        return Item === undefined ? {} : { Item }
      }
      case 'Scan':
        return { Items: [...table.rows.values()].filter((row) => matches(input, input.FilterExpression, row)) }
      case 'Query': {
        if (!table.indexes.has(input.IndexName!))
          return refuse('ValidationException', 'The table does not have the specified index')
        return { Items: [...table.rows.values()].filter((row) => matches(input, input.KeyConditionExpression, row)) }
      }
      case 'PutItem':
        this.#check(input, table.rows.get(keyOf(input.Item!)))
        table.rows.set(keyOf(input.Item!), { ...input.Item! })
        return {}
      case 'DeleteItem':
        this.#check(input, table.rows.get(keyOf(input.Key!)))
        table.rows.delete(keyOf(input.Key!))
        return {}
      case 'UpdateItem': {
        const before = table.rows.get(keyOf(input.Key!))
        this.#check(input, before)
        const Attributes = updated(input, before ?? { ...input.Key! })
        table.rows.set(keyOf(input.Key!), Attributes)
        return { Attributes }
      }
      default:
        throw new Error(`No ${operation} here`)
    }
  }

  #check(input: Input, row: Item | undefined): void {
    if (matches(input, input.ConditionExpression, row ?? {})) return
    throw Object.assign(
      failure('ConditionalCheckFailedException', 'The conditional request failed'),
      row && { Item: structuredClone(row) },
    )
  }

  #table(name: string) {
    return this.#tables.get(name) ?? refuse('ResourceNotFoundException', `Requested resource not found: Table: ${name} not found`)
  }
}

function failure(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}

function refuse(name: string, message: string): never {
  throw failure(name, message)
}

function matches(input: Input, expression: string | undefined, row: Item): boolean {
  return expression === undefined || new Expression(expression, input, row).condition()
}

function updated(input: Input, row: Item): Item {
  const next = { ...row }
  const expression = new Expression(input.UpdateExpression!, input, row)
  for (const { action, name, value } of expression.actions()) {
    if (action === 'REMOVE') delete next[name]
    else if (action === 'SET') next[name] = value!
    else next[name] = { N: `${Number(next[name]?.N ?? 0) + Number(value!.N)}` }
  }
  return next
}

/** A recursive descent over the few forms there are. */
class Expression {
  readonly #tokens: readonly string[]
  readonly #input: Input
  readonly #row: Item
  #at = 0

  constructor(text: string, input: Input, row: Item) {
    this.#tokens = text.match(/[#:]?\w+|<>|[=(),]/g) ?? []
    this.#input = input
    this.#row = row
  }

  condition(): boolean {
    const result = this.#or()
    if (this.#at < this.#tokens.length) throw new Error(`Not understood: ${this.#tokens.slice(this.#at).join(' ')}`)
    return result
  }

  *actions(): Iterable<{ readonly action: 'SET' | 'REMOVE' | 'ADD'; readonly name: string; readonly value?: AttributeValue }> {
    while (this.#at < this.#tokens.length) {
      const action = this.#next() as 'SET' | 'REMOVE' | 'ADD'
      if (!['SET', 'REMOVE', 'ADD'].includes(action)) throw new Error(`No ${action} here`)
      do {
        const name = this.#name()
        if (action === 'SET') this.#expect('=')
        yield action === 'REMOVE' ? { action, name } : { action, name, value: this.#operand()! }
      } while (this.#skip(','))
    }
  }

  #or(): boolean {
    let result = this.#and()
    while (this.#skip('OR')) result = this.#and() || result
    return result
  }

  #and(): boolean {
    let result = this.#primary()
    while (this.#skip('AND')) result = this.#primary() && result
    return result
  }

  #primary(): boolean {
    if (this.#skip('(')) {
      const inner = this.#or()
      this.#expect(')')
      return inner
    }
    const asked = this.#tokens[this.#at]
    if (asked === 'attribute_exists' || asked === 'attribute_not_exists') {
      this.#at++
      this.#expect('(')
      const there = this.#row[this.#name()] !== undefined
      this.#expect(')')
      return there === (asked === 'attribute_exists')
    }
    const left = this.#operand()
    const operator = this.#next()
    const right = this.#operand()
    // An absent attribute compares as false, except that it differs from everything.
    const equal = left !== undefined && right !== undefined && JSON.stringify(left) === JSON.stringify(right)
    if (operator === '=') return equal
    if (operator === '<>') return !equal
    throw new Error(`No ${operator} here`)
  }

  #operand(): AttributeValue | undefined {
    const token = this.#tokens[this.#at]!
    if (!token.startsWith(':')) return this.#row[this.#name()]
    this.#at++
    return this.#input.ExpressionAttributeValues?.[token] ?? refuse('ValidationException', `No value for ${token}`)
  }

  #name(): string {
    const token = this.#next()
    return token.startsWith('#') ? (this.#input.ExpressionAttributeNames?.[token] ?? refuse('ValidationException', token)) : token
  }

  #next(): string {
    return this.#tokens[this.#at++] ?? refuse('ValidationException', 'The expression ends too soon')
  }

  #skip(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false
    this.#at++
    return true
  }

  #expect(token: string): void {
    if (!this.#skip(token)) throw new Error(`${token} expected, found ${this.#tokens[this.#at]}`)
  }
}
