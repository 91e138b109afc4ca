import { expect, test } from 'vitest'
import { EventSource } from './events.js'

type Sample = { type: 'started' } | { type: 'count'; value: number }

function recording(): { events: EventSource<Sample>; seen: string[]; note: (name: string) => (event: Sample) => void } {
  const seen: string[] = []
  const note = (name: string) => (event: Sample) => void seen.push(`${name}:${event.type}`)
  return { events: new EventSource<Sample>(), seen, note }
}

test('listeners of the type come first, in order of subscription, then those of any type', () => {
  const { events, seen, note } = recording()
  events.onAny(note('any'))
  events.on('count', note('a'))
  events.on('count', note('b'))
  events.on('started', note('c'))
  events.emit({ type: 'count', value: 1 })
  expect(seen).toEqual(['a:count', 'b:count', 'any:count'])
})

test('each subscription is its own, and taking one off twice is harmless', () => {
  const { events, seen, note } = recording()
  const listener = note('x')
  const [first, second] = [events.on('started', listener), events.on('started', listener)]
  events.emit({ type: 'started' })
  first()
  first()
  events.emit({ type: 'started' })
  expect(seen).toHaveLength(3)
  expect(events.hasListeners('started')).toBe(true)
  second()
  expect(events.hasListeners('started')).toBe(false)
  const any = events.onAny(listener)
  expect(events.hasListeners('count')).toBe(true)
  any()
  expect(events.hasListeners('count')).toBe(false)
})

test('who subscribes during delivery gets the next event; who is taken off gets none any more', () => {
  const { events, seen, note } = recording()
  const offs: (() => void)[] = []
  events.on('started', () => {
    offs.push(events.on('started', note('late')))
    for (const off of offs.slice(0, 1)) off()
    taken()
    takenAny()
  })
  const taken = events.on('started', note('taken'))
  const takenAny = events.onAny(note('takenAny'))
  events.emit({ type: 'started' })
  expect(seen).toEqual([])
  events.emit({ type: 'started' })
  events.emit({ type: 'started' })
  expect(seen).toEqual(['late:started'])
})

test('a listener that throws disturbs nobody, and its error surfaces', async () => {
  const { events, seen, note } = recording()
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  const surfaced = new Promise((resolve) => process.once('uncaughtException', resolve))
  try {
    events.on('started', () => {
      throw new Error('listener')
    })
    events.on('started', note('after'))
    events.emit({ type: 'started' })
    expect(seen).toEqual(['after:started'])
    expect(await surfaced).toMatchObject({ message: 'listener' })
  } finally {
    for (const other of others) process.on('uncaughtException', other)
  }
})

test('next: the first that is accepted', async () => {
  const { events } = recording()
  const next = events.next('count', { accept: (event) => event.value > 1 })
  for (const value of [1, 2, 3]) events.emit({ type: 'count', value })
  expect(await next).toEqual({ type: 'count', value: 2 })
  expect(events.hasListeners('count')).toBe(false)
})

test('next: rejects with the reason of the signal, or as accept throws, and leaves no listener', async () => {
  const { events } = recording()
  const controller = new AbortController()
  const aborted = events.next('count', { signal: controller.signal })
  controller.abort('reason')
  await expect(aborted).rejects.toBe('reason')
  await expect(events.next('count', { signal: controller.signal })).rejects.toBe('reason')
  const throwing = events.next('count', {
    accept: () => {
      throw new Error('accept')
    },
  })
  events.emit({ type: 'count', value: 1 })
  await expect(throwing).rejects.toThrow('accept')
  expect(events.hasListeners('count')).toBe(false)
})
