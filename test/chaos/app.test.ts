import { expect, it } from 'vitest'
import { App } from './app.js'
import type { Fact } from './facts.js'

it('stops a process and lets it go on, which the process itself notices; killed meanwhile, it and what would wake it are gone at once', async () => {
  const facts: Fact[] = []
  const failures: Error[] = []
  const app = new App('kinesis', 'kinesis-app.ts', {
    onFact: (_, fact) => void facts.push(fact),
    onFailure: (error) => void failures.push(error),
  })
  await app.ask('start', undefined)
  await app.pause(700)
  expect(app.state).toBe('running')
  await expect.poll(() => facts.some((fact) => fact.fact === 'stood' && fact.at - fact.from >= 700)).toBe(true)
  const since = performance.now()
  const paused = app.pause(60_000)
  await app.kill()
  await paused
  expect(performance.now() - since).toBeLessThan(20_000)
  expect([app.state, failures]).toEqual(['killed', []])
})
