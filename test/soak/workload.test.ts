import { effectiveHashKey, inRange, MAX_HASH_KEY } from '@shardwise/core/hash-key'
import { seededRandom } from '@shardwise/core/random'
import { expect, test } from 'vitest'
import { KEYS, MEAN_RECORD_BYTES, Workload } from './workload.js'

const HALF = MAX_HASH_KEY / 2n
const lower = { shardId: 'a', start: '0', end: HALF.toString() }
const upper = { shardId: 'b', start: (HALF + 1n).toString(), end: MAX_HASH_KEY.toString() }

function spread(): Workload {
  const workload = new Workload(seededRandom(1))
  workload.spread([lower, upper])
  return workload
}

test('puts each key where Kinesis puts it', () => {
  const workload = spread()
  const within = workload.keysWithin(upper)
  for (let key = 0; key < KEYS; key++) {
    const { partitionKey, explicitHashKey } = workload.make(0, key)
    const range = { start: HALF + 1n, end: MAX_HASH_KEY }
    expect(within[key]).toBe(inRange(effectiveHashKey(partitionKey, explicitHashKey), range))
  }
  expect(workload.keysWithin(lower)).toEqual(within.map((isUpper) => !isUpper))
})

test('offers every shard the same, however narrow', () => {
  const workload = new Workload(seededRandom(1))
  const narrow = { shardId: 'n', start: '0', end: (MAX_HASH_KEY / 10n).toString() }
  workload.spread([narrow, { shardId: 'w', start: (MAX_HASH_KEY / 10n + 1n).toString(), end: MAX_HASH_KEY.toString() }])
  const within = workload.keysWithin(narrow)
  const inNarrow = Array.from({ length: 10_000 }, () => workload.key()).filter((key) => within[key]).length
  expect(inNarrow).toBeGreaterThan(4700)
  expect(inNarrow).toBeLessThan(5300)
})

test('knows its records again, and notices a single changed byte', () => {
  const workload = spread()
  let bytes = 0
  for (let record = 0; record < 2000; record++) {
    const made = workload.make(record, record % KEYS)
    bytes += made.data.length
    expect(workload.read(made.data, made.partitionKey)).toEqual({ record, key: record % KEYS })
    expect(workload.read(made.data, `${made.partitionKey}x`)).toBeUndefined()
    expect(workload.read(made.data.subarray(0, -1), made.partitionKey)).toBeUndefined()
    const changed = Buffer.from(made.data)
    changed[record % made.data.length]! ^= 1
    expect(workload.read(changed, made.partitionKey)).not.toEqual({ record, key: record % KEYS })
  }
  expect(bytes / 2000 / MEAN_RECORD_BYTES).toBeGreaterThan(0.8)
  expect(bytes / 2000 / MEAN_RECORD_BYTES).toBeLessThan(1.2)
})

test('a record of any size and number has all its bytes from its number', () => {
  // Lots that always choose the largest size.
  const workload = new Workload(() => 0.9999)
  workload.spread([lower, upper])
  for (let record = 0; record < 2000; record++) {
    const made = workload.make(record, 3)
    expect(made.data.length).toBeGreaterThan(99_000)
    expect(workload.read(made.data, made.partitionKey)).toEqual({ record, key: 3 })
  }
})

test('the same seed makes the same records', () => {
  const [one, two] = [spread(), spread()]
  for (let record = 0; record < 100; record++) {
    const key = one.key()
    expect(two.key()).toBe(key)
    expect(two.make(record, key)).toEqual(one.make(record, key))
  }
})
