import { expect, test } from 'vitest'
import { MemoryLeaseStore } from '../leases/memory-lease-store.js'
import type { ConsumedStream } from './consumed-stream.js'
import { StreamSet } from './stream-set.js'

test('an audit leaves alone the streams that were removed while it was busy with others: it would create what was deleted', async () => {
  const set = new StreamSet(new MemoryLeaseStore())
  const audited: string[] = []
  const stream = (streamId: string, meanwhile: () => void = () => {}): ConsumedStream => {
    const audit = async (): Promise<void> => {
      audited.push(streamId)
      meanwhile()
    }
    return { streamId, leaving: false, discovery: { audit } } as unknown as ConsumedStream
  }
  const [leaving, gone, last] = [stream('leaving'), stream('gone'), stream('last')]
  const first = stream('first', () => {
    leaving.leaving = true
    set.delete(gone)
  })
  for (const each of [first, leaving, gone, last]) set.add(each)
  await set.audit([])
  expect(audited).toEqual(['first', 'last'])
})
