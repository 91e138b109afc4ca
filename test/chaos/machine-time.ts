/** Milliseconds of the machine's monotonic clock: the same in all processes, so that facts of several can be put in order. */
export function machineNow(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}
