import type { Random } from '@shardwise/core/random'
import type { SoakPlan } from './plan.js'
import { nextReshard } from './resharding.js'
import type { ServiceProcess } from './service-process.js'
import type { OpenShard } from './workload.js'

interface Surroundings {
  readonly service: ServiceProcess
  readonly plan: SoakPlan
  readonly usualShards: number
  readonly lots: Random
  /** What is open from now on. */
  readonly onOpened: (shards: readonly OpenShard[]) => void
  readonly say: (text: string) => void
  /** Waits so many milliseconds, or less when the run ends; false when it has ended. */
  readonly wait: (ms: number) => Promise<boolean>
  /** Nothing is put any more. */
  readonly isOver: () => boolean
}

const ASK_AGAIN_MS = 50

/** What befalls the stream as a whole while records are put: reshards, and an outage. */
export class Disturbances {
  readonly #around: Surroundings
  #shards: readonly OpenShard[]
  inOutage = false
  splits = 0
  merges = 0

  constructor(shards: readonly OpenShard[], around: Surroundings) {
    this.#shards = shards
    this.#around = around
  }

  get openShards(): number {
    return this.#shards.length
  }

  /** A reshard at a time, in even distances over the run. */
  async reshards(): Promise<void> {
    const { plan, wait } = this.#around
    const started = performance.now()
    for (let at = plan.reshardEveryMs / 2; at < plan.durationMs; at += plan.reshardEveryMs) {
      if (!(await wait(started + at - performance.now()))) return
      await this.#reshard()
    }
  }

  async outage(): Promise<void> {
    const { service, plan, say, wait, isOver } = this.#around
    if (!(await wait(plan.outageAtMs))) return
    this.inOutage = true
    say(`an outage of ${Math.round(plan.outageMs / 100) / 10} s, longer than records live`)
    await service.ask('outage', true)
    if (!(await wait(plan.outageMs))) return
    // On a machine that gives processes no time no call may have come meanwhile: then it was no outage yet.
    while (!isOver() && (await service.ask('report', undefined)).faults.outage === 0) {
      if (!(await wait(ASK_AGAIN_MS))) return
    }
    await service.ask('outage', false)
    this.inOutage = false
    say('the outage is over')
  }

  async #reshard(): Promise<void> {
    const { service, usualShards, lots, onOpened, say } = this.#around
    const next = nextReshard(this.#shards, usualShards, lots)
    if (next.kind === 'split') {
      this.#shards = await service.ask('split', { shardId: next.shardId, at: next.at })
      this.splits++
    } else {
      this.#shards = await service.ask('merge', { shardId: next.shardId, with: next.with })
      this.merges++
    }
    onOpened(this.#shards)
    say(`${next.kind} of ${next.shardId}: ${this.#shards.length} shards`)
  }
}
