import type { Shard } from '@aws-sdk/client-kinesis'
import { seededRandom } from '@shardwise/core/random'
import { expect, it } from 'vitest'
import { Fleet, type FleetWorker, KEYS } from './fleet.js'
import type { Repeat } from './fleet-log.js'
import { RETRIEVALS } from './retrievals.js'

/** Draws who is killed, who leaves, and which shards merge first. */
const SEED = Number(process.env.SHARDWISE_SEED ?? 1)

it.each(RETRIEVALS)(
  `%s: 4 -> 16 -> 3 shards under load, with workers that come, go and die meanwhile: nothing is lost, order is kept, and what comes twice was in the hands of the dead (seed ${SEED})`,
  async (way, options) => {
    await using fleet = await Fleet.start(4, { failoverTimeMs: 5000, ...options })
    const { log, harness } = fleet
    const random = seededRandom(SEED)
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
    const workers = await Promise.all(['one', 'two', 'three'].map((name) => fleet.join(name)))
    const left = (name: string): void =>
      void workers.splice(
        workers.findIndex((worker) => worker.name === name),
        1,
      )
    fleet.load()
    await fleet.delivered(5)

    // Splits of what is not yet read to its end are read in their turn: the fleet is always behind some of them.
    for (const until of [8, 16]) for (const shard of (await harness.openShards()).slice(0, until / 2)) await harness.split(shard)
    await fleet.join('four').then((worker) => workers.push(worker))
    await fleet.delivered(fleet.rounds + 5)
    expect(await harness.openShards()).toHaveLength(16)

    const victim = pick(workers.filter(({ name }) => log.held(name).length > 0))
    const killedAt = log.entries.length
    await victim.kill()
    left(victim.name)
    const orphans = [...(await fleet.leases())].filter(([, { owner }]) => owner === victim.name).map(([shardId]) => shardId)
    await log.until('the orphans to be taken', () =>
      orphans.every((shardId) =>
        log.events('lease-taken').some((entry) => entry.shardId === shardId && entry.by !== victim.name),
      ),
    )

    await mergeWithOneParentBehind(fleet, workers)
    fleet.load()
    while ((await harness.openShards()).length > 3) {
      const open = await harness.openShards()
      const at = Math.floor(random() * (open.length - 1))
      await harness.merge(open[at]!, open[at + 1]!)
      if (open.length === 10) {
        const leaver = pick(workers)
        await leaver.stop()
        left(leaver.name)
      }
    }
    await fleet.delivered(fleet.rounds + 5)
    await fleet.shared(3, ...workers.map(({ name }) => name))
    await fleet.quiet()
    await Promise.all(workers.map((worker) => worker.stop()))

    expect(log.faults(KEYS, fleet.rounds)).toEqual([])
    // Where whoever took a lease from the dead began. The rows themselves may have moved on when a busy machine comes to look at them.
    const inherited = new Map<string, bigint>()
    for (const { shardId, detail } of log.events('lease-taken', killedAt)) {
      const { from = '', resumeFrom } = JSON.parse(detail!) as { from?: string; resumeFrom: { sequenceNumber?: string } }
      if (from.startsWith(`${victim.name}:`) && !inherited.has(shardId!))
        inherited.set(shardId!, BigInt(resumeFrom.sequenceNumber ?? 0))
    }
    const unexplained = ({ position, by }: Repeat): boolean => {
      const [, shardId, sequenceNumber] = position.split('/') as [string, string, string]
      const checkpoint = inherited.get(shardId)
      return by.length > 2 || by[0] !== victim.name || checkpoint === undefined || BigInt(sequenceNumber) <= checkpoint
    }
    expect(log.repeats().filter(unexplained)).toEqual([])
    const rows = [...(await fleet.leases()).values()]
    expect(rows.filter(({ ended }) => !ended)).toHaveLength(3)
    console.log(
      `Resharding, ${way}, seed ${SEED}: ${log.delivered} records, ${log.repeats().length} twice, all of them handled by ${victim.name} after its last checkpoint before it was killed`,
    )
  },
)

/** One parent of a merge is read to its end while the handler is still busy with the other: the child has to wait. */
async function mergeWithOneParentBehind(fleet: Fleet, workers: readonly FleetWorker[]): Promise<void> {
  const { harness, log } = fleet
  await fleet.quiet()
  const open = await harness.openShards()
  await fleet.shared(open.length, ...workers.map(({ name }) => name))
  const ownerOf = (shard: Shard | undefined) => workers.find(({ name }) => log.held(name).includes(shard?.ShardId ?? ''))
  const at = open.findIndex((shard, i) => i + 1 < open.length && ownerOf(shard) !== ownerOf(open[i + 1]))
  const [behind, ahead] = [open[at]!, open[at + 1]!]
  const slow = ownerOf(behind)!
  slow.withholds = true
  let since = log.entries.length
  const inHand = (): boolean =>
    log.entries
      .slice(since)
      .some((entry) => entry.type === 'called' && entry.by === slow.name && entry.shardId === behind.ShardId)
  await fleet.put()
  await log.until('a call of the parent that stays behind', inHand)
  // These wait behind that call, the next round is the child's.
  await fleet.put()
  since = log.entries.length
  await harness.merge(behind, ahead)
  await fleet.put()
  await log.until('the end of the other parent', () =>
    log.events('lease-ended', since).some(({ shardId }) => shardId === ahead.ShardId),
  )
  // Time enough for any worker to look at the table and to begin with the child.
  await new Promise<void>((resolve) => {
    let scans = 0
    const observe = (): void => void (++scans === 3 * workers.length && resolve())
    harness.local.faults.on('Scan', { observe, times: Number.POSITIVE_INFINITY })
  })
  slow.confirm()
}
