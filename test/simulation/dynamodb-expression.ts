import type { AttributeValue } from '@aws-sdk/client-dynamodb'

export type Item = Readonly<Record<string, AttributeValue>>

export interface Placeholders {
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>>
  readonly ExpressionAttributeValues?: Item
}

type Operand = (given: Placeholders, item: Item) => AttributeValue | undefined
export type Condition = (given: Placeholders, item: Item) => boolean
export type Update = (given: Placeholders, item: Item) => Item

const conditions = new Map<string, Condition>()
const updates = new Map<string, Update>()

/** A condition, filter or key condition. Texts come again and again: each is parsed once. Throws for forms that nobody here sends. */
export function parseCondition(text: string): Condition {
  const known = conditions.get(text)
  if (known !== undefined) return known
  const condition = new Parser(text).condition()
  conditions.set(text, condition)
  return condition
}

/** SET of values, REMOVE and ADD. Gives a new item: the one before stays as it was. */
export function parseUpdate(text: string): Update {
  const known = updates.get(text)
  if (known !== undefined) return known
  const update = new Parser(text).update()
  updates.set(text, update)
  return update
}

class Parser {
  readonly #text: string
  readonly #tokens: readonly string[]
  #at = 0

  constructor(text: string) {
    this.#text = text
    this.#tokens = text.match(/[#:]?\w+|<>|<=|>=|[=<>(),]|\S/g) ?? []
  }

  condition(): Condition {
    const condition = this.#or()
    this.#expectEnd()
    return condition
  }

  update(): Update {
    const actions: ((given: Placeholders, item: Item, next: Record<string, AttributeValue>) => void)[] = []
    while (this.#at < this.#tokens.length) {
      const action = this.#next()
      do {
        const name = this.#name()
        if (action === 'REMOVE') actions.push((given, _, next) => delete next[name(given)])
        else if (action === 'SET') {
          this.#expect('=')
          const value = this.#operand()
          actions.push((given, item, next) => {
            next[name(given)] = required(value(given, item))
          })
        } else if (action === 'ADD') {
          const value = this.#operand()
          actions.push((given, item, next) => {
            const sum = Number(item[name(given)]?.N ?? 0) + Number(required(value(given, item)).N)
            next[name(given)] = { N: `${sum}` }
          })
        } else throw this.#notUnderstood()
      } while (this.#skip(','))
    }
    return (given, item) => {
      const next = { ...item }
      for (const act of actions) act(given, item, next)
      return next
    }
  }

  #or(): Condition {
    const left = this.#and()
    if (!this.#skip('OR')) return left
    const right = this.#or()
    return (given, item) => left(given, item) || right(given, item)
  }

  #and(): Condition {
    const left = this.#primary()
    if (!this.#skip('AND')) return left
    const right = this.#and()
    return (given, item) => left(given, item) && right(given, item)
  }

  #primary(): Condition {
    if (this.#skip('(')) {
      const inner = this.#or()
      this.#expect(')')
      return inner
    }
    if (this.#skip('NOT')) {
      const inner = this.#primary()
      return (given, item) => !inner(given, item)
    }
    for (const [word, wanted] of [
      ['attribute_exists', true],
      ['attribute_not_exists', false],
    ] as const) {
      if (!this.#skip(word)) continue
      this.#expect('(')
      const name = this.#name()
      this.#expect(')')
      return (given, item) => (item[name(given)] !== undefined) === wanted
    }
    const left = this.#operand()
    const operator = this.#next()
    const right = this.#operand()
    // An absent attribute compares as false, except that it differs from everything.
    if (operator === '=') return (given, item) => areEqual(left(given, item), right(given, item))
    if (operator === '<>') return (given, item) => !areEqual(left(given, item), right(given, item))
    throw this.#notUnderstood()
  }

  #operand(): Operand {
    const token = this.#tokens[this.#at] ?? ''
    if (!token.startsWith(':')) {
      const name = this.#name()
      return (given, item) => item[name(given)]
    }
    this.#at++
    return (given) => given.ExpressionAttributeValues?.[token] ?? invalid(`No value for ${token}`)
  }

  #name(): (given: Placeholders) => string {
    const token = this.#next()
    if (!token.startsWith('#')) return () => token
    return (given) => given.ExpressionAttributeNames?.[token] ?? invalid(`No name for ${token}`)
  }

  #next(): string {
    return this.#tokens[this.#at++] ?? invalid(`The expression ends too soon: ${this.#text}`)
  }

  #skip(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false
    this.#at++
    return true
  }

  #expect(token: string): void {
    if (!this.#skip(token)) throw this.#notUnderstood()
  }

  #expectEnd(): void {
    if (this.#at < this.#tokens.length) throw this.#notUnderstood()
  }

  #notUnderstood(): Error {
    return new Error(`No such expression is known here: ${this.#text} (at ${this.#tokens[this.#at] ?? 'its end'})`)
  }
}

function areEqual(a: AttributeValue | undefined, b: AttributeValue | undefined): boolean {
  if (a === undefined || b === undefined) return false
  if (a.S !== undefined) return a.S === b.S
  if (a.N !== undefined) return b.N !== undefined && Number(a.N) === Number(b.N)
  return JSON.stringify(a) === JSON.stringify(b)
}

function required(value: AttributeValue | undefined): AttributeValue {
  return value ?? invalid('The provided expression refers to an attribute that does not exist in the item')
}

function invalid(message: string): never {
  throw Object.assign(new Error(message), { name: 'ValidationException' })
}
