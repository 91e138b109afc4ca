/** Uniform in [0, 1). Injected wherever chance decides (jitter, shuffles), so that a seed repeats a run. */
export type Random = () => number

export const systemRandom: Random = () => Math.random()

/** A repeatable source (mulberry32): the same seed gives the same sequence on every platform. Not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
