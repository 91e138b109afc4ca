import { ShardMap } from '@shardwise/core/shard-map'
import { describe, expect, test } from 'vitest'
import { Dispatcher } from './dispatcher.js'
import { Entry } from './entry.js'
import { Meter } from './meter.js'
import { checkOptions } from './producer-options.js'
import { listingOf } from './testing/known-stream.js'
import { entryOf, recordOf, shardOf } from './testing/records.js'

const MIB = 1024 * 1024
const meter = new Meter(checkOptions({ stream: 'flights' }))
const HALF = 2n ** 127n
const [left, right] = [shardOf('left', { start: 0n, end: HALF - 1n }), shardOf('right', { start: HALF, end: 2n * HALF - 1n })]
const [NEVER, AT_ONCE] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]

function expiring(expiresAt: number, size = 10, shard = left): Entry {
  return Entry.plain(Object.assign(recordOf('k', size), { expiresAt }), shard, 1000)
}

/** What goes when nothing lingers. */
function sent(dispatcher: Dispatcher, now: number): Entry[] {
  dispatcher.hurry(now)
  dispatcher.releaseAll(now)
  dispatcher.hurry(now)
  return dispatcher.takeDue(now) ?? []
}

describe('Dispatcher', () => {
  test('a request is due with its first deadline, and then goes whole', () => {
    const dispatcher = new Dispatcher({ ordering: 'none', meter })
    const entries = [entryOf(left, { deadline: 100 }), entryOf(right, { deadline: 80 }), entryOf(left, { deadline: 120 })]
    for (const entry of entries) dispatcher.release(dispatcher.enqueue(entry), 0)
    expect([dispatcher.dueAt, dispatcher.takeDue(79), dispatcher.queued]).toEqual([80, undefined, 3])
    expect([dispatcher.takeDue(80), dispatcher.dueAt, dispatcher.queued]).toEqual([entries, NEVER, 0])
  })

  test('what a shard takes goes; the next waits for its limit, counts once, and holds up no other shard', () => {
    const dispatcher = new Dispatcher({ ordering: 'none', meter, random: () => 0 })
    // With its key of one byte each is four tenths of what a shard takes in a second, and eight tenths may go at once.
    const [one, two, three] = [0, 0, 0].map(() => entryOf(left, { size: 0.4 * MIB - 1 })) as [Entry, Entry, Entry]
    for (const entry of [one, two, three]) dispatcher.enqueue(entry)
    dispatcher.enqueue(entryOf(right))
    expect(sent(dispatcher, 0)).toHaveLength(3)
    expect([dispatcher.queued, dispatcher.limited, dispatcher.wakeAt]).toEqual([1, 1, 400])
    // Asked again before its time, as every put to the shard does.
    for (const now of [100, 200, 399]) expect(sent(dispatcher, now)).toEqual([])
    expect(dispatcher.limited).toBe(1)
    expect(sent(dispatcher, 400)).toEqual([three])
    dispatcher.settled(three)
    dispatcher.requeue(three, 400)
    expect([sent(dispatcher, 400), dispatcher.limited]).toEqual([[], 2])
  })

  test('without order, what waits for a limit does not send the request before it is due', () => {
    const dispatcher = new Dispatcher({ ordering: 'none', meter })
    dispatcher.enqueue(entryOf(left, { deadline: 100 }))
    dispatcher.release(dispatcher.enqueue(entryOf(left, { size: MIB, deadline: 100 })), 0)
    expect([dispatcher.limited, dispatcher.dueAt]).toEqual([1, 100])
  })

  test('a shard that closes leaves nothing behind for one of the same name', () => {
    const dispatcher = new Dispatcher({ ordering: 'none', meter })
    dispatcher.enqueue(entryOf(left, { size: MIB }))
    expect(sent(dispatcher, 0)).toHaveLength(1)
    for (const shards of [[shardOf('other')], [left, right]]) dispatcher.changeMap(ShardMap.from(shards.map(listingOf)))
    dispatcher.enqueue(entryOf(left, { size: MIB }))
    expect(sent(dispatcher, 0)).toHaveLength(1)
  })

  test('what the service places as it likes has the quota of all open shards', () => {
    const dispatcher = new Dispatcher({ ordering: 'none', meter })
    dispatcher.changeMap(undefined, 3)
    for (let i = 0; i < 3; i++) dispatcher.enqueue(entryOf(undefined, { size: 0.8 * MIB - 1 }))
    expect([sent(dispatcher, 0), dispatcher.limited]).toMatchObject([{ length: 3 }, 0])
    dispatcher.enqueue(entryOf(undefined))
    expect([sent(dispatcher, 0), dispatcher.limited]).toMatchObject([{ length: 0 }, 1])
  })

  test("a new entry does not jump the line of those that wait for the stream's rate", () => {
    const streamRate = { recordsPerSecond: 1, bytesPerSecond: MIB }
    const dispatcher = new Dispatcher({ ordering: 'none', meter, streamRate, random: () => 0 })
    const [first, second, jumper] = [entryOf(left), entryOf(left), entryOf(right)]
    for (const entry of [first, second]) dispatcher.enqueue(entry)
    expect([sent(dispatcher, 0), dispatcher.wakeAt]).toEqual([[first], 1000])
    dispatcher.release(dispatcher.enqueue(jumper), 1000)
    expect([sent(dispatcher, 1000), sent(dispatcher, 2000)]).toEqual([[second], [jumper]])
  })

  test('what was picked and not sent does not pay twice', () => {
    const dispatcher = new Dispatcher({ ordering: 'none', meter, streamRate: { recordsPerSecond: 1, bytesPerSecond: MIB } })
    const entry = entryOf(left, { size: MIB, deadline: 100 })
    dispatcher.release(dispatcher.enqueue(entry), 0)
    for (let i = 0; i < 3; i++) dispatcher.changeMap(ShardMap.from([left, right].map(listingOf)))
    expect([sent(dispatcher, 0), dispatcher.limited]).toEqual([[entry], 0])
  })

  test('an entry that was tried goes before the new ones, and not before its time', () => {
    const dispatcher = new Dispatcher({ ordering: 'none', meter })
    const [tried, fresh, elsewhere] = [entryOf(left), entryOf(left), entryOf(right)]
    dispatcher.enqueue(fresh)
    dispatcher.enqueue(elsewhere)
    dispatcher.requeue(tried, 50)
    expect([sent(dispatcher, 49), dispatcher.wakeAt]).toEqual([[elsewhere], 50])
    expect(sent(dispatcher, 50)).toEqual([tried, fresh])
  })

  test('when the request is full the shard that had its turn comes last', () => {
    const dispatcher = new Dispatcher({ ordering: 'none', meter })
    // 500 records are a request: the first shard fills it.
    for (let i = 0; i < 600; i++) dispatcher.enqueue(entryOf(left))
    dispatcher.enqueue(entryOf(right))
    dispatcher.releaseAll(0)
    expect([dispatcher.dueAt, dispatcher.takeDue(0)]).toMatchObject([AT_ONCE, { length: 500 }])
    expect(sent(dispatcher, 0).map((entry) => entry.shardId)).toEqual(['right', ...new Array(100).fill('left')])
  })

  test('with order kept, one of a shard goes at a time, and at once when another waits behind it', () => {
    const dispatcher = new Dispatcher({ ordering: 'perShard', meter })
    const [one, two] = [entryOf(left, { deadline: 100 }), entryOf(left, { deadline: 100 })]
    dispatcher.release(dispatcher.enqueue(one), 0)
    expect(dispatcher.dueAt).toBe(100)
    dispatcher.release(dispatcher.enqueue(two), 0)
    expect([dispatcher.dueAt, dispatcher.takeDue(0)]).toEqual([AT_ONCE, [one]])
    expect(sent(dispatcher, 1)).toEqual([])
    dispatcher.settled(one)
    expect(sent(dispatcher, 1)).toEqual([two])
  })

  test('with order kept, what waits for the shard before it in a reshard goes when that has settled', () => {
    const dispatcher = new Dispatcher({ ordering: 'perShard', meter })
    const [flying, child] = [entryOf('parent'), entryOf(left)]
    dispatcher.enqueue(flying)
    expect(sent(dispatcher, 0)).toEqual([flying])
    dispatcher.changeMap(ShardMap.from([left, right].map(listingOf)))
    dispatcher.enqueue(child)
    expect(sent(dispatcher, 1)).toEqual([])
    dispatcher.settled(flying)
    expect(sent(dispatcher, 2)).toEqual([child])
  })

  test.each<['none' | 'perShard', boolean]>([
    ['none', true],
    ['perShard', false],
  ])('an expired entry is passed over, and with order kept (%s) nothing is let past it', (ordering, past) => {
    const dispatcher = new Dispatcher({ ordering, meter })
    const [late, behind, elsewhere] = [expiring(50), expiring(90), expiring(90, 10, right)]
    for (const entry of [late, behind, elsewhere]) dispatcher.enqueue(entry)
    expect(sent(dispatcher, 50)).toEqual(past ? [behind, elsewhere] : [elsewhere])
    expect([dispatcher.hasExpired, dispatcher.takeExpired(), dispatcher.hasExpired]).toEqual([true, [late], false])
    if (!past) expect(sent(dispatcher, 50)).toEqual([behind])
    expect(dispatcher.queued).toBe(0)
  })

  test('in order of each key, what is behind one in flight expires in its time, and is woken for', () => {
    const dispatcher = new Dispatcher({ ordering: 'perKey', meter })
    const [flying, late, behind] = [expiring(500), expiring(50), expiring(90)]
    dispatcher.enqueue(flying)
    expect(sent(dispatcher, 0)).toEqual([flying])
    for (const entry of [late, behind]) dispatcher.enqueue(entry)
    dispatcher.releaseAll(0)
    expect([dispatcher.wakeAt, dispatcher.hasExpired]).toEqual([50, false])
    dispatcher.releaseAll(50)
    expect([dispatcher.takeExpired(), dispatcher.queued]).toEqual([[late], 1])
    dispatcher.settled(flying)
    // What expired is not dealt with yet, and the next of its key waits for that.
    expect(sent(dispatcher, 60)).toEqual([])
    dispatcher.settled(late)
    expect(sent(dispatcher, 60)).toEqual([behind])
  })

  test('in order of each key, one that others of its key wait for does not linger, whichever comes first', () => {
    const dispatcher = new Dispatcher({ ordering: 'perKey', meter })
    const [first, second, alone] = [1, 2, 3].map((i) => entryOf(left, { deadline: 100, key: i < 3 ? 'k' : 'alone' })) as [
      Entry,
      Entry,
      Entry,
    ]
    for (const entry of [first, second]) dispatcher.enqueue(entry)
    dispatcher.releaseAll(0)
    expect([dispatcher.dueAt, dispatcher.takeDue(0)]).toEqual([AT_ONCE, [first]])
    dispatcher.settled(first)
    dispatcher.enqueue(alone)
    dispatcher.releaseAll(1)
    expect(dispatcher.dueAt).toBe(100)
    dispatcher.enqueue(entryOf(left, { deadline: 100, key: 'alone' }))
    expect([dispatcher.dueAt, dispatcher.takeDue(1)]).toEqual([AT_ONCE, [second, alone]])
  })

  test('what expires in a request that waits for its turn is taken out of it, and the rest keeps its order', () => {
    const dispatcher = new Dispatcher({ ordering: 'none', meter })
    const [first, late, last] = [expiring(90), expiring(50), expiring(90)]
    for (const entry of [first, late, last]) dispatcher.release(dispatcher.enqueue(entry), 0)
    expect(dispatcher.wakeAt).toBe(50)
    expect([sent(dispatcher, 50), dispatcher.takeExpired()]).toEqual([[first, last], [late]])
  })

  test.each(['none', 'perKey'] as const)(
    'ordering %s: what came back expires in its time behind another that lives longer',
    (ordering) => {
      const dispatcher = new Dispatcher({ ordering, meter })
      const live = (key: string, expiresAt: number): Entry =>
        Entry.plain(Object.assign(recordOf(key, 10), { expiresAt }), left, 1000)
      const [long, short, queued] = [live('a', 9_000), live('b', 500), live('c', 400)] as [Entry, Entry, Entry]
      for (const entry of [long, short]) dispatcher.enqueue(entry)
      expect(sent(dispatcher, 0)).toHaveLength(2)
      dispatcher.enqueue(queued)
      // The shard takes nothing for a while.
      dispatcher.requeue(long, 2_000)
      dispatcher.requeue(short, 2_000)
      dispatcher.releaseAll(1)
      expect([dispatcher.wakeAt, dispatcher.takeExpired()]).toEqual([400, []])
      dispatcher.releaseAll(400)
      expect([dispatcher.takeExpired(), dispatcher.wakeAt]).toEqual([[queued], 500])
      dispatcher.releaseAll(500)
      expect([dispatcher.takeExpired(), dispatcher.wakeAt]).toEqual([[short], 2_000])
      expect(sent(dispatcher, 2_000)).toEqual([long])
    },
  )

  test('wakes for what expires while it is held back', () => {
    const dispatcher = new Dispatcher({ ordering: 'none', meter })
    dispatcher.requeue(expiring(50), 80)
    dispatcher.releaseAll(0)
    expect(dispatcher.wakeAt).toBe(50)
    dispatcher.clearAll()
    expect(dispatcher.wakeAt).toBe(NEVER)
  })

  test.each<[string, (dispatcher: Dispatcher) => Entry[], string[], number]>([
    ['clear leaves what was picked and other shards', (dispatcher) => dispatcher.clear(left.range), ['left 2'], 2],
    ['clearAll leaves only what is in flight', (dispatcher) => dispatcher.clearAll(), ['right 1', 'left 1', 'left 2'], 0],
    [
      'changeMap takes, in order, what waits for shards that are not open',
      (dispatcher) => dispatcher.changeMap(ShardMap.from([right, shardOf('new', left.range)].map(listingOf))),
      ['left 1', 'left 2'],
      1,
    ],
    [
      'changeMap to no map takes all that was predicted',
      (dispatcher) => dispatcher.changeMap(undefined),
      ['right 1', 'left 1', 'left 2'],
      0,
    ],
  ])('%s', (_, remove, removed, stay) => {
    const dispatcher = new Dispatcher({ ordering: 'perShard', meter })
    const flying = entryOf(right, { key: 'flying' })
    dispatcher.enqueue(flying)
    expect(sent(dispatcher, 0)).toEqual([flying])
    for (const key of ['left 1', 'left 2']) dispatcher.enqueue(entryOf(left, { key, deadline: 100 }))
    dispatcher.enqueue(entryOf(right, { key: 'right 1', deadline: 100 }))
    dispatcher.releaseAll(0)
    expect(remove(dispatcher).map((entry) => entry.wire.PartitionKey)).toEqual(removed)
    expect(dispatcher.queued).toBe(stay)
  })
})
