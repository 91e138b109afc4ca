import { CallLedger, type StoodStill, type WrongCall } from './call-ledger.js'
import type { Fact } from './facts.js'
import { LeaseLedger } from './lease-ledger.js'
import { copyHash, type Delivery, ProducerAccount, type Repetition } from './record-ledger.js'
import { Trouble } from './trouble.js'

/** What the ledger comes to. */
export interface Balance {
  /** Something was delivered, and nothing is wrong. */
  readonly isWell: boolean
  readonly put: number
  readonly acknowledged: number
  /** Distinct records that a handler has completed. */
  readonly delivered: number
  readonly failed: number
  /** Acknowledged, and completed by nobody. */
  readonly lost: number
  readonly duplicates: number
  /** Without a death, a standstill, or trouble on the way to a service, that we made or saw ourselves. */
  readonly unexplainedDuplicates: number
  readonly outOfOrder: number
  /** Delivered, and nobody has put it so. */
  readonly foreign: number
  /** Failed as never written, and delivered. */
  readonly denied: number
  /** Put, and not heard of again, by producers that have ended in order. */
  readonly unsettled: number
  /** Given to a handler though the checkpoint covered it when the lease was taken. */
  readonly behindCheckpoint: number
  /** Handler calls beside one of another worker, or under no lease by the table, and checkpoints that moved back. */
  readonly splitOwnership: number
  /** Calls beside an older one whose process stood still in its middle. */
  readonly besideStandstill: number
  /** Leases taken from workers that had not given them back. */
  readonly takeovers: number
  /** Leases taken. */
  readonly moves: number
  /** Writes that moved a checkpoint on. */
  readonly checkpoints: number
  /** What the service refused for a shard's quota: records, and reads. */
  readonly throttled: { readonly writes: number; readonly reads: number }
  /** What is wrong, in words, some of each kind. */
  readonly findings: readonly string[]
}

const SHOWN = 5

/** The account of a run, kept outside of the product: from what the apps did and were told, and from what landed in the lease table. */
export class Account {
  readonly #failoverTimeMs: number
  readonly producers: Map<number, ProducerAccount> = new Map()
  readonly leases: LeaseLedger = new LeaseLedger()
  readonly calls: CallLedger = new CallLedger()
  /** What may have cost an answer: a producer one of Kinesis', a worker one of the table's. */
  readonly #troubleOf = new Map<number | string, readonly Trouble[]>()
  readonly #stood = new Map<string, Trouble>()
  readonly #callRecords = new Map<string, number[]>()
  readonly #closed = new Set<number>()
  #foreign = 0
  #throttled = { writes: 0, reads: 0 }

  constructor(failoverTimeMs: number) {
    this.#failoverTimeMs = failoverTimeMs
  }

  addProducer(producer: number, isOrdered: boolean, trouble: readonly Trouble[]): void {
    this.producers.set(producer, new ProducerAccount(producer, isOrdered))
    this.#troubleOf.set(producer, trouble)
  }

  addWorker(name: string, stood: Trouble, trouble: readonly Trouble[]): void {
    this.#stood.set(name, stood)
    this.#troubleOf.set(name, [stood, ...trouble])
  }

  /** It was killed at some time between these. */
  died(worker: string, from: number, to: number): void {
    const death = new Trouble()
    death.begin(from)(to)
    this.#troubleOf.set(worker, [death, ...(this.#troubleOf.get(worker) ?? [])])
    this.calls.died(worker, from)
  }

  /** By the producer with this number, a worker of this name, or a service. */
  add(by: string, producer: number | undefined, fact: Fact): void {
    if (fact.fact === 'put' || fact.fact === 'acknowledged' || fact.fact === 'failed') {
      this.producers.get(producer!)!.add(fact, fact.at)
    } else if (fact.fact === 'closed') this.#closed.add(producer!)
    else if (fact.fact === 'began') this.#began(by, fact)
    else if (fact.fact === 'completed') this.#completed(by, fact)
    else if (fact.fact === 'row') this.leases.row(fact)
    else if (fact.fact === 'throttled') {
      const { writes, reads } = this.#throttled
      this.#throttled = { writes: writes + fact.writes, reads: reads + fact.reads }
    }
  }

  get acknowledged(): number {
    return this.#sum(({ acknowledged }) => acknowledged)
  }

  get delivered(): number {
    return this.#sum(({ delivered }) => delivered)
  }

  get failed(): number {
    return this.#sum(({ failed }) => failed)
  }

  /** Acknowledged and not completed, at present. */
  missing(): number {
    return this.#sum((account) => account.missing().length)
  }

  get throttled(): Balance['throttled'] {
    return this.#throttled
  }

  balance(): Balance {
    const accounts = [...this.producers.values()]
    const stood: StoodStill = (worker, from, to) => this.#stood.get(worker)?.between(from, to) === true
    const calls = this.calls.wrong(this.leases, stood)
    const behind = calls.filter(({ kind }) => kind === 'behind')
    const split = calls.filter(({ kind, stoodStill }) => kind !== 'behind' && !stoodStill)
    const { regressions, tenures, checkpoints } = this.leases
    const repetitions = accounts.flatMap((account) => account.repetitions())
    const unexplained = repetitions.filter((repetition) => !this.#explained(repetition))
    const lost = named(accounts, (account) => account.missing())
    const late = named(accounts, (account) => account.outOfOrder())
    const denied = named(accounts, (account) => account.denied())
    const unsettled = named(
      accounts.filter(({ producer }) => this.#closed.has(producer)),
      (account) => account.unsettled(),
    )
    const wrong = [lost, late, denied, unsettled, unexplained, behind, split, regressions]
    const foreign = this.#foreign + this.#sum((account) => account.foreign)
    return {
      isWell: foreign === 0 && this.delivered > 0 && wrong.every((found) => found.length === 0),
      put: this.#sum(({ put }) => put),
      acknowledged: this.acknowledged,
      delivered: this.delivered,
      failed: this.failed,
      lost: lost.length,
      duplicates: this.#sum(({ repeats }) => repeats),
      unexplainedDuplicates: unexplained.length,
      outOfOrder: late.length,
      foreign,
      denied: denied.length,
      unsettled: unsettled.length,
      behindCheckpoint: behind.length,
      splitOwnership: split.length + regressions.length,
      besideStandstill: calls.filter(({ stoodStill }) => stoodStill).length,
      takeovers: tenures.filter(({ takenFrom }) => takenFrom !== undefined).length,
      moves: tenures.length,
      checkpoints,
      throttled: this.#throttled,
      findings: [
        ...shown('lost', lost),
        ...shown('out of order', late),
        ...shown('denied', denied),
        ...shown('unsettled', unsettled),
        ...shown(
          'unexplained',
          unexplained.map((repetition) => this.#told(repetition)),
        ),
        ...shown('behind the checkpoint', behind.map(toldCall)),
        ...shown('split', split.map(toldCall)),
        ...shown('checkpoint moved back', regressions),
      ],
    }
  }

  #began(by: string, fact: Extract<Fact, { fact: 'began' }>): void {
    const { shardId, groups, foreign, at } = fact
    const call = this.calls.began(by, fact, at)
    this.#foreign += foreign
    const records: number[] = []
    for (const { sequenceNumber, outside, records: triples } of groups) {
      for (let i = 0; i < triples.length; i += 3) {
        const [sub, producer, record] = [triples[i]!, triples[i + 1]!, triples[i + 2]!]
        const account = this.producers.get(producer)
        if (account === undefined) {
          this.#foreign++
          continue
        }
        account.began(record, { copy: copyHash(`${shardId}/${sequenceNumber}/${sub}`), call, at, outside })
        records.push(producer, record)
      }
    }
    this.#callRecords.set(`${by} ${fact.call}`, records)
  }

  #completed(by: string, { call, aborted, at }: Extract<Fact, { fact: 'completed' }>): void {
    this.calls.completed(by, call, at)
    const records = this.#callRecords.get(`${by} ${call}`) ?? []
    this.#callRecords.delete(`${by} ${call}`)
    if (aborted) return
    for (let i = 0; i < records.length; i += 2) this.producers.get(records[i]!)!.completed(records[i + 1]!)
  }

  /** Copies need a lost answer or an aggregate in a wrong shard; each that came again, another tenure, and a cause that ended the one before. */
  #explained({ producer, deliveries, putAt, settledAt }: Repetition): boolean {
    const copies = byCopy(deliveries)
    const isAnotherCopy = copies.size > 1 && !deliveries.some(({ outside }) => outside)
    if (isAnotherCopy && !this.#hadTrouble(producer, putAt, settledAt)) return false
    return [...copies.values()].every((same) => {
      const inOrder = [...same].sort((a, b) => a.at - b.at)
      return inOrder.slice(1).every((delivery, i) => this.#mayFollow(inOrder[i]!, delivery))
    })
  }

  #mayFollow(earlier: Delivery, later: Delivery): boolean {
    const [before, after] = [earlier, later].map(({ call }) => this.calls.tenureOf(call, this.leases))
    // Calls under no lease are counted as such.
    if (before === undefined || after === undefined) return true
    if (before === after) return false
    // What cost renewals shortly before the record came may still cost the lease, and with it the checkpoint.
    return this.#hadTrouble(before.worker, earlier.at - this.#failoverTimeMs, before.until)
  }

  #hadTrouble(who: number | string, from: number, to: number): boolean {
    return this.#troubleOf.get(who)!.some((trouble) => trouble.between(from, to))
  }

  #told({ producer, record, deliveries, putAt, settledAt }: Repetition): string {
    const by = deliveries.map(({ copy, call, at, outside }) => {
      const { worker, shardId } = this.calls.calls[call]!
      return `copy ${copy}${outside ? ' (outside)' : ''} by ${worker} in ${shardId} at ${at}`
    })
    return `producer ${producer} record ${record}, put at ${putAt}, settled at ${settledAt}: ${by.join('; ')}`
  }

  #sum(of: (account: ProducerAccount) => number): number {
    return [...this.producers.values()].reduce((sum, account) => sum + of(account), 0)
  }
}

function byCopy(deliveries: readonly Delivery[]): Map<number, Delivery[]> {
  const copies = new Map<number, Delivery[]>()
  for (const delivery of deliveries) copies.set(delivery.copy, [...(copies.get(delivery.copy) ?? []), delivery])
  return copies
}

function named(accounts: readonly ProducerAccount[], of: (account: ProducerAccount) => readonly number[]): string[] {
  return accounts.flatMap((account) => of(account).map((record) => `producer ${account.producer} record ${record}`))
}

function shown(kind: string, all: readonly string[]): string[] {
  return all.slice(0, SHOWN).map((one) => `${kind}: ${one}`)
}

function toldCall({ kind, shardId, worker, beside, at }: WrongCall): string {
  return `${kind}: ${worker} in ${shardId} at ${at}${beside === undefined ? '' : `, beside ${beside}`}`
}
