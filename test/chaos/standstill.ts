import { machineNow } from './machine-time.js'

const TICK_MS = 100
/** A tenth of the shortest failover time that runs have: what is shorter explains nothing. */
const NOTABLE_MS = 400

/**
 * Tells from when to when this process stood still: it was stopped, or the machine gave it no time. What it computed meanwhile is no standing still,
 * unless `busyToo`: others wait for it either way.
 */
export function watchStandstill(
  tell: (from: number, to: number) => void,
  { busyToo = false }: { readonly busyToo?: boolean } = {},
): NodeJS.Timeout {
  let [last, used] = [machineNow(), usedMs()]
  return setInterval(() => {
    const [now, usedNow] = [machineNow(), usedMs()]
    if (isStandstill(now - last, busyToo ? 0 : usedNow - used)) tell(last, now)
    ;[last, used] = [now, usedNow]
  }, TICK_MS).unref()
}

/** Whether a process that is woken every `TICK_MS` stood still between two times so far apart, in which it used so much of a processor. */
export function isStandstill(elapsedMs: number, usedCpuMs: number): boolean {
  return elapsedMs - TICK_MS - usedCpuMs > NOTABLE_MS
}

function usedMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
