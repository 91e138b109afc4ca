import type { World } from './world.js'

/**
 * Whenever a shard is read: one that holds its part, which is half of what the consumer may hold, divided by its shards, is read ahead only while
 * all together hold less than they may.
 */
export function judgeReadAhead({ settings, consumers, violated }: World, by: string, stream: string, shardId: string): void {
  const most = settings.consumer.maxBufferedBytes
  const app = most === undefined ? undefined : consumers.find(({ process }) => process.name === by)
  if (most === undefined || app === undefined) return
  const { buffered } = app
  const bytes = buffered.reduce((sum, of) => sum + of.bytes, 0)
  const own = buffered.find((of) => of.stream === stream && of.shardId === shardId)?.bytes ?? 0
  if (bytes >= most && own >= most / 2 / buffered.length)
    violated(`${by} reads ${shardId} ahead and holds ${bytes} bytes, of ${most}, and ${own} of them of this shard`)
}
