import { expect, it } from 'vitest'
import { World } from './world.js'

it('is broken from the beginning when the run was interrupted before it', async () => {
  const options = {
    scenario: 'all',
    minutes: 1,
    seed: 1,
    reading: 'mixed',
    json: false,
    shards: 1,
    failoverTimeMs: 5000,
  } as const
  const world = new World(options, AbortSignal.abort(new Error('Ctrl-C')))
  await expect(world.start()).rejects.toThrow('Ctrl-C')
  await world[Symbol.asyncDispose]()
  await world.log.end(false)
  for (const { state } of world.apps) expect(state).toBe('killed')
})
