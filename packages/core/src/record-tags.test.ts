import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { headersOf, RECORD_ID_TAG, recordIdOf, tagsOf } from './record-tags.js'

describe('tags of a record', () => {
  test('none without headers and id', () => {
    expect([tagsOf(undefined, undefined), tagsOf(undefined, {})]).toEqual([undefined, undefined])
    expect([headersOf([]), recordIdOf([])]).toEqual([{}, undefined])
  })

  test('headers go by their names, the id by its own', () => {
    expect(tagsOf('id-1', { a: '1', b: '' })).toEqual([
      { key: RECORD_ID_TAG, value: 'id-1' },
      { key: 'a', value: '1' },
      { key: 'b', value: '' },
    ])
  })

  test('of others: the last of two with one name, and no value as an empty one', () => {
    const tags = [{ key: 'a', value: '1' }, { key: 'b' }, { key: 'a', value: '2' }, { key: RECORD_ID_TAG }]
    expect({ ...headersOf(tags) }).toEqual({ a: '2', b: '' })
    expect(recordIdOf(tags)).toBeUndefined()
  })

  test('whatever the names, what went in comes out, and cannot be changed', () => {
    const name = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1 }),
      fc.constantFrom('__proto__', 'constructor', 'toString', '0'),
    )
    const id = fc.option(fc.string({ unit: 'binary', minLength: 1 }), { nil: undefined })
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(name, fc.string({ unit: 'binary' })), { selector: ([key]) => key }),
        id,
        (entries, id) => {
          const tags = tagsOf(id, Object.fromEntries(entries)) ?? []
          const headers = headersOf(tags)
          expect(new Map(Object.entries(headers))).toEqual(new Map(entries))
          expect(recordIdOf(tags)).toBe(id)
          expect(Object.isFrozen(headers)).toBe(true)
        },
      ),
    )
  })
})
