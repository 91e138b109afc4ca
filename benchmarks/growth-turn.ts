/** One point of a curve, ready for work. */
export interface GrowthPoint {
  /** Processor time until everything was ready. */
  readonly startCpuMs: number
  /** Heap in use when everything was ready, and more than before. */
  readonly heapBytes: number
  /** Lets records through. Throws WrongResult. `verify`: what comes is examined more closely, and the time does not count. */
  turn(verify: boolean): Promise<GrowthTurn>
  close(): Promise<void>
}

export interface GrowthTurn {
  /** User records that went through, verified. */
  readonly records: number
  /** Processor time for them, of all threads. */
  readonly cpuMs: number
}

export const MIB: number = 1024 * 1024
/** The largest record that Kinesis takes, with its partition key. */
export const LARGEST_RECORD: number = 10 * MIB
/** Records in an aggregate, where not their bytes limit it: the same at every point of a curve. */
export const RECORDS_AN_AGGREGATE = 50
export const AGGREGATE_BYTES = 51_200
