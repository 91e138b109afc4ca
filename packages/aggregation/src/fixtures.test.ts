import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { AggregateBuilder, deaggregate, decodeAggregate } from './index.js'

interface Fixture {
  readonly source: string
  readonly base64: string
  readonly partitionKeyTable: readonly string[]
  readonly explicitHashKeyTable: readonly string[]
  readonly records: readonly {
    readonly partitionKeyIndex: number
    readonly explicitHashKeyIndex: number | null
    readonly dataUtf8: string
  }[]
}

/** Written by the KPL and Amazon's Java aggregator, from the tests of https://github.com/awslabs/kinesis-aggregation (Apache-2.0). */
const fixtures = JSON.parse(
  readFileSync(new URL('../fixtures/kpl-aggregated-records.json', import.meta.url), 'utf8'),
) as readonly Fixture[]

const expected = (fixture: Fixture) =>
  fixture.records.map((record, subSequenceNumber) => ({
    partitionKey: fixture.partitionKeyTable[record.partitionKeyIndex],
    explicitHashKey: record.explicitHashKeyIndex === null ? undefined : fixture.explicitHashKeyTable[record.explicitHashKeyIndex],
    data: record.dataUtf8,
    subSequenceNumber,
  }))

describe.each(fixtures.map((fixture, i) => ({ name: `fixture ${i} (${fixture.source})`, fixture })))('$name', ({ fixture }) => {
  const bytes = new Uint8Array(Buffer.from(fixture.base64, 'base64'))

  it('decodes to the user records that Amazon documents', () => {
    const decoded = [...decodeAggregate(bytes)!].map((view) => ({
      partitionKey: view.partitionKey,
      explicitHashKey: view.explicitHashKey,
      data: Buffer.from(view.data).toString('utf8'),
      subSequenceNumber: view.subSequenceNumber,
    }))
    expect(decoded).toEqual(expected(fixture))
  })

  it('re-encodes byte for byte', () => {
    const builder = new AggregateBuilder()
    for (const view of decodeAggregate(bytes)!)
      expect(builder.tryAdd(view.partitionKey, view.data, view.explicitHashKey)).toBe(true)
    expect(builder.byteLength).toBe(bytes.length)
    expect(Buffer.from(builder.seal().bytes).equals(bytes)).toBe(true)
  })

  it('de-aggregates out of a Lambda event', () => {
    const event = { Records: [{ kinesis: { data: fixture.base64, partitionKey: 'a', sequenceNumber: '495' } }] }
    const records = [...deaggregate(event)].map((record) => [record.partitionKey, Buffer.from(record.data).toString('utf8')])
    expect(records).toEqual(expected(fixture).map((record) => [record.partitionKey, record.data]))
  })
})

it('knows four real aggregates, of 4, 8, 4 and 100 records', () => {
  expect(fixtures.map((fixture) => fixture.records.length).sort((a, b) => a - b)).toEqual([4, 4, 8, 100])
})
