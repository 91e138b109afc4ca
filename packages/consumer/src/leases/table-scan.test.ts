import type { ScanCommand } from '@aws-sdk/client-dynamodb'
import { ManualClock } from '@shardwise/core/clock'
import { describe, expect, onTestFinished, test } from 'vitest'
import { DynamoDBLeaseStore } from './dynamodb-lease-store.js'
import type { DynamoDBPort } from './dynamodb-port.js'
import { LeaseCalls } from './lease-calls.js'
import type { LeaseEvent } from './lease-event.js'
import { LeaseView } from './lease-view.js'
import { TableScan } from './table-scan.js'

/** A table of three pages; the second is refused so many times, each time with an error of this name. */
function setUp(refusals: number, name = 'ProvisionedThroughputExceededException') {
  const clock = new ManualClock()
  const events: LeaseEvent[] = []
  const pages: number[] = []
  const seen: number[] = []
  let left = refusals
  const send = async (command: object): Promise<object> => {
    const page = Number((command as ScanCommand).input.ExclusiveStartKey?.leaseKey?.S ?? 0)
    pages.push(page)
    if (page === 1 && left-- > 0) throw Object.assign(new Error('no'), { name })
    const Items = [{ leaseKey: { S: `shardId-${page}` }, leaseCounter: { N: '1' }, checkpoint: { S: 'TRIM_HORIZON' } }]
    return { Items, ...(page < 2 && { LastEvaluatedKey: { leaseKey: { S: `${page + 1}` } } }) }
  }
  const store = new DynamoDBLeaseStore({ dynamodb: { send } as DynamoDBPort, tableName: 'leases', streamName: 'flights', clock })
  const emit = (event: LeaseEvent) => void events.push(event)
  const times = { failoverTimeMs: 10_000, scanIntervalMs: 1_000 }
  const scan = new TableScan({
    ...{ store, clock, emit, random: () => 0.5, kcl: undefined, ...times },
    calls: new LeaseCalls({ clock, emit, ...times }),
    view: new LeaseView(times),
    held: new Set(),
    onListing: (leases) => void seen.push(leases.length),
  })
  const stop = new AbortController()
  let isOver = false
  void scan.run(stop.signal).then(() => {
    isOver = true
  })
  onTestFinished(() => expect(clock.pendingTimers).toBe(0))
  return { clock, events, pages, seen, stop, isOver: () => isOver }
}

describe('a page that is throttled', () => {
  test('is asked for again, and those before it are not', async () => {
    const { clock, events, pages, seen } = setUp(5)
    await clock.advanceAsync(6_000)
    expect(pages).toEqual([0, 1, 1, 1, 1, 1, 1, 2])
    expect([seen, events]).toEqual([[3], []])
  })

  test('for so long that there seems to be no end to it has the scan fail', async () => {
    const { clock, events, pages, seen } = setUp(Number.POSITIVE_INFINITY)
    await clock.advanceAsync(60_000)
    expect([pages.length, seen]).toEqual([7, []])
    expect(events).toMatchObject([{ type: 'lease-store-failed', operation: 'scan', failure: { kind: 'throttled' } }])
  })

  test('is not waited for by a stop', async () => {
    const { clock, events, pages, stop, isOver } = setUp(Number.POSITIVE_INFINITY)
    await clock.advanceAsync(300)
    stop.abort()
    await clock.advanceAsync(0)
    expect([isOver(), events]).toEqual([true, []])
    const { length } = pages
    await clock.advanceAsync(60_000)
    expect(pages.length).toBe(length)
  })
})

test('a page that fails in another way has the scan fail at once', async () => {
  const { clock, events, pages } = setUp(1, 'AccessDeniedException')
  await clock.advanceAsync(6_000)
  expect(pages).toEqual([0, 1])
  expect(events).toMatchObject([{ type: 'lease-store-failed', failure: { kind: 'access-denied' } }])
})
