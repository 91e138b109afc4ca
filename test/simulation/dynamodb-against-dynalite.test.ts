import {
  type AttributeValue,
  CreateTableCommand,
  DeleteItemCommand,
  type DeleteItemCommandInput,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  type PutItemCommandInput,
  ScanCommand,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb'
import { seededRandom } from '@shardwise/core/random'
import { startLocal } from '@shardwise/local'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Plan } from './disturbance.js'
import type { Item } from './dynamodb-expression.js'
import { DynamoDBService } from './dynamodb-service.js'
import { fleetSettings, pick } from './fleet-settings.js'
import { CALM } from './network.js'
import { simulate } from './simulation.js'
import { VirtualTime } from './virtual-time.js'
import { TABLE } from './world.js'

type Input = Parameters<DynamoDBService['perform']>[2]

interface Sent {
  readonly operation: 'PutItem' | 'UpdateItem' | 'DeleteItem'
  readonly input: Input
}

/** What makes the lease store write in all its ways. */
const PLAN: Plan = {
  disturbances: [
    { at: 3_000, kind: 'start' },
    { at: 4_000, kind: 'split', which: 0, where: 0.5 },
    { at: 5_000, kind: 'kill', whom: { is: 'consumer', who: 0 }, againAfterMs: 500 },
    { at: 6_000, kind: 'weather', service: 'dynamodb', weather: { ...CALM, unanswered: 0.2, late: 0.2 }, forMs: 6_000 },
    { at: 9_000, kind: 'rolling-deploy', everyMs: 2_000, timeoutMs: undefined },
    { at: 12_000, kind: 'recreate', which: 0, shards: 2, goneForMs: 2_000 },
  ],
  calmAt: 22_000,
}
/** One world with each kind of lease table and of checkpoints. */
const SEEDS: readonly number[] = (['auto', 'two-phase'] as const).flatMap((checkpoint) =>
  [false, true].map((several) => {
    for (let seed = 1; ; seed++) {
      const settings = fleetSettings(seed)
      if (settings.checkpoint === checkpoint && settings.severalStreams === several && settings.consumers > 1) return seed
    }
  }),
)
const STATES = 6
const TABLE_DEFINITION = {
  TableName: TABLE,
  AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' as const }],
  KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' as const }],
  BillingMode: 'PAY_PER_REQUEST' as const,
}

/** Of each form of write that the lease store sends one or two. */
const sent = new Map<string, Sent[]>()
let local: Awaited<ReturnType<typeof startLocal>>
let dynalite: DynamoDBClient

beforeAll(async () => {
  const spy = vi.spyOn(DynamoDBService.prototype, 'perform')
  for (const seed of SEEDS) expect([seed, (await simulate({ seed, plan: PLAN })).violations]).toEqual([seed, []])
  for (const [, operation, input] of spy.mock.calls) {
    if (operation !== 'PutItem' && operation !== 'UpdateItem' && operation !== 'DeleteItem') continue
    const form = `${operation} ${input.ConditionExpression ?? ''} ${input.UpdateExpression ?? ''}`
    const known = sent.get(form) ?? []
    if (known.length < 2) sent.set(form, [...known, { operation, input }])
  }
  // A lease is deleted, and one of a stream that is gone begun anew, as it was seen: the same condition. No world lasts until garbage is due.
  for (const [form, [write]] of sent) {
    if (!form.startsWith('PutItem') || !form.includes('#leaseCounter')) continue
    const { Item, ...input } = write!.input
    sent.set(form.replace('PutItem', 'DeleteItem'), [
      { operation: 'DeleteItem', input: { ...input, Key: { leaseKey: Item!.leaseKey! } } },
    ])
  }
  spy.mockRestore()
  local = await startLocal({ kinesis: false })
  dynalite = new DynamoDBClient({
    endpoint: local.dynamodbEndpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  })
  await dynalite.send(new CreateTableCommand(TABLE_DEFINITION))
}, 120_000)

afterAll(async () => {
  dynalite.destroy()
  await local.stop()
})

async function evaluator(): Promise<DynamoDBService> {
  const time = new VirtualTime()
  const service = new DynamoDBService(time, seededRandom(1), () => {})
  service.perform('a', 'CreateTable', TABLE_DEFINITION as Input)
  await time.pass(10_000)
  return service
}

/** What a row may look like when the write comes: what it expects, in part, or something else, or nothing. */
function stateFor({ input }: Sent, rows: readonly Item[], random: () => number): Item | undefined {
  if (random() < 0.15) return undefined
  const leaseKey = (input.Key ?? input.Item)!.leaseKey!
  const state: Record<string, AttributeValue> = { ...pick(random, rows), leaseKey }
  for (const name of Object.keys(state)) if (name !== 'leaseKey' && random() < 0.1) delete state[name]
  const fits = random() < 0.7
  for (const [, name, value] of (input.ConditionExpression ?? '').matchAll(/(#\w+) = (:\w+)/g)) {
    if (fits || random() < 0.5) state[input.ExpressionAttributeNames![name!]!] = input.ExpressionAttributeValues![value!]!
  }
  for (const [, name] of (input.ConditionExpression ?? '').matchAll(/attribute_not_exists\((#\w+)\)/g)) {
    if (fits || random() < 0.5) delete state[input.ExpressionAttributeNames![name!]!]
  }
  return Object.hasOwn(state, 'leaseKey') ? state : { ...state, leaseKey }
}

async function outcome(work: () => object | Promise<object>): Promise<{ readonly done: unknown } | { readonly error: string }> {
  try {
    return { done: comparable((await work()) as { readonly Attributes?: Item }) }
  } catch (error) {
    return { error: (error as Error).name }
  }
}

/** As the SDK sends it. */
async function send(operation: Sent['operation'], input: object): Promise<object> {
  if (operation === 'PutItem') return dynalite.send(new PutItemCommand(input as PutItemCommandInput))
  if (operation === 'UpdateItem') return dynalite.send(new UpdateItemCommand(input as UpdateItemCommandInput))
  return dynalite.send(new DeleteItemCommand(input as DeleteItemCommandInput))
}

function comparable({ Attributes }: { readonly Attributes?: Item | undefined }): unknown {
  return Attributes && comparableItem(Attributes)
}

function comparableItem(item: Item): unknown {
  const values = Object.entries(item).map(([name, value]) => {
    if (value.SS !== undefined) return [name, { SS: [...value.SS].sort() }]
    if (value.B !== undefined) return [name, { B: Buffer.from(value.B).toString('base64') }]
    return [name, value]
  })
  return Object.fromEntries(values.sort(([a], [b]) => (`${a}` < `${b}` ? -1 : 1)))
}

describe('the evaluator of DynamoDB, beside dynalite', () => {
  test('the worlds send every form of write that the lease store has', () => {
    const forms = [...sent.keys()].join('\n')
    for (const part of [
      'attribute_not_exists(leaseKey)',
      'DeleteItem',
      '#swNext',
      '#checkpointOwner',
      '#swLeaver',
      '#childShardIds',
    ])
      expect(forms).toContain(part)
    expect(forms).toMatch(/#pendingCheckpoint/)
    expect(sent.size).toBeGreaterThan(15)
  })

  test('does the same with every write, and fails with the same error and row, whatever the row was', async () => {
    const service = await evaluator()
    const random = seededRandom(11)
    const rows = [...sent.values()].flat().flatMap(({ input }) => (input.Item === undefined ? [] : [input.Item]))
    const counts = { done: 0, refused: 0 }
    for (const [form, writes] of sent) {
      for (let i = 0; i < STATES; i++) {
        const write = pick(random, writes)
        const state = stateFor(write, rows, random)
        const Key = { leaseKey: (write.input.Key ?? write.input.Item)!.leaseKey! }
        const input = state === undefined ? { TableName: TABLE, Key } : { TableName: TABLE, Item: state }
        const operation = state === undefined ? 'DeleteItem' : 'PutItem'
        service.perform('a', operation, input)
        await send(operation, input)
        const ours = await outcome(() => service.perform('a', write.operation, write.input))
        const theirs = await outcome(() => send(write.operation, write.input))
        const about = `${form} on ${JSON.stringify(state)}`
        expect(ours, about).toEqual(theirs)
        const left = (service.perform('a', 'GetItem', { TableName: TABLE, Key, ConsistentRead: true }) as { Item?: Item }).Item
        const { Item: leftThere } = await dynalite.send(new GetItemCommand({ TableName: TABLE, Key, ConsistentRead: true }))
        expect(left && comparableItem(left), about).toEqual(leftThere && comparableItem(leftThere))
        if ('done' in ours) counts.done++
        else counts.refused++
      }
    }
    // Both ways, often: else this would compare refusals.
    expect(Math.min(counts.done, counts.refused)).toBeGreaterThan(sent.size)
    const { Items } = service.perform('a', 'Scan', { TableName: TABLE, ConsistentRead: true }) as { Items: Item[] }
    const there = await dynalite.send(new ScanCommand({ TableName: TABLE, ConsistentRead: true }))
    const sorted = (items: readonly Item[]): unknown[] =>
      items.map(comparableItem).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    expect(sorted(Items)).toEqual(sorted(there.Items ?? []))
  })

  test.each([
    ['an unknown table', { TableName: 'nobody', Key: { leaseKey: { S: 'a' } } }],
    ['a key of another name', { TableName: TABLE, Key: { shardId: { S: 'a' } } }],
    ['a key of another type', { TableName: TABLE, Key: { leaseKey: { N: '1' } } }],
  ])('refuses as dynalite does: %s', async (_, input) => {
    const service = await evaluator()
    const theirs = await outcome(() => dynalite.send(new GetItemCommand(input)))
    expect(await outcome(() => service.perform('a', 'GetItem', input))).toEqual(theirs)
  })
})
