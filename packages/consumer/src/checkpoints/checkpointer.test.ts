import { ManualClock } from '@shardwise/core/clock'
import { describe, expect, it } from 'vitest'
import { Checkpointer } from './checkpointer.js'
import { type Position, sequencePosition } from './position.js'

class RecordingLease {
  readonly remembered: string[] = []
  readonly written: string[] = []
  ours = true
  finishWrite: (() => void) | undefined
  failWrite: ((error: Error) => void) | undefined

  isOurs(): boolean {
    return this.ours
  }
  checkpoint(position: Position): void {
    this.remembered.push(text(position))
  }
  checkpointNow(position: Position): Promise<void> {
    this.written.push(text(position))
    return new Promise((resolve, reject) => {
      this.finishWrite = resolve
      this.failWrite = reject
    })
  }
}

function text(position: Position): string {
  return position.kind === 'sequence' ? `${position.sequenceNumber}/${position.subSequenceNumber}` : position.kind
}

function setUp(writeAfterMs?: number, everyRecords?: number) {
  const clock = new ManualClock()
  const lease = new RecordingLease()
  return { clock, lease, checkpointer: new Checkpointer({ lease, writeAfterMs, everyRecords, clock }) }
}

const at = sequencePosition

describe('Checkpointer', () => {
  it('tells the lease at once, so that each renewal carries the newest position, and writes nothing itself', async () => {
    const { clock, lease, checkpointer } = setUp()
    checkpointer.completed(at('7', 2), 1)
    checkpointer.completed(at('8'), 1)
    expect(lease.remembered).toEqual(['7/2', '8/0'])
    expect(clock.pendingTimers).toBe(0)
    checkpointer.close()
    expect(lease.written).toEqual([])
  })

  it('writes once a period where that is asked for: the newest position', async () => {
    const { clock, lease, checkpointer } = setUp(1000)
    checkpointer.completed(at('7'), 1)
    clock.advance(500)
    checkpointer.completed(at('8'), 1)
    await clock.advanceAsync(499)
    expect(lease.written).toEqual([])
    await clock.advanceAsync(1)
    expect(lease.written).toEqual(['8/0'])
    lease.finishWrite?.()
    await clock.advanceAsync(10_000)
    expect(lease.written).toEqual(['8/0'])
  })

  it('has one write under way at most, and follows up what was completed meanwhile', async () => {
    const { clock, lease, checkpointer } = setUp(1000)
    checkpointer.completed(at('7'), 1)
    await clock.advanceAsync(1000)
    checkpointer.completed(at('8'), 1)
    await clock.advanceAsync(5000)
    expect(lease.written).toEqual(['7/0'])
    lease.finishWrite?.()
    await clock.advanceAsync(1000)
    expect(lease.written).toEqual(['7/0', '8/0'])
    lease.finishWrite?.()
    checkpointer.close()
  })

  it('writes at once after so many records, where that is asked for, counting from the last write', async () => {
    const { clock, lease, checkpointer } = setUp(undefined, 5)
    checkpointer.completed(at('7'), 4)
    expect(lease.written).toEqual([])
    checkpointer.completed(at('9'), 2)
    expect(lease.written).toEqual(['9/0'])
    checkpointer.completed(at('10'), 4)
    checkpointer.completed(at('12'), 2)
    expect(lease.written).toEqual(['9/0'])
    lease.finishWrite?.()
    await clock.advanceAsync(0)
    expect(lease.written).toEqual(['9/0', '12/0'])
    lease.finishWrite?.()
    await clock.advanceAsync(0)
    checkpointer.completed(at('13'), 4)
    expect([lease.written.length, clock.pendingTimers]).toEqual([2, 0])
  })

  it('by records and by time: the write of the one starts the other anew', async () => {
    const { clock, lease, checkpointer } = setUp(1000, 5)
    checkpointer.completed(at('7'), 4)
    await clock.advanceAsync(900)
    checkpointer.completed(at('8'), 1)
    expect(lease.written).toEqual(['8/0'])
    lease.finishWrite?.()
    await clock.advanceAsync(900)
    checkpointer.completed(at('9'), 4)
    await clock.advanceAsync(999)
    expect(lease.written).toEqual(['8/0'])
    await clock.advanceAsync(1)
    expect(lease.written).toEqual(['8/0', '9/0'])
    checkpointer.close()
  })

  it('does not write while the lease is in doubt', async () => {
    const { clock, lease, checkpointer } = setUp(1000)
    checkpointer.completed(at('7'), 1)
    lease.ours = false
    await clock.advanceAsync(1000)
    expect(lease.written).toEqual([])
    expect(lease.remembered).toEqual(['7/0'])
  })

  it('survives the loss of the lease during a write', async () => {
    const { clock, lease, checkpointer } = setUp(1000)
    checkpointer.completed(at('7'), 1)
    await clock.advanceAsync(1000)
    lease.failWrite?.(new Error('lost'))
    await clock.advanceAsync(0)
    checkpointer.close()
    expect(clock.pendingTimers).toBe(0)
  })

  it('starts no write after it was closed, not even behind the one under way', async () => {
    const { clock, lease, checkpointer } = setUp(1000)
    checkpointer.completed(at('7'), 1)
    await clock.advanceAsync(1000)
    checkpointer.close()
    checkpointer.completed(at('8'), 1)
    lease.finishWrite?.()
    await clock.advanceAsync(5000)
    expect(lease.written).toEqual(['7/0'])
    expect(clock.pendingTimers).toBe(0)
  })
})
