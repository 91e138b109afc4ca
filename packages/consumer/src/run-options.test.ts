import { InvalidOptionError } from '@shardwise/core/options'
import { describe, expect, it } from 'vitest'
import type { ShardRecordProcessor } from './processors/shard-record-processor.js'
import type { RunHandlers } from './run-handlers.js'
import { checkRunOptions, type RunOptions } from './run-options.js'

const eachRecord: RunHandlers = { eachRecord: () => {} }
const eachBatch: RunHandlers = { eachBatch: () => {} }
const processor: RunHandlers = { shardRecordProcessor: () => ({}) as ShardRecordProcessor }
const deadLetter = (): void => {}

describe('checkRunOptions', () => {
  it('fills in the defaults, where undefined is given too', () => {
    for (const given of [{}, { concurrency: undefined, order: undefined, onFailure: undefined }]) {
      expect(checkRunOptions(eachRecord, given)).toEqual({ concurrency: 1, onFailure: 'retry', checkpoint: 'auto' })
    }
  })

  it.each<{ given: RunOptions; handlers?: RunHandlers; expected: object }>([
    { given: { concurrency: 8, order: 'key' }, expected: { concurrency: 8 } },
    { given: { concurrency: 1, order: 'shard' }, handlers: eachBatch, expected: { concurrency: 1 } },
    { given: {}, handlers: processor, expected: { checkpoint: 'manual', concurrency: 1 } },
    { given: { checkpoint: 'manual' }, expected: { checkpoint: 'manual' } },
    { given: { onFailure: 'retry' }, expected: { onFailure: 'retry' } },
    { given: { onFailure: { attempts: 1, giveUp: 'skip' } }, expected: { onFailure: { attempts: 1, giveUp: 'skip' } } },
    {
      given: { onFailure: { attempts: 5, giveUp: 'stop-shard' } },
      expected: { onFailure: { attempts: 5, giveUp: 'stop-shard' } },
    },
    {
      given: { onFailure: { attempts: 5, giveUp: { deadLetter } } },
      handlers: eachBatch,
      expected: { onFailure: { attempts: 5, giveUp: { deadLetter: expect.any(Function) } } },
    },
  ])('takes $given', ({ given, handlers = eachRecord, expected }) => {
    expect(checkRunOptions(handlers, given)).toMatchObject(expected)
  })

  it('a deadLetter is a method of its object', async () => {
    class Letters {
      readonly #letters: unknown[] = []

      deadLetter(record: unknown): unknown[] {
        this.#letters.push(record)
        return this.#letters
      }
    }
    const { onFailure } = checkRunOptions(eachRecord, { onFailure: { attempts: 1, giveUp: new Letters() } })
    const giveUp = onFailure === 'retry' ? undefined : onFailure.giveUp
    const { deadLetter } = giveUp as Letters
    expect(deadLetter('record')).toEqual(['record'])
  })

  it.each<{ given: unknown; handlers?: RunHandlers; option: string; message: string }>([
    { given: null, option: 'options', message: 'an object' },
    { given: { parallel: 3 }, option: 'parallel', message: 'no such option' },
    { given: { concurrency: 0, order: 'key' }, option: 'concurrency', message: 'from 1 to 1000' },
    { given: { concurrency: 2 }, option: 'concurrency', message: "unless order is 'key'" },
    { given: { order: 'any' }, option: 'order', message: "'shard' or 'key'" },
    { given: { order: 'key' }, handlers: eachBatch, option: 'order', message: 'eachBatch' },
    { given: { checkpoint: 'auto' }, handlers: processor, option: 'checkpoint', message: 'makes the checkpoints itself' },
    { given: { order: 'key' }, handlers: processor, option: 'order', message: 'shardRecordProcessor' },
    { given: { checkpoint: 'never' }, option: 'checkpoint', message: "'auto' or 'manual'" },
    { given: { onFailure: 'skip' }, option: 'onFailure', message: '{ attempts, giveUp }' },
    { given: { onFailure: { giveUp: 'skip' } }, option: 'onFailure.attempts', message: 'from 1 to 1000' },
    { given: { onFailure: { attempts: 0, giveUp: 'skip' } }, option: 'onFailure.attempts', message: 'from 1 to 1000' },
    { given: { onFailure: { attempts: 2 } }, option: 'onFailure.giveUp', message: "'skip', 'stop-shard' or" },
    { given: { onFailure: { attempts: 2, giveUp: {} } }, option: 'onFailure.giveUp', message: 'a function' },
    { given: { onFailure: { attempts: 2, giveUp: 'skip', backoff: 3 } }, option: 'onFailure.backoff', message: 'no such option' },
  ])('refuses $given', ({ given, handlers = eachRecord, option, message }) => {
    const check = (): unknown => checkRunOptions(handlers, given as RunOptions)
    expect(check).toThrow(InvalidOptionError)
    expect(check).toThrow(message)
    expect(check).toThrow(expect.objectContaining({ option }))
  })
})
