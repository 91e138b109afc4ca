/** npm dynalite 4 has no types. What we use of it. */
declare module 'dynalite' {
  import type { Server } from 'node:http'

  export interface DynaliteOptions {
    readonly createTableMs?: number
    readonly deleteTableMs?: number
    readonly updateTableMs?: number
  }

  /** Tables are in memory, one set for each server made. */
  export default function dynalite(options?: DynaliteOptions): Server
}
