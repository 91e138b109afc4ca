import { describe, expect, it } from 'vitest'
import { type ConsumerSeen, type RegistrationStep, registrationStep } from './registration-step.js'

const there = (status: string): ConsumerSeen => ({ is: 'there', arn: 'arn', status })

describe('registrationStep', () => {
  it.each<{ seen: ConsumerSeen; register: boolean; step: RegistrationStep }>([
    { seen: { is: 'unknown' }, register: true, step: { do: 'describe' } },
    { seen: { is: 'unknown' }, register: false, step: { do: 'describe' } },
    { seen: { is: 'missing' }, register: true, step: { do: 'register' } },
    { seen: { is: 'missing' }, register: false, step: { do: 'give-up', because: 'missing' } },
    { seen: { is: 'busy' }, register: true, step: { do: 'wait' } },
    { seen: there('ACTIVE'), register: false, step: { do: 'use', arn: 'arn' } },
    { seen: there('CREATING'), register: false, step: { do: 'wait' } },
    { seen: there('DELETING'), register: true, step: { do: 'wait' } },
    { seen: there('DELETING'), register: false, step: { do: 'give-up', because: 'deleting' } },
    { seen: there('SOMETHING_NEW'), register: true, step: { do: 'wait' } },
  ])('$seen, register $register: $step', ({ seen, register, step }) => {
    expect(registrationStep(seen, register)).toEqual(step)
  })
})
