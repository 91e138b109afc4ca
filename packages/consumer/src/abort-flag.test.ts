import { expect, test } from 'vitest'
import { AbortFlag } from './abort-flag.js'

test('is set from the abort on, also where that came before', () => {
  const abort = new AbortController()
  const flag = new AbortFlag(abort.signal)
  const seen: boolean[] = [flag.isSet]
  abort.signal.addEventListener('abort', () => seen.push(flag.isSet))
  abort.abort()
  expect(seen).toEqual([false, true])
  expect(new AbortFlag(abort.signal).isSet).toBe(true)
})
