import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

let collect: (() => void) | undefined

/** Bytes that something still refers to: used heap, and what lies outside of it. */
export function memoryInUse(): number {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
  }
  collect()
  // The memory behind dead buffers is given back aside, and counted until the next collection has waited for that.
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
