import type { World } from './world.js'

/** Later than this after the end nothing comes any more. */
const PATIENCE_MS = 90_000

/** All is well again: what was put settles, all of it is delivered, and everybody stops in order. */
export async function quiet(world: World): Promise<void> {
  world.say('all is well again; producers close')
  await world.heal()
  const within = (what: string, work: Promise<unknown>): Promise<void> => {
    let done = false
    void work.then(() => {
      done = true
    })
    return world.until(what, () => done, PATIENCE_MS)
  }
  await within('the producers to close', Promise.all(world.producers.map(({ app }) => app.stop())))
  await world
    .until('all that was acknowledged to be delivered', () => world.account.missing() === 0, PATIENCE_MS)
    .catch(
      // The account will say what is missing.
      (error: Error) => world.say(error.message),
    )
  await within('the workers to stop', Promise.all(world.workers.map(({ app }) => app.stop())))
}
