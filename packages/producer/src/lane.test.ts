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

it('takes thousands back in order of expiry without looking at each of the others', () => {
  const lane = new LaneState(undefined, [], false)
  let looks = 0
  const expiring = (at: number): Entry =>
    ({
      get expiresAt() {
        looks++
        return at
      },
    }) as Entry
  const times = Array.from({ length: 4000 }, (_, i) => (i * 1999) % 4000)
  for (const time of times) lane.comeBack(expiring(time))
  expect(looks).toBeLessThan(4000 * 40)
  expect([...lane.entries()].map(({ expiresAt }) => expiresAt)).toEqual(times.toSorted((a, b) => a - b))
})
