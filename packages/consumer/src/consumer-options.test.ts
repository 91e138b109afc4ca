import { InvalidOptionError } from '@shardwise/core/options'
import { describe, expect, it } from 'vitest'
import { type ConsumerOptions, checkOptions } from './consumer-options.js'
import { MemoryLeaseStore } from './leases/memory-lease-store.js'

const REQUIRED = { stream: 'flights', applicationName: 'delays' }

describe('checkOptions', () => {
  it('fills in the defaults', () => {
    expect(checkOptions(REQUIRED)).toMatchObject({
      stream: 'flights',
      applicationName: 'delays',
      leaseTable: 'delays',
      workerId: undefined,
      failoverTimeMs: 10_000,
      handoffTimeoutMs: 30_000,
      initialPosition: 'latest',
      checkpointWriteAfterMs: undefined,
      checkpointEveryRecords: undefined,
      idleTimeBetweenReadsMs: 500,
      maxRecordsPerRead: 10_000,
      maxBufferedBytes: 64 * 1024 * 1024,
      handlerBackoff: { baseMs: 200, maxMs: 30_000 },
    })
  })

  it('keeps a default where undefined is given, and never touches the caller’s object', () => {
    const given = Object.freeze({ ...REQUIRED, failoverTimeMs: undefined, retry: Object.freeze({ maxMs: 500 }) })
    expect(checkOptions(given)).toMatchObject({ failoverTimeMs: 10_000, handlerBackoff: { baseMs: 200, maxMs: 500 } })
  })

  it.each([
    { failoverTimeMs: 10_000, checkpointIntervalMs: 3333, writeAfter: undefined },
    { failoverTimeMs: 10_000, checkpointIntervalMs: 60_000, writeAfter: undefined },
    { failoverTimeMs: 10_000, checkpointIntervalMs: 1000, writeAfter: 1000 },
    { failoverTimeMs: 3000, checkpointIntervalMs: 1000, writeAfter: undefined },
  ])('leaves checkpoints to renewals unless they are to be more frequent: %o', ({ writeAfter, ...given }) => {
    expect(checkOptions({ ...REQUIRED, ...given }).checkpointWriteAfterMs).toBe(writeAfter)
  })

  it('takes a copy of a date', () => {
    const at = new Date(5)
    const settings = checkOptions({ ...REQUIRED, initialPosition: { at } })
    at.setTime(9)
    expect(settings.initialPosition).toEqual({ at: new Date(5) })
  })

  it('lets a short application name pass where it names no table', () => {
    expect(checkOptions({ ...REQUIRED, applicationName: 'a', leaseTable: 'leases' }).leaseTable).toBe('leases')
    expect(checkOptions({ ...REQUIRED, applicationName: 'a', leaseStore: new MemoryLeaseStore() }).applicationName).toBe('a')
  })

  it.each<{ given: object; option: string; message: string }>([
    { given: { stream: undefined }, option: 'stream', message: 'the name' },
    { given: { stream: 'flight numbers' }, option: 'stream', message: "'flight numbers'" },
    { given: { stream: 'arn:aws:sqs:us-east-1:123456789012:flights' }, option: 'stream', message: 'ARN of a stream' },
    { given: { applicationName: '' }, option: 'applicationName', message: '1 to 128' },
    { given: { applicationName: 'ab' }, option: 'applicationName', message: 'unless `leaseTable` is given' },
    { given: { leaseTable: 'a b c' }, option: 'leaseTable', message: '3 to 255' },
    { given: { workerId: 'a b' }, option: 'workerId', message: 'without blanks' },
    { given: { failoverTimeMs: 999 }, option: 'failoverTimeMs', message: 'from 1000 to 600000' },
    { given: { handoffTimeoutMs: 0 }, option: 'handoffTimeoutMs', message: 'from 1000 to 3600000' },
    { given: { leaseStore: 'memory' }, option: 'leaseStore', message: 'as MemoryLeaseStore' },
    { given: { leaseStore: new MemoryLeaseStore(), leaseTable: 'leases' }, option: 'leaseTable', message: 'absent' },
    { given: { checkpointIntervalMs: 0 }, option: 'checkpointIntervalMs', message: 'from 100' },
    { given: { checkpointEveryRecords: 0 }, option: 'checkpointEveryRecords', message: 'from 1 to 10000000' },
    { given: { idleTimeBetweenReadsMs: 100 }, option: 'idleTimeBetweenReadsMs', message: 'from 200' },
    { given: { maxBufferedBytes: 1000 }, option: 'maxBufferedBytes', message: 'from 1048576 to 17179869184' },
    { given: { maxRecordsPerRead: 10_001 }, option: 'maxRecordsPerRead', message: 'from 1 to 10000' },
    { given: { retry: { baseMs: 100, maxMs: 50 } }, option: 'retry.maxMs', message: 'from 100' },
    { given: { codec: { encode: () => new Uint8Array() } as never }, option: 'codec', message: 'encode and decode' },
    { given: { dedupe: {} as never }, option: 'dedupe.maxRecordIds', message: 'whole number' },
    { given: { dedupe: { maxRecordIds: 0 } }, option: 'dedupe.maxRecordIds', message: 'from 1' },
    { given: { dedupe: { ids: 5 } as never }, option: 'dedupe.ids', message: 'no such option' },
    { given: { retry: 200 }, option: 'retry', message: '{ baseMs, maxMs }' },
    { given: { retry: { tries: 5 } }, option: 'retry.tries', message: 'no such option' },
    { given: { initialPosition: 'earliest' }, option: 'initialPosition', message: "'earliest'" },
    { given: { initialPosition: { at: new Date(Number.NaN) } }, option: 'initialPosition', message: '{ at: Date }' },
    { given: { aplicationName: 'x' }, option: 'aplicationName', message: 'no such option' },
  ])('refuses $given', ({ given, option, message }) => {
    const check = (): unknown => checkOptions({ ...REQUIRED, ...given } as ConsumerOptions)
    expect(check).toThrow(InvalidOptionError)
    expect(check).toThrow(message)
    expect(check).toThrow(expect.objectContaining({ option }))
  })
})
