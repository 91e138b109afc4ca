import { expect, test } from 'vitest'
import type { Item } from './dynamodb-expression.js'
import type { LandedWrite } from './dynamodb-service.js'
import { LeaseTruth } from './lease-truth.js'

const KEY = 'shardId-000000000001'

test.each(['DeleteItem', 'PutItem'] as const)(
  'a lease that ends with its stream, by %s, is not waited for any more',
  (operation) => {
    const violations: string[] = []
    const truth = new LeaseTruth({
      failoverTimeMs: 10_000,
      fastest: 1,
      now: () => 0,
      isWell: () => true,
      firstOpen: () => undefined,
      createdAt: () => 2_000,
      violated: (what) => violations.push(what),
      isJava: () => false,
      javaIsTakenFrom: false,
    })
    const row = (leaseCounter: number, more: Item): Item => ({
      ...{ leaseKey: { S: KEY }, leaseCounter: { N: `${leaseCounter}` }, checkpoint: { S: 'TRIM_HORIZON' } },
      ...{ swStreamCreated: { N: '1000' }, ...more },
    })
    let before: Item | undefined
    const landed = (by: string, operation: LandedWrite['operation'], after: Item | undefined, expression?: string): void => {
      truth.landed({ by, key: KEY, operation, table: 'flights-app', expression, before, after, sentAt: 0 })
      before = after
    }
    landed('c1', 'PutItem', row(0, {}))
    landed('c1', 'UpdateItem', row(1, { leaseOwner: { S: 'c1:a' }, swOwner: { S: 'c1:a' } }), 'SET #swOwner = :me')
    const asked = { leaseOwner: { S: 'c2:b' }, checkpointOwner: { S: 'c1:a' }, swOwner: { S: 'c1:a' }, swNext: { S: 'c2:b' } }
    landed('c2', 'UpdateItem', row(1, asked), 'SET #swNext = :next')
    expect([...truth.asked()]).toMatchObject([{ tenure: { worker: 'c1:a' }, since: 0 }])

    landed('c3', operation, operation === 'PutItem' ? row(2, { swStreamCreated: { N: '2000' } }) : undefined)
    expect([...truth.asked()]).toEqual([])
    expect(truth.current(KEY)?.end).toBe('begun-anew')
    expect(violations).toEqual([])
  },
)
