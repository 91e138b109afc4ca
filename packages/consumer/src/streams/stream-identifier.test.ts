import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatStreamId, identify, parseStreamId } from './stream-identifier.js'

const CREATED = 1_763_718_000_000
const STREAM = { accountId: '123456789012', name: 'flights', createdAt: CREATED, creationEpoch: undefined }
const of = (epoch: number): string => `123456789012:flights:${epoch}`

describe('a serialised identifier', () => {
  test.each([
    ['123456789012:flights:1763718000', { accountId: '123456789012', name: 'flights', epoch: 1_763_718_000 }],
    ['1:a.b-c_d:1', { accountId: '1', name: 'a.b-c_d', epoch: 1 }],
    ['flights', undefined],
    ['123456789012:flights:0', undefined],
    ['123456789012:flights:', undefined],
    ['123456789012::5', undefined],
    ['123456789012:flights:5:shardId-000000000000', undefined],
    ['a:flights:5', undefined],
    ['123456789012:flights:99999999999999999999', undefined],
  ])('%s', (text, expected) => {
    expect(parseStreamId(text)).toEqual(expected)
  })

  test('property: what is written is what is read', () => {
    const identifier = fc.record({
      accountId: fc.stringMatching(/^[0-9]{12}$/),
      name: fc.stringMatching(/^[a-zA-Z0-9_.-]{1,128}$/),
      epoch: fc.integer({ min: 1 }),
    })
    const check = (each: { accountId: string; name: string; epoch: number }): void => {
      expect(parseStreamId(formatStreamId(each))).toEqual(each)
    }
    fc.assert(fc.property(identifier, check))
  })
})

describe('the identifier of a stream', () => {
  test.each<[string, readonly string[], string, boolean]>([
    ['in an empty table: the second of its creation', [], of(1_763_718_000), false],
    ['that has it', [of(1_763_718_000)], of(1_763_718_000), false],
    ['that has it in milliseconds', [of(CREATED)], of(CREATED), false],
    ['that has it to the millisecond', [of(CREATED + 123)], of(CREATED + 123), false],
    ['that has it a second off, as another protocol rounds it', [of(1_763_718_001)], of(1_763_718_001), false],
    ['that has both: one of them', [of(CREATED), of(1_763_718_000)], of(1_763_718_000), false],
    ['with a stream that had its name before', [of(1_700_000_000)], of(1_763_718_000), true],
    ['with one that had it before, in milliseconds', [of(1_700_000_000_000)], of(1_763_718_000), true],
    ['with itself and a former one', [of(1_700_000_000), of(CREATED)], of(CREATED), true],
    ['with itself and an epoch of any meaning', [of(1_763_718_000), of(1)], of(1_763_718_000), true],
    [
      'with streams of other names and accounts',
      ['123456789012:weather:1', '999999999999:flights:1', 'junk'],
      of(1_763_718_000),
      false,
    ],
  ])('%s', (_name, inTable, streamId, former) => {
    expect(identify(STREAM, inTable)).toEqual({ kind: 'known', streamId, former })
  })

  test.each([
    ['no moment at which there were streams', 1],
    ['a day before there were any', 1_383_263_999],
    ['a moment after its creation', 1_763_718_002],
    ['that in milliseconds', CREATED + 2_000],
  ])('cannot be told by %s', (_name, epoch) => {
    expect(identify(STREAM, [of(epoch)])).toEqual({ kind: 'ambiguous', epoch })
  })

  test('is what the user says', () => {
    const told = { ...STREAM, creationEpoch: 1 }
    expect(identify(told, [of(1)])).toEqual({ kind: 'known', streamId: of(1), former: false })
    expect(identify(told, [of(1_763_718_000)])).toEqual({ kind: 'known', streamId: of(1), former: true })
    expect(identify(told, [])).toEqual({ kind: 'known', streamId: of(1), former: false })
  })
})
