import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  PROCESSOR_STEPS,
  type ProcessorInput,
  type ProcessorState,
  type ProcessorStep,
  processorStep,
} from './processor-state.js'

const STATES = Object.keys(PROCESSOR_STEPS) as ProcessorState[]
const INPUTS: ProcessorInput[] = ['begin', 'begun', 'end', 'drain', 'leave']

/** What is called, and where that leads; '-' where the input has no place. */
test.each<[ProcessorState, Record<ProcessorInput, string>]>([
  ['new', { begin: 'initialize > initializing', begun: '-', end: '-', drain: '> new', leave: '> finished' }],
  [
    'initializing',
    {
      begin: 'initialize > initializing',
      begun: '> processing',
      end: '-',
      drain: '> initializing',
      leave: 'leaseLost > finished',
    },
  ],
  [
    'processing',
    { begin: '-', begun: '-', end: 'shardEnded > ending', drain: 'shutdownRequested > stopping', leave: 'leaseLost > finished' },
  ],
  ['ending', { begin: '-', begun: '-', end: 'shardEnded > ending', drain: '> ending', leave: 'leaseLost > finished' }],
  ['stopping', { begin: '-', begun: '-', end: '-', drain: 'shutdownRequested > stopping', leave: 'leaseLost > finished' }],
  ['finished', { begin: '-', begun: '-', end: '-', drain: '-', leave: '> finished' }],
])('%s', (state, expected) => {
  for (const input of INPUTS) {
    const step = PROCESSOR_STEPS[state][input]
    const found = step === undefined ? '-' : `${step.call ?? ''} > ${step.to}`.trim()
    expect([input, found]).toEqual([input, expected[input]])
    if (step === undefined) expect(() => processorStep(state, input)).toThrow(`${state} cannot take '${input}'`)
    else expect(processorStep(state, input)).toBe(step)
  }
})

test('property: leaseLost comes at most once, last, and only after initialize', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...INPUTS)), (inputs) => {
      let state: ProcessorState = 'new'
      const calls: string[] = []
      for (const input of inputs) {
        const step: ProcessorStep | undefined = PROCESSOR_STEPS[state][input]
        if (step === undefined) continue
        if (step.call !== undefined) calls.push(step.call)
        state = step.to
      }
      expect(STATES).toContain(state)
      const lost = calls.indexOf('leaseLost')
      if (lost >= 0) expect([calls[0], lost]).toEqual(['initialize', calls.length - 1])
      expect(calls.includes('shardEnded') && calls.includes('shutdownRequested')).toBe(false)
    }),
  )
})
