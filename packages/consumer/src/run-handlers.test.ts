import { InvalidOptionError } from '@shardwise/core/options'
import { describe, expect, it } from 'vitest'
import type { ShardRecordProcessor } from './processors/shard-record-processor.js'
import { checkHandlers, type RunHandlers } from './run-handlers.js'

describe('checkHandlers', () => {
  it('takes one of the three', () => {
    expect(() => checkHandlers({ eachRecord: () => {} })).not.toThrow()
    expect(() => checkHandlers({ eachBatch: () => {} })).not.toThrow()
    expect(() => checkHandlers({ shardRecordProcessor: () => ({}) as ShardRecordProcessor })).not.toThrow()
  })

  it.each<{ name: string; given: unknown }>([
    { name: 'nothing', given: undefined },
    { name: 'a function', given: () => {} },
    { name: 'none', given: {} },
    { name: 'two', given: { eachRecord: () => {}, eachBatch: () => {} } },
    { name: 'all', given: { eachRecord: () => {}, eachBatch: () => {}, shardRecordProcessor: () => {} } },
    { name: 'another', given: { eachMessage: () => {} } },
    { name: 'something else than a function', given: { eachRecord: 'print' } },
    { name: 'a processor in the place of what makes it', given: { shardRecordProcessor: { processRecords: () => {} } } },
  ])('refuses $name', ({ given }) => {
    expect(() => checkHandlers(given as RunHandlers)).toThrow(InvalidOptionError)
  })

  it('takes methods, which keep their object, and what is changed afterwards counts for nothing', () => {
    class Printer {
      readonly #seen: unknown[] = []

      eachRecord(record: unknown): unknown[] {
        this.#seen.push(record)
        return this.#seen
      }
    }
    const printer = new Printer()
    const checked = checkHandlers(printer)
    printer.eachRecord = () => []
    expect(checked.eachRecord?.('record' as never, {} as never)).toEqual(['record'])
    expect(checkHandlers({ eachBatch: () => 'batch' }).eachBatch?.([], {} as never)).toBe('batch')
  })
})
