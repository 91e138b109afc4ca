import { describe, expect, it } from 'vitest'
import { Ledger } from './ledger.js'

function ledgerOf(rows: number, keys: number): Ledger {
  const ledger = new Ledger(keys)
  for (let i = 0; i < rows; i++) ledger.nextRow()
  return ledger
}

describe('Ledger', () => {
  it('numbers the rows, and gives them keys by turns', () => {
    const ledger = new Ledger(2)
    expect([ledger.nextRow(), ledger.nextRow(), ledger.nextRow()]).toEqual([
      { row: 0, key: 'key-0' },
      { row: 1, key: 'key-1' },
      { row: 2, key: 'key-0' },
    ])
  })

  it('knows what no handler saw', () => {
    const ledger = ledgerOf(5, 2)
    ledger.record('java', [
      [0, 'a'],
      [3, 'd'],
    ])
    expect(ledger).toMatchObject({ put: 5, seen: 2, missing: 3, outOfOrder: 0, seenTwice: 0 })
    expect(ledger.missingRows(2)).toEqual([1, 2])
  })

  it('tells a record that came again from one that was stored again', () => {
    const ledger = ledgerOf(1, 1)
    ledger.record('java', [[0, 'a']])
    ledger.record('shardwise', [
      [0, 'a'],
      [0, 'b'],
    ])
    expect(ledger).toMatchObject({ seen: 1, seenTwice: 1, storedTwice: 1, missing: 0 })
    expect([ledger.seenBy('java'), ledger.seenBy('shardwise'), ledger.seenBy('nobody')]).toEqual([1, 2, 0])
  })

  it('asks for order within a key, and of first sightings only', () => {
    const ledger = ledgerOf(4, 2)
    ledger.record('java', [
      [1, 'b'],
      [0, 'a'],
      [2, 'c'],
      [0, 'a'],
    ])
    expect(ledger.outOfOrder).toBe(0)
    const disordered = ledgerOf(4, 2)
    disordered.record('java', [
      [2, 'c'],
      [0, 'a'],
    ])
    expect(disordered.outOfOrder).toBe(1)
  })

  it('counts rows that were never put', () => {
    const ledger = ledgerOf(1, 1)
    ledger.record('java', [
      [1, 'b'],
      [Number.NaN, 'x'],
    ])
    expect(ledger).toMatchObject({ unknown: 2, seen: 0, missing: 1 })
  })
})
