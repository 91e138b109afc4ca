import { beforeEach, describe, expect, test } from 'vitest'
import { ConsumerStoppingError } from '../consumer-error.js'
import type { RecordPosition } from '../delivery/completed-prefix.js'
import type { HandlerContext } from '../delivery/handler.js'
import { LeaseLostError } from '../leases/lease-lost-error.js'
import type { PendingCheckpoint } from './pending-checkpoint.js'
import { type Position, sequencePosition, TRIM_HORIZON } from './position.js'
import { ShardCheckpoints } from './shard-checkpoints.js'

const at = (sequenceNumber: string, subSequenceNumber = 0) => ({ sequenceNumber, subSequenceNumber })
const pos = sequencePosition
const STATE = new Uint8Array([1, 2, 3])

/** What the lease was told to write, in order. */
let written: [Position, PendingCheckpoint | null][]
let lost: LeaseLostError | undefined
let landing: Promise<void> | undefined

beforeEach(() => {
  written = []
  lost = undefined
  landing = undefined
})

function shard(options: { automatic?: boolean; sideBySide?: boolean; from?: Position; pending?: PendingCheckpoint } = {}) {
  const { automatic = false, sideBySide = false, from = pos('10'), pending } = options
  const completed: string[] = []
  const checkpoints = new ShardCheckpoints({
    stream: 'flights',
    lease: {
      shardId: 's1',
      generation: 7,
      resumeFrom: from,
      pendingCheckpoint: pending,
      checkpointNow: async (position, prepared) => {
        if (lost !== undefined) throw lost
        written.push([position, prepared ?? null])
        await landing
      },
    },
    automatic: automatic
      ? { completed: ({ sequenceNumber }, records) => completed.push(`${sequenceNumber}: ${records}`) }
      : undefined,
    sideBySide,
  })
  return {
    checkpoints,
    completed,
    generation: checkpoints.generation,
    pendingCheckpoint: checkpoints.found,
    ...callsOf(checkpoints),
  }
}

/** As a handler call has them. */
function callsOf(checkpoints: ShardCheckpoints, last?: RecordPosition): Pick<HandlerContext, 'checkpoint' | 'prepareCheckpoint'> {
  return {
    checkpoint: (record) => checkpoints.checkpoint(record, last),
    prepareCheckpoint: (record, state) => checkpoints.prepareCheckpoint(record, state, last),
  }
}

describe('checkpoint', () => {
  test('without a record: at the last record of the call in hand', async () => {
    const { checkpoints, checkpoint } = shard()
    checkpoints.inHand(at('12', 4))
    await checkpoint()
    expect(written).toEqual([[pos('12', 4), null]])
  })

  test('without a record, when the call has failed: at what is completed', async () => {
    const { checkpoints, checkpoint } = shard()
    checkpoints.completed(at('11'), 1)
    checkpoints.inHand(at('12'))
    checkpoints.inHand(undefined)
    await checkpoint()
    expect(written).toEqual([[pos('11'), null]])
    await expect(checkpoint(at('12'))).rejects.toThrow('ends at 11/0, got 12/0')
  })

  test('without a record, of a call that is over: at its last record, and not at what another call has in hand', async () => {
    const { checkpoints } = shard()
    checkpoints.inHand(at('12'))
    const first = callsOf(checkpoints, at('12'))
    checkpoints.completed(at('12'), 2)
    checkpoints.inHand(at('20'))
    const second = callsOf(checkpoints, at('20'))
    await first.checkpoint()
    const { position } = await first.prepareCheckpoint(undefined, STATE)
    expect(position).toEqual(pos('12'))
    await second.checkpoint()
    await first.checkpoint()
    expect(written).toEqual([
      [pos('12'), null],
      [pos('12'), { position: pos('12'), state: STATE }],
      [pos('20'), null],
      [pos('20'), null],
    ])
  })

  test('without a record, of a call that has failed: at what is completed', async () => {
    const { checkpoints } = shard()
    checkpoints.completed(at('11'), 1)
    checkpoints.inHand(at('12'))
    const { checkpoint } = callsOf(checkpoints, at('12'))
    checkpoints.inHand(undefined)
    await checkpoint()
    expect(written).toEqual([[pos('11'), null]])
  })

  test('calls side by side: what is in hand is not sure, only what is completed without a gap', async () => {
    const { checkpoints, checkpoint } = shard({ sideBySide: true })
    checkpoints.inHand(at('12'))
    await expect(checkpoint(at('12'))).rejects.toThrow(RangeError)
    checkpoints.completed(at('12'), 2)
    await checkpoint(at('12'))
    expect(written).toEqual([[pos('12'), null]])
  })

  test('forward only, from the last accepted one, though that has not landed yet', async () => {
    const { checkpoints, checkpoint } = shard()
    checkpoints.inHand(at('20'))
    landing = new Promise(() => {})
    void checkpoint(at('15'))
    await expect(checkpoint(at('14'))).rejects.toThrow('before the last one, 15/0, got 14/0')
    expect(checkpoints.last).toEqual(pos('15'))
  })

  test('automatic ones count as the last too', async () => {
    const { checkpoints, checkpoint, completed } = shard({ automatic: true })
    checkpoints.completed(at('12'), 2)
    expect(completed).toEqual(['12: 2'])
    await expect(checkpoint(at('11'))).rejects.toThrow('before the last one, 12/0')
    await checkpoint()
    expect(written).toEqual([[pos('12'), null]])
  })

  test('manual ones: completion writes nothing', () => {
    const { checkpoints } = shard()
    checkpoints.completed(at('12'), 2)
    expect([checkpoints.last, checkpoints.end]).toEqual([pos('10'), pos('12')])
    expect(written).toEqual([])
  })

  test('rejects with what the lease says when it is lost', async () => {
    const { checkpoint } = shard()
    lost = new LeaseLostError('s1', 'me', 'another worker has taken it')
    await expect(checkpoint()).rejects.toBe(lost)
  })

  test('after the work was abandoned nothing counts: neither completions nor checkpoints', async () => {
    const { checkpoints, checkpoint, prepareCheckpoint } = shard()
    checkpoints.inHand(at('12'))
    const { commit } = await prepareCheckpoint()
    checkpoints.close(new ConsumerStoppingError())
    checkpoints.completed(at('12'), 1)
    expect(checkpoints.end).toEqual(pos('10'))
    for (const call of [checkpoint, prepareCheckpoint, commit]) await expect(call()).rejects.toThrow(ConsumerStoppingError)
    expect(written).toHaveLength(1)
  })
})

describe('prepareCheckpoint', () => {
  test('writes position and state beside the checkpoint; commit makes it the checkpoint', async () => {
    const { checkpoints, prepareCheckpoint } = shard()
    checkpoints.inHand(at('12', 4))
    const prepared = await prepareCheckpoint(at('12', 3), STATE)
    expect(prepared.position).toEqual(pos('12', 3))
    expect(written).toEqual([[pos('10'), { position: pos('12', 3), state: STATE }]])
    await prepared.commit()
    expect(written.at(-1)).toEqual([pos('12', 3), null])
    expect(checkpoints.last).toEqual(pos('12', 3))
  })

  test('the state is a copy; none and no bytes are the same', async () => {
    const { checkpoints, prepareCheckpoint } = shard()
    checkpoints.inHand(at('12'))
    const state = new Uint8Array([1])
    const preparing = prepareCheckpoint(at('11'), state)
    state[0] = 9
    await preparing
    await prepareCheckpoint(at('12'), new Uint8Array())
    expect(written.map(([, pending]) => pending?.state)).toEqual([new Uint8Array([1]), undefined])
  })

  test.each([
    ['not bytes', 'text' as unknown as Uint8Array, 'must be a Uint8Array, got string'],
    ['too long', new Uint8Array(65_537), 'at most 65536 bytes, got 65537'],
  ])('refuses a state that is %s', async (_name, state, message) => {
    await expect(shard().prepareCheckpoint(undefined, state)).rejects.toThrow(message)
    expect(written).toEqual([])
  })

  test('the range is that of checkpoint', async () => {
    const { checkpoints, prepareCheckpoint } = shard()
    checkpoints.inHand(at('12'))
    await expect(prepareCheckpoint(at('9'))).rejects.toThrow('before the last one, 10/0')
    await expect(prepareCheckpoint(at('13'))).rejects.toThrow('ends at 12/0')
    expect(written).toEqual([])
  })

  test('where the checkpoint stands already and without a state there is nothing to prepare', async () => {
    const { prepareCheckpoint } = shard({ from: TRIM_HORIZON })
    const { position, commit } = await prepareCheckpoint()
    expect([position, written]).toEqual([TRIM_HORIZON, []])
    await commit()
    expect(written).toEqual([[TRIM_HORIZON, null]])
    await prepareCheckpoint(undefined, STATE)
    expect(written.at(-1)).toEqual([TRIM_HORIZON, { position: TRIM_HORIZON, state: STATE }])
  })

  describe('interleavings', () => {
    const prepared = async (...numbers: string[]) => {
      const { checkpoints, checkpoint, prepareCheckpoint } = shard()
      checkpoints.inHand(at('20'))
      const all = []
      for (const number of numbers) all.push(await prepareCheckpoint(at(number), STATE))
      written = []
      return { all, checkpoint, prepareCheckpoint }
    }

    test('prepare, commit, prepare, commit', async () => {
      const { all, prepareCheckpoint } = await prepared('12')
      await all[0]!.commit()
      const next = await prepareCheckpoint(at('14'), STATE)
      await next.commit()
      expect(written).toEqual([
        [pos('12'), null],
        [pos('12'), { position: pos('14'), state: STATE }],
        [pos('14'), null],
      ])
    })

    test('prepare, prepare, commit the first: the second stays prepared, and can be committed', async () => {
      const { all } = await prepared('12', '14')
      await all[0]!.commit()
      await all[1]!.commit()
      expect(written).toEqual([
        [pos('12'), { position: pos('14'), state: STATE }],
        [pos('14'), null],
      ])
    })

    test('prepare, prepare before it, commit the first: that covers the second', async () => {
      const { all } = await prepared('14', '12')
      await all[0]!.commit()
      expect(written).toEqual([[pos('14'), null]])
      await expect(all[1]!.commit()).rejects.toThrow('before the last one, 14/0, got 12/0')
    })

    test('prepare, checkpoint: discarded, at whichever position; its commit still obeys the range', async () => {
      const { all, checkpoint } = await prepared('14')
      await checkpoint(at('12'))
      expect(written).toEqual([[pos('12'), null]])
      await all[0]!.commit()
      expect(written.at(-1)).toEqual([pos('14'), null])
      await checkpoint(at('16'))
      await expect(all[0]!.commit()).rejects.toThrow('before the last one, 16/0')
    })

    test('prepare, and the call fails: what it had in hand cannot be committed', async () => {
      const { checkpoints, prepareCheckpoint } = shard()
      checkpoints.inHand(at('20'))
      const { commit } = await prepareCheckpoint(at('15'))
      checkpoints.inHand(undefined)
      await expect(commit()).rejects.toThrow('ends at 10/0, got 15/0')
    })
  })
})

describe('what an owner before us has prepared', () => {
  const pending = { position: pos('14'), state: STATE }

  test('is shown until something overtakes it: a checkpoint, one prepared, or an automatic one', async () => {
    for (const act of ['checkpoint', 'prepareCheckpoint'] as const) {
      const { checkpoints, ...context } = shard({ pending })
      expect(context).toMatchObject({ generation: 7, pendingCheckpoint: pending })
      expect([13, 14, 15].map((n) => context.pendingCheckpoint?.covers(at(`${n}`)))).toEqual([true, true, false])
      checkpoints.inHand(at('12'))
      await context[act]()
      expect(checkpoints.found).toBe(undefined)
    }
    const { checkpoints } = shard({ pending, automatic: true })
    checkpoints.completed(at('12'), 1)
    expect(checkpoints.found).toBe(undefined)
  })

  test('stays shown while completions write nothing', () => {
    const { checkpoints } = shard({ pending })
    checkpoints.completed(at('12'), 1)
    expect(checkpoints.found).toMatchObject(pending)
  })
})

describe('deciding on it', () => {
  const pending = { position: pos('14'), state: STATE }

  test('its position may be checkpointed, though it was never handed over here; without a record it is not meant', async () => {
    const { checkpoints, checkpoint, pendingCheckpoint } = shard({ pending })
    checkpoints.inHand(at('12'))
    await expect(checkpoint(at('15'))).rejects.toThrow('ends at 14/0')
    await checkpoint(pendingCheckpoint?.position)
    expect(written).toEqual([[pos('14'), null]])
    expect(checkpoints.isAhead).toBe(true)
    checkpoints.completed(at('14'), 2)
    expect(checkpoints.isAhead).toBe(false)
    const other = shard({ pending })
    other.checkpoints.inHand(at('12'))
    await other.checkpoint()
    expect(written.at(-1)).toEqual([pos('12'), null])
    await expect(other.checkpoint(at('14'))).rejects.toThrow('ends at 12/0')
  })
})

describe('whether all is checkpointed', () => {
  test('manual: once the last completed record has landed', async () => {
    const { checkpoints, checkpoint } = shard()
    expect(checkpoints.isConfirmed).toBe(true)
    checkpoints.completed(at('12'), 2)
    expect(checkpoints.isConfirmed).toBe(false)
    const { landing: landed } = checkpoints
    let land = (): void => {}
    landing = new Promise((resolve) => {
      land = resolve
    })
    const checkpointing = checkpoint()
    expect(checkpoints.isConfirmed).toBe(false)
    land()
    await checkpointing
    expect([checkpoints.isConfirmed, landed.aborted, checkpoints.landing.aborted]).toEqual([true, true, false])
  })

  test('asked anew it must be made again, be it the same', async () => {
    const { checkpoints, checkpoint } = shard()
    checkpoints.askAnew()
    expect(checkpoints.isConfirmed).toBe(false)
    await checkpoint()
    expect(checkpoints.isConfirmed).toBe(true)
  })

  test('prepared is not enough', async () => {
    const { checkpoints, prepareCheckpoint } = shard()
    checkpoints.completed(at('12'), 2)
    const { commit } = await prepareCheckpoint()
    expect(checkpoints.isConfirmed).toBe(false)
    await commit()
    expect(checkpoints.isConfirmed).toBe(true)
  })

  test('automatic: always, since the end of the lease says it', () => {
    const { checkpoints } = shard({ automatic: true })
    checkpoints.completed(at('12'), 2)
    expect(checkpoints.isConfirmed).toBe(true)
  })
})
