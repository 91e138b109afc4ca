import type { Report } from './simulation-worker.js'

/** Of a world of which nothing is known but that it has failed. */
export function brokenWorld(seed: number, violation: string): Report {
  const nothing = { virtualMs: 0, steps: 0, puts: 0, acknowledged: 0, handled: 0, disturbances: 0, moves: 0 }
  return { seed, violations: [violation], only: undefined, ...nothing }
}
