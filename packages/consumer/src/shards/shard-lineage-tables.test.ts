import type { Shard } from '@shardwise/core/shard-map'
import { describe, expect, test } from 'vitest'
import { type Position, SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { missingLeases, type StartingPoint } from './shard-lineage.js'

const RANGE = { start: 0n, end: 1n }

/** `epochs`: what was open in each. `parents`: of each shard that has some. Shards of the last epoch are open. */
interface Graph {
  readonly epochs: readonly (readonly number[])[]
  readonly parents: Readonly<Record<number, readonly number[]>>
}

/** The graphs of KCL's HierarchicalShardSyncerTest. 0 and 1 merge into 6, 2 and 3 into 7, these into 8; 5 splits into 9 and 10; 4 stays. */
const A: Graph = {
  epochs: [
    [0, 1, 2, 3, 4, 5],
    [4, 5, 6, 7],
    [4, 8, 9, 10],
  ],
  parents: { 6: [0, 1], 7: [2, 3], 8: [6, 7], 9: [5], 10: [5] },
}
/** Merged to one and split in two, again and again. */
const B: Graph = {
  epochs: [[0, 1], [2], [3, 4], [5], [6, 7], [8], [9, 10]],
  parents: { 2: [0, 1], 3: [2], 4: [2], 5: [3, 4], 6: [5], 7: [5], 8: [6, 7], 9: [8], 10: [8] },
}
/** 0 splits twice, 2 and 3 merge, 1 stays. */
const C: Graph = {
  epochs: [
    [0, 1, 2, 3],
    [4, 5, 1, 6],
    [7, 8, 9, 10, 1, 6],
  ],
  parents: { 4: [0], 5: [0], 6: [2, 3], 7: [4], 8: [4], 9: [5], 10: [5] },
}

function shardsOf(graph: Graph): Shard[] {
  const open = new Set(graph.epochs.at(-1))
  return [...new Set(graph.epochs.flat())].map((id) => {
    const [parent, adjacent] = graph.parents[id] ?? []
    return {
      shardId: `s${id}`,
      range: RANGE,
      startingSequenceNumber: `${graph.epochs.findIndex((epoch) => epoch.includes(id))}${String(id).padStart(2, '0')}`,
      ...(parent !== undefined && { parentShardId: `s${parent}` }),
      ...(adjacent !== undefined && { adjacentParentShardId: `s${adjacent}` }),
      ...(!open.has(id) && { endingSequenceNumber: '9999' }),
    }
  })
}

function startOf(graph: Graph, position: 'latest' | 'oldest' | number): StartingPoint {
  if (position === 'oldest') return { kind: 'trim-horizon' }
  const epoch = position === 'latest' ? graph.epochs.length - 1 : position
  const openThen = new Set(graph.epochs[epoch]!.map((id) => `s${id}`))
  return { kind: position === 'latest' ? 'latest' : 'at-timestamp', startAt: epoch, openThen }
}

function missing(graph: Graph, leases: Leases, position: 'latest' | 'oldest' | number, listed?: readonly number[]): number[] {
  const shards = shardsOf(graph).filter(({ shardId }) => listed?.includes(Number(shardId.slice(1))) ?? true)
  return missingLeases({ shards, leases, start: startOf(graph, position) })
    .map(({ leaseKey }) => Number(leaseKey.slice(1)))
    .sort((a, b) => a - b)
}

type Leases = readonly { readonly shardId: string; readonly checkpoint: Position }[]

function leases(ids: readonly number[], checkpoint: Position = TRIM_HORIZON): Leases {
  return ids.map((id) => ({ shardId: `s${id}`, checkpoint }))
}

const BEGUN = sequencePosition('5')

describe('KCL scenario 14: split and merge trees, by initial position and by what the table has', () => {
  /** Columns: at the tip, from the oldest record, from a time in the first epoch, from a time in the second. */
  test.each<[string, Graph, Leases, number[], number[], number[], number[]]>([
    ['A, empty', A, [], [4, 8, 9, 10], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [4, 5, 6, 7]],
    ['A, partial: 3 4 5', A, leases([3, 4, 5]), [2, 6], [0, 1, 2], [0, 1, 2], [2, 6]],
    ['A, partial: 4 5 7', A, leases([4, 5, 7]), [6], [0, 1], [0, 1], [6]],
    ['A, partial: 2 6', A, leases([2, 6]), [3, 4, 9, 10], [3, 4, 5], [3, 4, 5], [3, 4, 5]],
    ['A, partial: 4 9 10', A, leases([4, 9, 10]), [8], [0, 1, 2, 3], [0, 1, 2, 3], [6, 7]],
    ['A, complete: the second epoch', A, leases([4, 5, 6, 7]), [], [], [], []],
    ['A, complete, with finished ancestors', A, [...leases([4, 5, 6, 7]), ...leases([0, 1, 2, 3], SHARD_END)], [], [], [], []],
    ['A, complete: across the epochs', A, leases([0, 1, 4, 7, 9, 10]), [], [], [], []],
    ['A, complete: all of the past, nothing of the present', A, leases([0, 1, 2, 3, 4, 5, 6, 7]), [], [], [], []],
    ['B, empty', B, [], [9, 10], [0, 1], [0, 1], [2]],
    ['B, partial: 6, not begun', B, leases([6]), [7], [0, 1], [0, 1], [2]],
    ['B, partial: 6, begun, so 5 was read', B, leases([6], BEGUN), [7], [7], [7], [7]],
    ['B, complete: 5', B, leases([5]), [], [], [], []],
    ['B, complete: with its past', B, leases([0, 1, 2, 3, 4, 5]), [], [], [], []],
    ['C, empty', C, [], [1, 6, 7, 8, 9, 10], [0, 1, 2, 3], [0, 1, 2, 3], [1, 4, 5, 6]],
    ['C, partial: 9 10, not begun', C, leases([9, 10]), [1, 6, 7, 8], [0, 1, 2, 3], [0, 1, 2, 3], [1, 4, 6]],
    [
      'C, partial: 9 10, begun, so 0 and 5 were read',
      C,
      leases([9, 10], BEGUN),
      [1, 6, 7, 8],
      [1, 2, 3, 4],
      [1, 2, 3, 4],
      [1, 4, 6],
    ],
  ])('%s', (_name, graph, table, latest, oldest, first, second) => {
    expect({
      latest: missing(graph, table, 'latest'),
      oldest: missing(graph, table, 'oldest'),
      first: missing(graph, table, 0),
      second: missing(graph, table, 1),
    }).toEqual({ latest, oldest, first, second })
  })

  /** Retention has taken all closed shards; the open ones still name their parents. */
  test.each<[string, Leases, number[]]>([
    ['nothing in the table', [], [4, 8, 9, 10]],
    ['what stood before, at work: its end creates the children, where there is one', leases([0, 1, 2, 3, 4, 5], BEGUN), [8]],
    ['what stood before, finished', [...leases([4], BEGUN), ...leases([5, 6, 7], SHARD_END)], [8, 9, 10]],
    ['one parent of a merge finished, the other at work', [...leases([4, 9, 10, 6], BEGUN), ...leases([7], SHARD_END)], []],
    [
      'one parent of a merge finished, the other without a row: gone',
      [...leases([4, 9, 10], BEGUN), ...leases([7], SHARD_END)],
      [8],
    ],
    ['leases of all that is open', leases([4, 8, 9, 10], BEGUN), []],
  ])('all parents expired, %s', (_name, table, expected) => {
    for (const position of ['latest', 'oldest', 0, 1] as const) {
      expect(missing(A, table, position, [4, 8, 9, 10]), `${position}`).toEqual(expected)
    }
  })

  test('behind finished parents a shard starts at its oldest record, whatever the initial position', () => {
    const table = [...leases([4, 8, 9], BEGUN), ...leases([5], SHARD_END)]
    for (const position of ['latest', 'oldest', 0] as const) {
      expect(missingLeases({ shards: shardsOf(A), leases: table, start: startOf(A, position) })).toMatchObject([
        { leaseKey: 's10', checkpoint: TRIM_HORIZON, startAt: undefined, parentShardIds: ['s5'] },
      ])
    }
  })

  test('merged and split three thousand times: no path is walked twice', () => {
    const shards: Shard[] = []
    const add = (id: number, parents: readonly number[], closed: boolean): void => {
      const [parent, adjacent] = parents.map((each) => `s${each}`)
      shards.push({
        shardId: `s${id}`,
        range: RANGE,
        startingSequenceNumber: `${id}`,
        ...(parent !== undefined && { parentShardId: parent }),
        ...(adjacent !== undefined && { adjacentParentShardId: adjacent }),
        ...(closed && { endingSequenceNumber: '1' }),
      })
    }
    add(0, [], true)
    for (let id = 0; id < 9_000; id += 3) {
      add(id + 1, [id], true)
      add(id + 2, [id], true)
      add(id + 3, [id + 1, id + 2], id < 8_997)
    }
    const keys = (table: Leases): string[] =>
      missingLeases({ shards, leases: table, start: { kind: 'trim-horizon' } }).map(({ leaseKey }) => leaseKey)
    expect(keys([])).toEqual(['s0'])
    expect(keys(leases([1]))).toEqual(['s0'])
    expect(keys(leases([1], BEGUN))).toEqual(['s2'])
  })
})

describe('KCL scenario 16: a child is listed while its parent still looks open', () => {
  const inconsistent = shardsOf(A).map((shard) => {
    const { endingSequenceNumber: _, ...open } = shard
    return shard.shardId === 's5' ? open : shard
  })
  const keys = (table: Leases, start: StartingPoint): string[] =>
    missingLeases({ shards: inconsistent, leases: table, start }).map(({ leaseKey }) => leaseKey)

  test('the parent counts as closed: it comes first, or has come, and nothing is read beside it', () => {
    expect(keys([], startOf(A, 'oldest'))).toEqual(['s0', 's1', 's2', 's3', 's4', 's5'])
    expect(keys([], startOf(A, 'latest'))).toEqual(['s4', 's8', 's9', 's10'])
    expect(keys(leases([4, 5, 8], BEGUN), startOf(A, 'latest'))).toEqual([])
    expect(keys([...leases([4, 8], BEGUN), ...leases([5], SHARD_END)], startOf(A, 'latest'))).toEqual(['s9', 's10'])
  })

  test('parent and child both counted as open at the starting time: the parent alone gets a lease', () => {
    const start: StartingPoint = { kind: 'latest', startAt: 2, openThen: new Set(['s4', 's5', 's8', 's9', 's10']) }
    expect(keys([], start)).toEqual(['s4', 's5', 's8'])
  })
})
