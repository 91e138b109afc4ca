import { describe, expect, test } from 'vitest'
import { PausedStreams } from './paused-streams.js'

type Action = readonly ['pause' | 'resume', shardId: string | undefined, stream: string | undefined]

function paused(actions: readonly Action[]): string[] {
  const streams = new PausedStreams()
  for (const stream of ['a', 'b']) streams.of(stream)
  for (const [action, shardId, stream] of actions) streams[action](shardId, stream)
  return ['a', 'b', 'later'].flatMap((stream) =>
    ['1', '2'].flatMap((shardId) => (streams.isPaused(shardId, stream) ? `${stream}${shardId}` : [])),
  )
}

describe('PausedStreams', () => {
  test.each<[string, readonly Action[], string[]]>([
    ['all, of streams that come later too', [['pause', undefined, undefined]], ['a1', 'a2', 'b1', 'b2', 'later1', 'later2']],
    ['one stream', [['pause', undefined, 'a']], ['a1', 'a2']],
    ['one shard of one stream', [['pause', '1', 'b']], ['b1']],
    ['the shards of one id, of streams that come later too', [['pause', '1', undefined]], ['a1', 'b1', 'later1']],
    ['a stream before it is known', [['pause', undefined, 'later']], ['later1', 'later2']],
    [
      'all but the shards of one id',
      [
        ['pause', undefined, undefined],
        ['resume', '1', undefined],
      ],
      ['a2', 'b2', 'later2'],
    ],
    [
      'all but a stream',
      [
        ['pause', undefined, undefined],
        ['resume', undefined, 'a'],
      ],
      ['b1', 'b2', 'later1', 'later2'],
    ],
    [
      'a stream but one shard',
      [
        ['pause', undefined, 'a'],
        ['resume', '2', 'a'],
      ],
      ['a1'],
    ],
    [
      'nothing',
      [
        ['pause', '1', 'a'],
        ['pause', undefined, undefined],
        ['resume', undefined, undefined],
      ],
      [],
    ],
  ])('%s', (_name, actions, expected) => {
    expect(paused(actions)).toEqual(expected)
  })
})
