import { setMaxListeners } from 'node:events'

/**
 * An AbortController whose signal any number may listen to: the shards of a consumer, the calls of a shard, and what handlers begin with it.
 * Node takes more than ten listeners for a leak and prints a warning.
 */
export function sharedAbort(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}
