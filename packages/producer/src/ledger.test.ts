import { EventSource } from '@shardwise/core/events'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Ledger } from './ledger.js'
import type { ProducerEvent } from './producer-events.js'
import { recordOf } from './testing/records.js'
import type { UserRecord } from './user-record.js'

/** Its key is one byte. */
const of = (bytes: number): UserRecord => recordOf('k', bytes - 1)

function ledgerOf(limits: { maxBytes?: number; maxRecords?: number } = {}): { ledger: Ledger; told: unknown[] } {
  const events = new EventSource<ProducerEvent>()
  const told: unknown[] = []
  events.onAny((event) => told.push(event))
  return { ledger: new Ledger({ maxBytes: 100, maxRecords: 10, ...limits }, events), told }
}

/** How the promise has settled by now, if it has. */
function state(promise: Promise<unknown>): Promise<string> {
  const settled = promise.then(
    () => 'resolved',
    (error: Error) => error.name,
  )
  // Two steps: one later than what has settled already.
  const pending = Promise.resolve('pending').then((word) => Promise.resolve(word))
  return Promise.race([settled, pending])
}

describe('Ledger', () => {
  test('what is turned away is not waited for and takes no room', async () => {
    const { ledger } = ledgerOf()
    expect(ledger.take(of(101))).toBe(false)
    expect([ledger.bytes, ledger.records, ledger.waiting, ledger.isEmpty]).toEqual([0, 0, 0, true])
    expect(await state(ledger.flush())).toBe('resolved')
  })

  test('a flush waits for what stands in line, and not for what comes after it', async () => {
    const { ledger } = ledgerOf()
    const [first, second, later] = [of(80), of(80), of(80)]
    expect([ledger.takeOrWait(first), ledger.takeOrWait(second)]).toEqual([true, false])
    const flushed = ledger.flush()
    ledger.takeOrWait(later)
    expect([first, second, later].map((record) => ledger.isFlushing(record))).toEqual([true, true, false])
    ledger.leave(first)
    expect(ledger.admitNext()).toBe(second)
    ledger.wake()
    expect(await state(flushed)).toBe('pending')
    ledger.leave(second)
    ledger.wake()
    expect([await state(flushed), ledger.isEmpty]).toEqual(['resolved', false])
    expect(ledger.isFlushing(later)).toBe(false)
  })

  test('flushes end in their order, each when its own records have settled', async () => {
    const { ledger } = ledgerOf()
    const [first, second] = [of(10), of(10)]
    ledger.take(first)
    const one = ledger.flush()
    ledger.take(second)
    const two = ledger.flush()
    ledger.leave(second)
    ledger.wake()
    expect([await state(one), await state(two)]).toEqual(['pending', 'pending'])
    ledger.leave(first)
    ledger.wake()
    expect([await state(one), await state(two)]).toEqual(['resolved', 'resolved'])
  })

  test('ready waits until the largest that was turned away has room', async () => {
    const { ledger } = ledgerOf()
    const held = [of(30), of(60)]
    for (const record of held) ledger.take(record)
    expect([ledger.take(of(50)), ledger.take(of(20))]).toEqual([false, false])
    const ready = ledger.ready()
    ledger.leave(held[0]!)
    ledger.wake()
    expect(await state(ready)).toBe('pending')
    ledger.leave(held[1]!)
    ledger.wake()
    expect(await state(ready)).toBe('resolved')
    expect(await state(ledger.ready())).toBe('resolved')
  })

  test('what was turned away before there was room no longer counts', async () => {
    const { ledger } = ledgerOf()
    const [first, second, third] = [of(20), of(60), of(60)]
    ledger.take(first)
    ledger.take(of(90))
    ledger.leave(first)
    ledger.wake()
    for (const record of [first, second]) ledger.take(record)
    expect(ledger.take(third)).toBe(false)
    const ready = ledger.ready()
    ledger.leave(second)
    ledger.wake()
    expect(await state(ready)).toBe('resolved')
  })

  test('ready waits behind those in line', async () => {
    const { ledger } = ledgerOf()
    const [first, second] = [of(60), of(60)]
    ledger.take(first)
    ledger.takeOrWait(second)
    const ready = ledger.ready()
    ledger.leave(first)
    ledger.wake()
    expect(await state(ready)).toBe('pending')
    ledger.admitNext()
    ledger.wake()
    expect(await state(ready)).toBe('resolved')
  })

  test('tells once that it is full, and once that it is not any more', () => {
    const { ledger, told } = ledgerOf()
    const first = of(90)
    ledger.take(first)
    expect(told).toEqual([])
    ledger.take(of(20))
    ledger.takeOrWait(of(30))
    ledger.take(of(1))
    expect(told).toEqual([{ type: 'backpressure-on', bufferedRecords: 1, bufferedBytes: 90 }])
    ledger.wake()
    ledger.leave(first)
    ledger.wake()
    expect(told).toHaveLength(1)
    ledger.admitNext()
    ledger.wake()
    ledger.wake()
    expect(told.slice(1)).toEqual([{ type: 'backpressure-off', bufferedRecords: 1, bufferedBytes: 30 }])
  })

  test('says that it is full when there is no room for a put, and with each turn as long as that is so', () => {
    const { ledger } = ledgerOf()
    let said = 0
    ledger.onFull = () => said++
    const first = of(90)
    ledger.take(first)
    ledger.wake()
    expect(said).toBe(0)
    ledger.take(of(20))
    ledger.take(of(20))
    expect(said).toBe(1)
    ledger.wake()
    ledger.wake()
    expect(said).toBe(3)
    ledger.leave(first)
    ledger.wake()
    expect(said).toBe(3)
  })

  test('closing rejects those who wait for room', async () => {
    const { ledger } = ledgerOf()
    ledger.take(of(90))
    ledger.take(of(20))
    const ready = ledger.ready()
    ledger.close()
    expect(await state(ready)).toBe('ProducerClosedError')
  })

  test('holds exactly what was taken in and has not left, within its limits and in the order of coming', () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constantFrom('put' as const, 'offer' as const), bytes: fc.integer({ min: 2, max: 60 }) }),
      fc.record({ kind: fc.constant('leave' as const), place: fc.nat({ max: 9 }) }),
      fc.record({ kind: fc.constant('admit' as const) }),
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const { ledger } = ledgerOf({ maxRecords: 4 })
        const inside: UserRecord[] = []
        const line: UserRecord[] = []
        for (const action of actions) {
          if (action.kind === 'leave') {
            if (inside.length > 0) ledger.leave(inside.splice(action.place % inside.length, 1)[0]!)
          } else if (action.kind === 'admit') {
            const next = ledger.admitNext()
            if (next === undefined) continue
            expect(next).toBe(line.shift())
            inside.push(next)
          } else {
            const record = of(action.bytes)
            const room = line.length === 0 && inside.length < 4 && ledger.bytes + record.bytes <= 100
            const taken = action.kind === 'put' ? ledger.takeOrWait(record) : ledger.take(record)
            expect(taken).toBe(room)
            if (taken) inside.push(record)
            else if (action.kind === 'put') line.push(record)
          }
          expect([ledger.records, ledger.waiting, ledger.isEmpty]).toEqual([
            inside.length,
            line.length,
            inside.length + line.length === 0,
          ])
          expect(ledger.bytes).toBe(inside.reduce((sum, { bytes }) => sum + bytes, 0))
        }
      }),
    )
  })
})
