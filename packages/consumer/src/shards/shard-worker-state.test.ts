import { describe, expect, it } from 'vitest'
import { type ShardWorkerInput, type ShardWorkerState, TRANSITIONS, transition } from './shard-worker-state.js'

const FINAL: readonly ShardWorkerState[] = ['ended', 'released', 'lost']
const STATES = Object.keys(TRANSITIONS) as ShardWorkerState[]

describe('the shard worker’s states', () => {
  it.each<{ name: string; inputs: ShardWorkerInput[]; end: ShardWorkerState }>([
    { name: 'a closed shard read to its end', inputs: ['ready', 'all-completed', 'end-recorded'], end: 'ended' },
    { name: 'a graceful stop', inputs: ['ready', 'drain', 'drained', 'release-recorded'], end: 'released' },
    { name: 'a stop before the start', inputs: ['drain', 'drained', 'release-recorded'], end: 'released' },
    {
      name: 'a stop asked for twice',
      inputs: ['ready', 'drain', 'drain', 'drained', 'drain', 'release-recorded'],
      end: 'released',
    },
    { name: 'a stop while ending', inputs: ['ready', 'all-completed', 'drain', 'end-recorded'], end: 'ended' },
    {
      name: 'a stop while the end cannot be recorded',
      inputs: ['ready', 'all-completed', 'drain', 'drained', 'release-recorded'],
      end: 'released',
    },
    {
      name: 'the last record completed while draining',
      inputs: ['ready', 'drain', 'all-completed', 'end-recorded'],
      end: 'ended',
    },
    { name: 'the lease lost before the start', inputs: ['lease-lost'], end: 'lost' },
    { name: 'the lease lost while running', inputs: ['ready', 'lease-lost'], end: 'lost' },
    { name: 'the lease lost while draining', inputs: ['ready', 'drain', 'lease-lost'], end: 'lost' },
    { name: 'the lease lost while ending', inputs: ['ready', 'all-completed', 'lease-lost'], end: 'lost' },
    { name: 'a fault while running', inputs: ['ready', 'failed', 'release-recorded'], end: 'released' },
    { name: 'a fault while ending', inputs: ['ready', 'all-completed', 'failed', 'release-recorded'], end: 'released' },
    { name: 'a fault after the lease was lost', inputs: ['ready', 'lease-lost', 'failed'], end: 'lost' },
    { name: 'the lease lost while releasing', inputs: ['ready', 'drain', 'drained', 'lease-lost'], end: 'lost' },
  ])('$name', ({ inputs, end }) => {
    expect(inputs.reduce(transition, 'starting')).toBe(end)
  })

  it.each(STATES)('%s takes a drain and a lost lease at any time, for they come from outside', (state) => {
    expect(TRANSITIONS[state].drain).toBeDefined()
    expect(TRANSITIONS[state]['lease-lost']).toBe(FINAL.includes(state) ? state : 'lost')
  })

  it.each(FINAL)('nothing leaves %s', (state) => {
    for (const next of Object.values(TRANSITIONS[state])) expect(next).toBe(state)
  })

  it('records a shard end only from ending, and a release only from releasing', () => {
    const into = (end: ShardWorkerState): string[] =>
      STATES.filter((s) => s !== end && Object.values(TRANSITIONS[s]).includes(end))
    expect(into('ended')).toEqual(['ending'])
    expect(into('released')).toEqual(['releasing'])
  })

  it.each<[ShardWorkerState, ShardWorkerInput]>([
    ['starting', 'all-completed'],
    ['running', 'drained'],
    ['draining', 'ready'],
    ['lost', 'drained'],
    ['ended', 'release-recorded'],
  ])('%s cannot take %s', (state, input) => {
    expect(() => transition(state, input)).toThrow(`A shard worker that is ${state} cannot take '${input}'`)
  })
})
