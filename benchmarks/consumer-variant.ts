/** Reads a stream to its end, in the way that it is told, and says what that cost. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ConsumerVariant, FromVariant, ReadTask, ToVariant } from './consumer-variant-process.js'
import { type HttpConsumer, lifionKinesis, ours, sdkLoop, type Taker } from './http-consumers.js'
import { type MarkedData, MarkedRecordsCheck, printOf } from './marked-records.js'
import { processorShares } from './processor-shares.js'
import { collectGarbage, WrongResult } from './rounds.js'
import { answerQuestions, cpuMs } from './service-process.js'

/** Far above what any of them takes: what has not come by then does not come any more. */
const PATIENCE_MS = 600_000

const VARIANTS: Readonly<Record<ConsumerVariant, HttpConsumer>> = {
  eachBatch: ours((taker) => ({
    eachBatch: async (records) => {
      for (const { partitionKey, bytes } of records) taker.take(partitionKey, bytes)
    },
  })),
  'stock SDK loop (JSON) + aws-kinesis-agg': sdkLoop,
  'lifion-kinesis': lifionKinesis,
  'ours, eachRecord': ours((taker) => ({
    eachRecord: async ({ partitionKey, bytes }) => taker.take(partitionKey, bytes),
  })),
  'ours, eachRecord without promises': ours((taker) => ({
    eachRecord: ({ partitionKey, bytes }) => taker.take(partitionKey, bytes),
  })),
}

answerQuestions<ToVariant, FromVariant>(async (question) => {
  const { task } = question
  const read = VARIANTS[question.variant]
  switch (question.type) {
    case 'verify':
      return { type: 'verified', sum: await verify(task, read) }
    case 'measure':
      return { type: 'measured', ...(await measure(task, read, question.expected)) }
    case 'profile':
      return { type: 'profiled', shares: await processorShares(() => readAll(task, read, new Found(task.records))) }
  }
})

class Found implements Taker {
  readonly all: Promise<void>
  count = 0
  sum = 0
  firstAt = 0
  lastAt = 0
  readonly #records: number
  readonly #look: ((partitionKey: string, data: MarkedData) => void) | undefined
  #done: () => void = () => {}

  /** `look` sees each record. */
  constructor(records: number, look?: (partitionKey: string, data: MarkedData) => void) {
    this.#records = records
    this.#look = look
    this.all = new Promise((resolve) => {
      this.#done = resolve
    })
  }

  take(partitionKey: string, data: MarkedData): void {
    if (this.count === 0) this.firstAt = performance.now()
    this.#look?.(partitionKey, data)
    this.sum += printOf(partitionKey, data)
    if (++this.count !== this.#records) return
    this.lastAt = performance.now()
    this.#done()
  }
}

async function readAll(task: ReadTask, read: HttpConsumer, found: Found): Promise<void> {
  const patience = new AbortController()
  const tooLate = delay(PATIENCE_MS, undefined, { signal: patience.signal }).then(() => {
    throw new WrongResult(`${found.count} of ${task.records} records came within ${PATIENCE_MS / 1000} s`)
  })
  const options = task.wire === 'json' ? ({ wire: { reads: 'json' } } as const) : {}
  await Promise.race([read(task, found, options), tooLate]).finally(() => patience.abort())
  if (found.count !== task.records) throw new WrongResult(`${found.count} records came out of ${task.records}`)
}

async function verify(task: ReadTask, read: HttpConsumer): Promise<number> {
  const check = new MarkedRecordsCheck(task.turn, task.records)
  let wrong: unknown
  const found = new Found(task.records, (partitionKey, data) => {
    try {
      check.take(partitionKey, data)
    } catch (error) {
      // Thrown into a handler it would be a failure of the handler, which is called again.
      wrong ??= error
    }
  })
  await readAll(task, read, found)
  if (wrong !== undefined) throw wrong
  check.finish()
  return found.sum
}

async function measure(task: ReadTask, read: HttpConsumer, expected: number): Promise<{ cpuNs: number; wallNs: number }> {
  collectGarbage('minor')
  const found = new Found(task.records)
  const cpuBefore = cpuMs()
  await readAll(task, read, found)
  const cpu = cpuMs() - cpuBefore
  if (found.sum !== expected) throw new WrongResult('a timed run gave something else than the run that was verified')
  const each = 1e6 / task.records
  return { cpuNs: cpu * each, wallNs: (found.lastAt - found.firstAt) * each }
}
