import { expect, test } from 'vitest'
import { Screenplay } from './screenplay.js'

function stage() {
  const log: string[] = []
  const ends: (() => void)[] = []
  const act = (name: string, at: number) => ({
    at,
    title: name,
    play: () => new Promise<void>((resolve) => ends.push(resolve)).then(() => void log.push(`${name} ended`)),
  })
  const play = new Screenplay([act('first', 0.25), act('second', 0.5)], { total: 100, onAct: (title) => log.push(title) })
  return { log, ends, play }
}

test('an act is due when its share of all records has been put', async () => {
  const { play } = stage()
  expect([0, 24, 25, 90].map((put) => play.due(put))).toEqual([false, false, true, true])
  await play.advance()
  expect([49, 50].map((put) => play.due(put))).toEqual([false, true])
})

test('the next act waits for the last one, the first for nothing', async () => {
  const { play, log, ends } = stage()
  await play.advance()
  const second = play.advance()
  expect(log).toEqual(['first'])
  ends[0]!()
  await second
  expect(log).toEqual(['first', 'first ended', 'second'])
})

test('the end plays what has not been played, and waits for it', async () => {
  const { play, log, ends } = stage()
  const end = play.end()
  for (let i = 0; i < 2; i++) {
    while (ends[i] === undefined) await Promise.resolve()
    ends[i]!()
  }
  await end
  expect(log).toEqual(['first', 'first ended', 'second', 'second ended'])
})

test('an act that fails fails whoever waits for it', async () => {
  const play = new Screenplay([{ at: 0, title: 'broken', play: () => Promise.reject(new Error('no shard')) }], {
    total: 1,
    onAct: () => {},
  })
  await expect(play.end()).rejects.toThrow('no shard')
})
