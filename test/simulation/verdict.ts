import { type HashKeyRange, uncovered } from '@shardwise/core/hash-key'
import { actualOwner, processOf } from './lease-truth.js'
import type { ShardLog } from './stream-log.js'
import { TABLE, type World } from './world.js'

/** A call to Kinesis of which nothing is heard is given up after 30 s, a subscription after 35 s. */
const READ_PATIENCE_MS = 60_000
/** A shard that was subscribed to is refused to anybody else for 5 s; who is refused tries again after 1.5 s at most. */
const REFUSED_FOR_MS = 6_500

/** Asked again and again: who was asked for a lease gives it up when the time for that is over. */
export function judgeHandoffs(world: World): void {
  const { time, settings, truth, violated } = world
  const { failoverTimeMs, handoffTimeoutMs } = settings.consumer
  const patience = handoffTimeoutMs + failoverTimeMs + 5_000
  for (const { tenure, since } of truth.asked()) {
    const { worker, leaseKey } = tenure
    const askedMs = time.now - Math.max(since, tenure.takenAt)
    if (askedMs > patience && !world.isDisturbed(worker, patience) && !world.hasStopped(worker))
      violated(`${worker} has not given ${leaseKey} up, for which it was asked ${Math.round(askedMs)} ms ago`)
  }
}

/** Asked again and again: who has a lease, renews it, and has records for it, works on them. */
export function judgeSilence(world: World): void {
  for (const app of world.java) app.judge()
  const { time, settings, ledger, truth, violated } = world
  const { failoverTimeMs, idleTimeBetweenReadsMs, retrieval } = settings.consumer
  const refusedMs = retrieval === 'polling' ? 0 : REFUSED_FOR_MS
  const patience = failoverTimeMs / 3 + idleTimeBetweenReadsMs * 2 + 2_500 + refusedMs
  for (const { leaseKey, stream, copies, completed } of ledger.shards) {
    const tenure = stream === ledger.stream(stream.name) ? truth.current(leaseKey) : undefined
    if (tenure === undefined || tenure.end !== 'none' || world.isDisturbed(tenure.worker, patience)) continue
    const owner = world.app(tenure.worker)!
    const waiting = copies.slice(completed).find((copy) => !copy.isCompleted && !copy.isExpired && !copy.isDropped)
    if (owner.isStopping || waiting === undefined || tenure.confirmedAt < time.now - failoverTimeMs / 2) continue
    const since = waiting.readBy === owner.process.name ? Math.max(waiting.readAt, tenure.takenAt) : undefined
    // What was read under an earlier lease must be read again.
    const isRead = since === waiting.readAt
    const due = isRead ? since + patience : Math.max(waiting.landedAt, since ?? 0) + READ_PATIENCE_MS
    const silentMs = owner.silence(leaseKey, tenure.generation, since)
    if (due < time.now && silentMs !== undefined && silentMs > patience)
      violated(
        `${tenure.worker} has ${leaseKey}, renews it, and has not handled ${waiting.put.id} for ${Math.round(silentMs)} ms`,
      )
  }
}

/** Of the streams that are there: their leases that have not ended. */
function* openLeases({ dynamodb, ledger }: World): Iterable<{ readonly shard: ShardLog; readonly owner: string | undefined }> {
  for (const row of dynamodb.rows(TABLE)) {
    if (row.leaseCounter === undefined || row.checkpoint?.S === 'SHARD_END') continue
    const shard = ledger.leased(row.leaseKey!.S!).find(({ stream }) => stream === ledger.stream(stream.name))
    if (shard !== undefined && shard.stream.deletedAt === undefined) yield { shard, owner: actualOwner(row) }
  }
}

/** Workers that a row of a stream that is gone names: they do not know yet that it is, and give their leases up as soon as they do, so that others move. */
function formerLeases({ dynamodb, aliveConsumers, isFormer }: World): { readonly worker: string; readonly leaseKey: string }[] {
  const alive = new Set(aliveConsumers.map(({ workerId }) => workerId))
  return dynamodb.rows(TABLE).flatMap((row) => {
    const worker = isFormer(row) ? actualOwner(row) : undefined
    return worker !== undefined && alive.has(worker) ? [{ worker, leaseKey: row.leaseKey!.S! }] : []
  })
}

/** Asked again and again: nobody reads ahead beyond its bound. A read is limited in records, so that each shard may have one too much. */
export function judgeBuffers({ settings, aliveConsumers, kinesis, violated }: World): void {
  const most = settings.consumer.maxBufferedBytes
  if (most === undefined) return
  for (const { process, buffered } of aliveConsumers) {
    const bytes = buffered.reduce((sum, of) => sum + of.bytes, 0)
    const shards = buffered.length
    if (bytes > most + shards * kinesis.largestRead)
      violated(
        `${process.name} holds ${bytes} bytes, of ${most} and a read of ${kinesis.largestRead} for each of ${shards} shards`,
      )
  }
}

/** Every open shard has a lease with an owner, and no other shard is being read, nor waited for: there is no reason for leases to move. */
export function hasSettled(world: World): boolean {
  const { kinesis, ledger, streams } = world
  const open = new Set(
    [...streams].flatMap((name) => kinesis.openShards(name).map(({ ShardId }) => ledger.shard(ledger.stream(name), ShardId!))),
  )
  for (const { shard, owner } of openLeases(world)) if (owner === undefined || !open.delete(shard)) return false
  return open.size === 0 && formerLeases(world).length === 0
}

/** After a calm time: all that was acknowledged was delivered, and the leases are shared fairly among those that live. */
export function judgeRest(world: World): void {
  const { ledger, producers, aliveWorkers, aliveJava, dynamodb, streams, violated } = world
  const killed = new Set(producers.filter(({ process }) => process.isDead).map(({ process }) => process.name))
  for (const put of ledger.puts.values()) if (put.state === 'open' && killed.has(put.producer)) put.state = 'failed'
  ledger.judge()
  const counts = new Map(aliveWorkers.map((app) => [app.workerId, 0]))
  const ranges = new Map([...streams].map((name): [string, HashKeyRange[]] => [name, []]))
  for (const { shard, owner } of openLeases(world)) {
    ranges.get(shard.stream.name)!.push(shard.range)
    if (owner === undefined || !counts.has(owner)) violated(`in calm weather ${shard.leaseKey} is owned by ${owner ?? 'nobody'}`)
    else counts.set(owner, counts.get(owner)! + 1)
  }
  for (const [name, covered] of ranges)
    if (uncovered(covered).length > 0) violated(`the leases of ${name} do not cover all hash keys`)
  // Who was kept from asking which stream it reads asks again after a minute at most.
  for (const { worker, leaseKey } of formerLeases(world))
    violated(`in calm weather ${worker} has ${leaseKey} of a stream that is gone`)
  const held = [...counts.values()]
  // KCL counts leases of shards that have ended (KCL#54), and is fair with these.
  const ended = aliveJava.length === 0 ? 0 : dynamodb.rows(TABLE).filter((row) => row.checkpoint?.S === 'SHARD_END').length
  if (held.length > 0 && Math.max(...held) - Math.min(...held) > 1 + ended) violated(`shares are unfair: ${held.join(', ')}`)
}

/** When all were told to stop: nothing of them is left, and no row names them. */
export function judgeStop(world: World): void {
  const { consumers, peers, dynamodb, violated } = world
  const stopped = consumers.filter(({ process }) => !process.isDead)
  for (const { process, isStopped } of stopped) {
    if (!isStopped) violated(`${process.name} does not stop`)
    else if (process.liveTimers > 0) violated(`${process.name} has stopped and leaves ${process.liveTimers} timers behind`)
  }
  const names = new Set(stopped.map(({ process }) => process.name))
  for (const row of dynamodb.rows(TABLE)) {
    // A leader of KCL's assigns leases of shards that have ended, too. They are left to expire.
    if (peers !== undefined && row.checkpoint?.S === 'SHARD_END') continue
    const owner = actualOwner(row)
    if (owner === undefined || !names.has(processOf(owner)) || world.wasGivenTooLate(row, owner)) continue
    violated(`${owner} has stopped and still owns ${row.leaseKey?.S}`)
  }
}
