import fc from 'fast-check'
import { expect, it } from 'vitest'
import { PausedShards } from './paused-shards.js'

const SHARDS = ['a', 'b', 'c']
const target = fc.constantFrom(undefined, ...SHARDS)

it('the last word about a shard, or about all, counts', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ pause: fc.boolean(), target })), (words) => {
      const paused = new PausedShards()
      for (const word of words) word.pause ? paused.pause(word.target) : paused.resume(word.target)
      for (const shard of [...SHARDS, 'new']) {
        const last = words.findLast((word) => word.target === undefined || word.target === shard)
        expect(paused.isPaused(shard)).toBe(last?.pause ?? false)
        expect(paused.isOpen(shard)).toBe(!paused.isPaused(shard))
      }
    }),
  )
})

it.each(['resume of it', 'resume of all', 'halt', 'halt before'])('lets a waiting call ask again after %s', async (cause) => {
  const paused = new PausedShards()
  const halt = new AbortController()
  paused.pause('a')
  if (cause === 'halt before') halt.abort()
  const opened = paused.opened('a', halt.signal)
  if (cause === 'resume of it') paused.resume('a')
  if (cause === 'resume of all') paused.resume(undefined)
  if (cause === 'halt') halt.abort()
  await opened
})
