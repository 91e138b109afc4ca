import { InvalidOptionError, refuseUnknownOptions } from '@shardwise/core/options'
import type { Handlers } from './delivery/handler.js'
import type { ShardRecordProcessorFactory } from './processors/shard-record-processor.js'

/** What a consumer runs: one of the three. */
export type RunHandlers<T = Uint8Array> =
  | (Handlers<T> & { readonly shardRecordProcessor?: never })
  | {
      /** Makes the processor of each shard that is acquired: for code that was written for the KCL. */
      readonly shardRecordProcessor: ShardRecordProcessorFactory<T>
      readonly eachRecord?: never
      readonly eachBatch?: never
    }

/** Throws InvalidOptionError unless exactly one handler is given. It is called as a method of `handlers`, which may be of a class. */
export function checkHandlers(handlers: RunHandlers): RunHandlers {
  const forms = '{ eachRecord }, { eachBatch } or { shardRecordProcessor }'
  if (typeof handlers !== 'object' || handlers === null) throw new InvalidOptionError('handlers', forms, handlers)
  refuseUnknownOptions(handlers, ['eachRecord', 'eachBatch', 'shardRecordProcessor'])
  const { eachRecord, eachBatch, shardRecordProcessor } = handlers
  const given = Object.entries({ eachRecord, eachBatch, shardRecordProcessor }).filter(([, handler]) => handler !== undefined)
  if (given.length !== 1) throw new InvalidOptionError('handlers', `either ${forms}, one of the three`, handlers)
  for (const [name, handler] of given)
    if (typeof handler !== 'function') throw new InvalidOptionError(name, 'a function', handler)
  if (eachRecord !== undefined) return { eachRecord: (...call) => eachRecord.apply(handlers, call) }
  if (eachBatch !== undefined) return { eachBatch: (...call) => eachBatch.apply(handlers, call) }
  return { shardRecordProcessor: (...call) => shardRecordProcessor!.apply(handlers, call) }
}
