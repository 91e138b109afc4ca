import { type Codec, compressed, type DataKeys, encrypted, json } from '@shardwise/core/codec'
import { describe, expect, it } from 'vitest'
import { setUp } from '../testing/small-fleet.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { DecodeDelayedEvent } from './record-preparation.js'

/** Wrapped keys are numbers; each is asked for as the test says. */
class Keys implements DataKeys {
  #made = 0
  readonly asked: number[] = []
  answer: (id: number) => ReturnType<DataKeys['decrypt']> = async (id) => new Uint8Array(32).fill(id)

  async generate(): ReturnType<DataKeys['generate']> {
    const id = ++this.#made
    return { key: new Uint8Array(32).fill(id), wrapped: new Uint8Array([id]) }
  }

  decrypt(wrapped: Uint8Array): ReturnType<DataKeys['decrypt']> {
    this.asked.push(wrapped[0]!)
    return this.answer(wrapped[0]!)
  }
}

async function started(values: number, perKey = 2) {
  const fleet = setUp(1)
  const { model, clock } = fleet
  const keys = new Keys()
  const make = (options: object = {}): Codec<number> => encrypted(compressed(json<number>()), { keys, clock, ...options })
  const writer = make({ maxKeyRecords: perKey })
  for (let value = 0; value < values; value++) {
    await writer.readyToEncode!()
    const Data = writer.encode(value, { stream: 'flights', partitionKey: 'k', headers: undefined })
    model.call('PutRecord', { StreamName: 'flights', PartitionKey: 'k', Data })
  }
  const consumer = fleet.consumer({ codec: make({ maxCachedKeys: 1 }) })
  const delays: DecodeDelayedEvent[] = []
  consumer.events.on('decode-delayed', (event) => delays.push(event))
  return { ...fleet, keys, one: consumer, delays }
}

const failures = { attempts: 1, giveUp: 'skip' } as const

describe('records whose data keys must be fetched', () => {
  it('are handed over when they are there, each key asked for once', async () => {
    const { keys, one, delays, until, settled } = await started(40, 2)
    const got: number[] = []
    const run = one.run({ eachBatch: (records) => void got.push(...records.map(({ data }) => data)) }, { onFailure: failures })
    await until(() => got.length === 40)
    expect(got).toEqual(Array.from({ length: 40 }, (_, i) => i))
    expect(new Set(keys.asked).size).toBe(keys.asked.length)
    expect(keys.asked.length).toBeGreaterThan(16)
    expect(delays).toEqual([])
    await settled(one.stop())
    await run
  })

  it('wait while the key service is away, told by an event each time: no attempt counts and nothing is given up', async () => {
    const { keys, one, delays, clock, until, settled } = await started(4)
    keys.answer = async () => Promise.reject(new Error('AccessDenied'))
    const got: number[] = []
    const types: string[] = []
    one.events.onAny(({ type }) => types.push(type))
    const run = one.run({ eachRecord: ({ data }) => void got.push(data) }, { onFailure: failures })
    await until(() => delays.length === 5)
    const first = { shardId: 'shardId-000000000000', subSequenceNumber: 0, attempt: 1, retryInMs: expect.any(Number) }
    expect(delays[0]).toMatchObject({ ...first, error: { message: 'AccessDenied' }, sequenceNumber: expect.any(String) })
    expect(delays.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5])
    const since = clock.now()
    keys.answer = async (id) => new Uint8Array(32).fill(id)
    await until(() => got.length === 4)
    expect(clock.now() - since).toBeLessThan(10_000)
    expect(types).not.toContain('handler-failed')
    expect(types).not.toContain('record-skipped')
    expect(got).toEqual([0, 1, 2, 3])
    await settled(one.stop())
    await run
  })

  it('whose key is refused are failures of the handler, as whatever cannot be decoded', async () => {
    const { keys, one, delays, until, settled } = await started(6)
    keys.answer = async (id) => (id === 2 ? { refused: 'deleted' } : new Uint8Array(32).fill(id))
    const got: number[] = []
    const errors: string[] = []
    one.events.on('handler-failed', ({ error }) => errors.push((error as Error).message))
    const run = one.run({ eachRecord: ({ data }) => void got.push(data) }, { onFailure: failures })
    await until(() => got.length >= 3 && got.includes(5))
    expect(got.length + errors.length).toBe(6)
    expect(errors.length).toBeGreaterThan(0)
    for (const error of errors) {
      expect(error).toMatch(
        /^The codec EncryptedCodec cannot decode record \d+\/0 of shardId-0+ of flights: the key service refuses .*\(deleted\)/,
      )
    }
    expect(delays).toEqual([])
    await settled(one.stop())
    await run
  })

  it.each(['eachRecord', 'shards'])('a key service that hangs holds up neither a stop nor the lease: %s', async (how) => {
    const { keys, one, clock, leaseStore, until, settled } = await started(4)
    let asked = false
    keys.answer = () => {
      asked = true
      return new Promise(() => {})
    }
    const got: ConsumedRecord<number>[] = []
    const shards = async (): Promise<void> => {
      for await (const shard of one.shards())
        void shard
          .records()
          .next()
          .then(({ value }) => value && got.push(value))
    }
    const run = how === 'shards' ? shards() : one.run({ eachRecord: (record) => void got.push(record) })
    await until(() => asked)
    const since = clock.now()
    await settled(one.stop())
    await run
    expect(clock.now() - since).toBeLessThan(1000)
    expect(got).toEqual([])
    expect((await leaseStore.list()).leases).toMatchObject([{ leaseOwner: undefined, checkpoint: { kind: 'trim-horizon' } }])
    // The time limit of the call that hangs.
    await clock.advanceAsync(20_000)
  })
})
