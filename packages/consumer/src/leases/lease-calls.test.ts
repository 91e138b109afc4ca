import type { ScanCommand } from '@aws-sdk/client-dynamodb'
import { ManualClock, sleep } from '@shardwise/core/clock'
import { describe, expect, onTestFinished, test } from 'vitest'
import { DynamoDBLeaseStore } from './dynamodb-lease-store.js'
import type { DynamoDBPort } from './dynamodb-port.js'
import { LeaseCalls } from './lease-calls.js'
import type { LeaseEvent } from './lease-event.js'

/** A table of so many pages, each of which takes its time to come. The one after the last never does. */
function setUp({ pages, eachMs }: { readonly pages: number; readonly eachMs: number }) {
  const clock = new ManualClock()
  const events: LeaseEvent[] = []
  const send = async (command: object): Promise<object> => {
    const from = Number((command as ScanCommand).input.ExclusiveStartKey?.leaseKey?.S ?? 0)
    await sleep(clock, eachMs)
    return { Items: [], ...(from + 1 < pages && { LastEvaluatedKey: { leaseKey: { S: `${from + 1}` } } }) }
  }
  const store = new DynamoDBLeaseStore({ dynamodb: { send } as DynamoDBPort, tableName: 'leases', streamName: 'flights', clock })
  const calls = new LeaseCalls({ clock, failoverTimeMs: 10_000, emit: (event) => void events.push(event) })
  const scan = calls.send('scan', undefined, (signal, onPage) => store.list({ signal, onPage }))
  let outcome = 'under way'
  scan.then(
    () => (outcome = 'done'),
    (error: Error) => (outcome = error.name),
  )
  onTestFinished(() => expect(clock.pendingTimers).toBe(0))
  return { clock, events, outcome: () => outcome }
}

describe('the time that a scan has', () => {
  test('is for each page: a large table over a slow network is read to its end', async () => {
    const { clock, events, outcome } = setUp({ pages: 60, eachMs: 2_000 })
    await clock.advanceAsync(119_000)
    expect(outcome()).toBe('under way')
    await clock.advanceAsync(1_000)
    expect(outcome()).toBe('done')
    expect(events).toEqual([])
  })

  test('is over when a page does not come, and what comes later changes nothing', async () => {
    const { clock, events, outcome } = setUp({ pages: 3, eachMs: 10_001 })
    await clock.advanceAsync(10_000)
    expect(outcome()).toBe('TimeoutError')
    expect(events).toMatchObject([{ type: 'lease-store-failed', operation: 'scan', failure: { kind: 'timeout' } }])
    await clock.advanceAsync(60_000)
  })
})
