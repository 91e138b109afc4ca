import { WaitedTooLongError, type World } from './world.js'

/** Later than this after the end nothing comes any more. */
const PATIENCE_MS = 90_000
/** So many deliveries in that time, and it is waited again. */
const ENOUGH = 1000

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
  await delivered(world)
  await within('the workers to stop', Promise.all(world.workers.map(({ app }) => app.stop())))
}

/** A backlog takes its time: for as long as there are deliveries they are waited for. The account will say what is missing then. */
async function delivered(world: World): Promise<void> {
  for (;;) {
    const before = world.account.delivered
    const isDone = (): boolean => world.account.missing() === 0
    const goesOn = (): boolean => isDone() || world.account.delivered > before + ENOUGH
    try {
      await world.until('all that was acknowledged to be delivered', goesOn, PATIENCE_MS)
    } catch (error) {
      if (!(error instanceof WaitedTooLongError)) throw error
      return world.say(error.message)
    }
    if (isDone()) return
  }
}
