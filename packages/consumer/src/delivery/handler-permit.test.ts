import { expect, it } from 'vitest'
import { HandlerPermit } from './handler-permit.js'
import { PausedShards } from './paused-shards.js'
import type { StartGate } from './start-gate.js'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function setUp() {
  const halt = new AbortController()
  const paused = new PausedShards()
  const passedUp: string[] = []
  let open = true
  const wake: (() => void)[] = []
  const second: StartGate = {
    isOpen: () => open,
    opened: () => new Promise((resolve) => wake.push(resolve)),
    passUp: (shardId) => void passedUp.push(shardId),
  }
  let ours = true
  const answers: ((ours: boolean) => void)[] = []
  const lease = {
    shardId: 'a',
    isOurs: () => ours,
    revalidate: () =>
      new Promise<boolean>((resolve) =>
        answers.push((answer) => {
          ours = answer
          resolve(answer)
        }),
      ),
  }
  const permit = new HandlerPermit({ lease, gates: [paused, second], halt: halt.signal })
  return {
    halt,
    paused,
    passedUp,
    permit,
    answers,
    doubt: () => {
      ours = false
    },
    close: () => {
      open = false
    },
    reopen: () => {
      open = true
      for (const resolve of wake.splice(0)) resolve()
    },
  }
}

it('is given while the lease is ours and all gates are open', () => {
  const { permit, paused, close, reopen, doubt } = setUp()
  expect(permit.isOurs()).toBe(true)
  paused.pause('a')
  expect(permit.isOurs()).toBe(false)
  paused.resume('a')
  close()
  expect(permit.isOurs()).toBe(false)
  reopen()
  doubt()
  expect(permit.isOurs()).toBe(false)
})

it('waits for one after the other, asks for the lease anew each time, and holds up no gate meanwhile', async () => {
  const { permit, paused, close, reopen, doubt, answers, passedUp } = setUp()
  paused.pause('a')
  close()
  doubt()
  const again = permit.revalidate()
  let settled = false
  void again.then(() => {
    settled = true
  })
  expect(passedUp).toEqual(['a'])
  answers.shift()!(true)
  await turn()
  expect(passedUp).toEqual(['a', 'a'])
  paused.resume('a')
  await turn()
  expect(settled).toBe(false)
  doubt()
  reopen()
  await turn()
  expect(settled).toBe(false)
  answers.shift()!(true)
  expect(await again).toBe(true)
  expect(permit.isOurs()).toBe(true)
})

it.each(['lost', 'halted while paused', 'halted before'])('is refused when %s', async (how) => {
  const { permit, paused, halt, doubt, answers } = setUp()
  if (how === 'lost') doubt()
  else paused.pause('a')
  if (how === 'halted before') halt.abort()
  const again = permit.revalidate()
  answers[0]?.(false)
  halt.abort()
  expect(await again).toBe(false)
})
