import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRecords } from './get-records-json.js'

/** What the parser makes of it, with the data of records decoded; in words, as to compare bytes one by one takes long. */
function parsed(body: Buffer): string {
  const answer = JSON.parse(body.toString()) as { Records?: unknown }
  if (Array.isArray(answer.Records)) {
    for (const record of answer.Records) if (typeof record?.Data === 'string') record.Data = Buffer.from(record.Data, 'base64')
  }
  return inWords(answer)
}
const inWords = (answer: object | undefined): string =>
  JSON.stringify(answer, (_, value) => (value?.type === 'Buffer' ? { bytes: Buffer.from(value.data).toString('hex') } : value))

/** So long that the answer is taken apart. */
const long = Buffer.alloc(3100, 7)
const record = (data: Uint8Array, PartitionKey = 'k') => ({
  SequenceNumber: '49590338271490256608559692538361571095921575989136588898',
  ApproximateArrivalTimestamp: 1_760_000_000.123,
  Data: Buffer.from(data).toString('base64'),
  PartitionKey,
})

test('an answer as the service gives it is taken apart', () => {
  const body = Buffer.from(
    JSON.stringify({
      MillisBehindLatest: 0,
      NextShardIterator: 'AAAA',
      Records: [
        record(long),
        record(Buffer.from('é'), 'clé ✈ 😀'),
        record(Buffer.alloc(0)),
        { PartitionKey: 'none' },
        record(long),
      ],
    }),
  )
  expect(inWords(parseRecords(body))).toBe(parsed(body))
})

const data = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constant(long))
const text = fc.oneof(
  { weight: 30, arbitrary: fc.stringMatching(/^[a-zé✈/0 ,{]*$/) },
  fc.constantFrom('"Data":"', ',"Data":"', '{"Data":"x"}', '\0', '\\u00000', '0', 'Data'),
)
const anyRecord = fc.oneof(
  { weight: 30, arbitrary: fc.tuple(data, text).map(([bytes, key]) => record(bytes, key) as unknown) },
  fc.constantFrom(null, 7, [], {}, { Data: 7 }, { Data: '1' }, { data: 'x' }),
  text.map((Data) => ({ Data })),
  text.map((PartitionKey) => ({ Nested: { Data: 'eA==', PartitionKey } })),
)
const anyAnswer = fc.record(
  {
    Records: fc.array(anyRecord, { maxLength: 6 }),
    Data: fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, text),
    NextShardIterator: text,
  },
  { requiredKeys: ['Records'] },
)

test('any other means the same, or is left to the parser', () => {
  let apart = 0
  fc.assert(
    fc.property(anyAnswer, fc.constant(long), fc.constantFrom(0, 0, 0, 1), fc.nat(9), (answer, first, indent, spaced) => {
      const withFirst = { ...answer, Records: [record(first), ...answer.Records] }
      const written = JSON.stringify(withFirst, null, indent)
      const body = Buffer.from(spaced === 0 ? written.replace('"Data":"', '"Data": "') : written)
      const found = parseRecords(body)
      if (found === undefined) return
      apart++
      expect(inWords(found)).toBe(parsed(body))
    }),
    { numRuns: 1000 },
  )
  expect(apart).toBeGreaterThan(100)
})

test('a text in which a byte was changed means the same, or is left to the parser', () => {
  const whole = Buffer.from(JSON.stringify({ Records: [record(long), record(Buffer.from('abc'), 'x,'), record(long)] }))
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.constantFrom(...'"\\,{}:[]0 Dé\0'), (at, character) => {
      const body = Buffer.concat([whole.subarray(0, at), Buffer.from(character), whole.subarray(at + 1)])
      const found = parseRecords(body)
      if (found !== undefined) expect(inWords(found)).toBe(parsed(body))
    }),
    { numRuns: 500 },
  )
})

test.each([
  ['a member of that name beside the records', (long: string) => `{"Records":[{"Data":"${long}"},{"Data": "1"}],"Data":"eA=="}`],
  ['a record that has it twice', (long: string) => `{"Records":[{"Data":"${long}","Data":"eA=="}]}`],
  ['a name that ends so', (long: string) => `{"Records":[{"\\"Data":"${long}"}]}`],
  ['no records', (long: string) => `{"Data":"${long}"}`],
  ['a text that does not end', (long: string) => `{"Records":[{"Data":"${long}"},{"Data":"eA`],
])('%s: left to the parser', (_, body) => {
  expect(parseRecords(Buffer.from(body(long.toString('base64'))))).toBeUndefined()
})
