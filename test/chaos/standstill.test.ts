import { expect, it } from 'vitest'
import { isStandstill } from './standstill.js'

it.each([
  { what: 'in time', elapsedMs: 102, usedCpuMs: 5, is: false },
  { what: 'a little late', elapsedMs: 480, usedCpuMs: 0, is: false },
  { what: 'stopped', elapsedMs: 3000, usedCpuMs: 2, is: true },
  { what: 'busy with itself', elapsedMs: 3000, usedCpuMs: 2900, is: false },
  { what: 'busy on a quarter of a processor', elapsedMs: 3000, usedCpuMs: 750, is: true },
])('a process that was $what: standing still $is', ({ elapsedMs, usedCpuMs, is }) => {
  expect(isStandstill(elapsedMs, usedCpuMs)).toBe(is)
})
