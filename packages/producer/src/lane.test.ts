import { expect, it } from 'vitest'
import { Entry } from './entry.js'
import { LaneState } from './lane.js'
import { UserRecord } from './user-record.js'

it('holds no entry that was taken, though it holds others behind it: in an outage records that expire would fill the memory', () => {
  const lane = new LaneState(undefined, [], true)
  const entries = ['a', 'b', 'c'].map((key) => Entry.plain(new UserRecord(key, undefined, Buffer.from(key), 2), undefined, 0))
  lane.queue.push(...entries)
  const [first, second, third] = entries
  expect(lane.shift()).toBe(first)
  expect(lane.shift()).toBe(second)
  expect(lane.queue.filter((entry) => entry !== undefined)).toEqual([third])
  expect([lane.head, lane.queued, [...lane.entries()]]).toEqual([third, 1, [third]])
})
