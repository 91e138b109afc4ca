import type { App } from './app.js'
import type { Fact } from './facts.js'
import { copyHash, type Delivery, ProducerAccount, type Repetition } from './record-ledger.js'
import { type SplitOwnership, TenureLedger } from './tenure-ledger.js'
import type { Trouble } from './trouble.js'

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
  /** Without a death, a lost lease or a lost answer. */
  readonly unexplainedDuplicates: number
  readonly outOfOrder: number
  /** Delivered, and nobody has put it so. */
  readonly foreign: number
  /** Failed as never written, and delivered. */
  readonly denied: number
  /** Put, and not heard of again, by producers that have ended in order. */
  readonly unsettled: number
  /** Times that two workers were at work on one shard though neither process had stood still. */
  readonly splitOwnership: number
  /** The same where one had: a call that had begun goes on, and one that was about to begin does. */
  readonly lateAfterStandstill: number
  readonly lostLeases: number
  /** Changes of hands of shards. */
  readonly moves: number
  /** What is wrong, in words, some of each kind. */
  readonly findings: readonly string[]
}

const SHOWN = 5

/** The account of a run, kept outside of the product from what the apps say. */
export class Account {
  readonly producers: Map<number, ProducerAccount> = new Map()
  readonly tenures: TenureLedger = new TenureLedger()
  /** What may have cost a producer an answer. */
  readonly #troubleOf = new Map<number, readonly Trouble[]>()
  readonly #callRecords = new Map<string, number[]>()
  readonly #closed = new Set<number>()
  #foreign = 0
  /** Of the newest checkpoint of each lease: moved back it would be repetition without end. */
  readonly #checkpoints = new Map<string, { readonly at: bigint; readonly sub: number }>()
  readonly #regressions: string[] = []
  landedCheckpoints = 0

  addProducer(producer: number, isOrdered: boolean, trouble: readonly Trouble[]): void {
    this.producers.set(producer, new ProducerAccount(producer, isOrdered))
    this.#troubleOf.set(producer, trouble)
  }

  /** By the producer with this number, a worker of this name, or a service. */
  add(by: string, producer: number | undefined, fact: Fact): void {
    if (fact.fact === 'put' || fact.fact === 'acknowledged' || fact.fact === 'failed') {
      this.producers.get(producer!)!.add(fact, fact.at)
    } else if (fact.fact === 'closed') this.#closed.add(producer!)
    else if (fact.fact === 'took') this.tenures.took(by, fact, fact.at)
    else if (fact.fact === 'left') this.tenures.left(by, fact, fact.at)
    else if (fact.fact === 'event') this.tenures.event(by, fact)
    else if (fact.fact === 'began') this.#began(by, fact)
    else if (fact.fact === 'completed') this.#completed(by, fact)
    else if (fact.fact === 'row') this.#row(fact)
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

  balance(apps: readonly App[]): Balance {
    const accounts = [...this.producers.values()]
    const stood = (worker: string, from: number, to: number): boolean =>
      apps.find(({ name }) => name === worker)?.stood.between(from, to) === true
    const split = this.tenures.split(stood)
    const unstopped = split.filter(({ stoodStill }) => !stoodStill)
    const repetitions = accounts.flatMap((account) => account.repetitions())
    const unexplained = repetitions.filter((repetition) => !this.#explained(repetition))
    const lost = named(accounts, (account) => account.missing())
    const late = named(accounts, (account) => account.outOfOrder())
    const denied = named(accounts, (account) => account.denied())
    const unsettled = named(
      accounts.filter(({ producer }) => this.#closed.has(producer)),
      (account) => account.unsettled(),
    )
    const wrong = [lost, late, denied, unsettled, unexplained, unstopped, this.#regressions]
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
      splitOwnership: unstopped.length + this.#regressions.length,
      lateAfterStandstill: split.length - unstopped.length,
      lostLeases: this.tenures.tenures.filter(({ cause }) => cause === 'lost lease').length,
      moves: this.tenures.moves(0, Number.POSITIVE_INFINITY).length,
      findings: [
        ...shown('lost', lost),
        ...shown('out of order', late),
        ...shown('denied', denied),
        ...shown('unsettled', unsettled),
        ...shown(
          'unexplained',
          unexplained.map((repetition) => this.#told(repetition)),
        ),
        ...shown('split', unstopped.map(toldSplit)),
        ...shown('checkpoint moved back', this.#regressions),
      ],
    }
  }

  #began(by: string, fact: Extract<Fact, { fact: 'began' }>): void {
    const { shardId, call, groups, foreign, at } = fact
    const tenure = this.tenures.began(by, fact, at).id
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
        account.began(record, { copy: copyHash(`${shardId}/${sequenceNumber}/${sub}`), tenure, outside })
        records.push(producer, record)
      }
    }
    this.#callRecords.set(`${by} ${call}`, records)
  }

  #completed(by: string, { call, aborted, at }: Extract<Fact, { fact: 'completed' }>): void {
    this.tenures.completed(by, call, at)
    const records = this.#callRecords.get(`${by} ${call}`) ?? []
    this.#callRecords.delete(`${by} ${call}`)
    if (aborted) return
    for (let i = 0; i < records.length; i += 2) this.producers.get(records[i]!)!.completed(records[i + 1]!)
  }

  #row({ leaseKey, checkpoint, subSequenceNumber = 0, at: time }: Extract<Fact, { fact: 'row' }>): void {
    if (checkpoint === undefined || !/^\d+$/.test(checkpoint)) return
    const at = BigInt(checkpoint)
    const before = this.#checkpoints.get(leaseKey)
    if (before !== undefined && (at < before.at || (at === before.at && subSequenceNumber < before.sub))) {
      this.#regressions.push(`${leaseKey} at ${time}: from ${before.at}/${before.sub} to ${at}/${subSequenceNumber}`)
    }
    if (before === undefined || at !== before.at || subSequenceNumber !== before.sub) this.landedCheckpoints++
    this.#checkpoints.set(leaseKey, { at, sub: subSequenceNumber })
  }

  /** Copies need a lost answer or an aggregate in a wrong shard, and each copy that came twice a death or a lost lease. */
  #explained({ producer, deliveries, putAt, settledAt }: Repetition): boolean {
    const copies = byCopy(deliveries)
    if (copies.size > 1) {
      const outside = deliveries.some((delivery) => delivery.outside)
      if (!outside && !this.#troubleOf.get(producer)!.some((trouble) => trouble.between(putAt, settledAt))) return false
    }
    return [...copies.values()].every((same) => same.length === 1 || this.tenures.explains(same.map(({ tenure }) => tenure)))
  }

  #told({ producer, record, deliveries, putAt, settledAt }: Repetition): string {
    const by = deliveries.map(({ copy, tenure, outside }) => {
      const { worker, shardId, generation, cause } = this.tenures.tenures[tenure]!
      return `copy ${copy}${outside ? ' (outside)' : ''} by ${worker} in ${shardId}, generation ${generation}${cause === undefined ? '' : `, ${cause}`}`
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

function toldSplit({ kind, shardId, worker, other, at }: SplitOwnership): string {
  return `${kind}: ${worker} beside ${other} in ${shardId} at ${at}`
}
