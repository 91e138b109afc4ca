import { describe, expect, test } from 'vitest'
import { type Item, type Placeholders, parseCondition, parseUpdate } from './dynamodb-expression.js'

const GIVEN: Placeholders = {
  ExpressionAttributeNames: { '#a': 'a', '#b': 'b', '#c': 'c' },
  ExpressionAttributeValues: { ':one': { N: '1' }, ':x': { S: 'x' }, ':set': { SS: ['p'] } },
}
const ITEM: Item = { a: { N: '1.0' }, b: { S: 'x' } }

describe('a condition', () => {
  test.each<[string, Item, boolean]>([
    ['#a = :one', ITEM, true],
    ['#a = :one', { a: { N: '2' } }, false],
    // Another type is another value.
    ['#a = :one', { a: { S: '1' } }, false],
    ['#a = :one', {}, false],
    ['#c <> :x', ITEM, true],
    ['#b <> :x', ITEM, false],
    ['attribute_exists(#a)', ITEM, true],
    ['attribute_exists(#c)', ITEM, false],
    ['attribute_not_exists(#c)', ITEM, true],
    ['attribute_not_exists(a)', ITEM, false],
    ['NOT #a = :one', ITEM, false],
    ['#a = :one AND #b = :x', ITEM, true],
    ['#a = :x OR #b = :x', ITEM, true],
    // AND before OR.
    ['#b = :x OR #a = :x AND #a = :x', ITEM, true],
    ['(#b = :x OR #a = :x) AND #a = :x', ITEM, false],
    ['NOT (#b = :x AND #a = :x)', ITEM, true],
    ['#b = #b', ITEM, true],
    ['#c = #c', ITEM, false],
    ['#c = :set', { c: { SS: ['p'] } }, true],
  ])('%s of %j: %j', (text, item, holds) => {
    expect(parseCondition(text)(GIVEN, item)).toBe(holds)
  })

  test.each(['#a < :one', '#a = :one AND', '#a = :one #b', 'size(#a) = :one', 'begins_with(#a, :x)', '', '#a IN (:one)'])(
    'of a form that nobody here sends is refused and not guessed at: %s',
    (text) => {
      expect(() => parseCondition(text)(GIVEN, ITEM)).toThrow()
    },
  )

  test.each(['#z = :one', '#a = :z'])('with a placeholder that was not given: %s', (text) => {
    expect(() => parseCondition(text)(GIVEN, ITEM)).toThrow(expect.objectContaining({ name: 'ValidationException' }))
  })
})

describe('an update', () => {
  test.each<[string, Item, Item]>([
    ['SET #a = :x', ITEM, { a: { S: 'x' }, b: { S: 'x' } }],
    ['SET #c = :x, #a = :one', {}, { c: { S: 'x' }, a: { N: '1' } }],
    ['REMOVE #a, #c', ITEM, { b: { S: 'x' } }],
    ['ADD #a :one', ITEM, { ...ITEM, a: { N: '2' } }],
    ['ADD #c :one', {}, { c: { N: '1' } }],
    // Of what was there before, whatever else the update does.
    ['SET #c = #b REMOVE #b', ITEM, { a: { N: '1.0' }, c: { S: 'x' } }],
    ['SET #a = #b, #b = #a', ITEM, { a: { S: 'x' }, b: { N: '1.0' } }],
  ])('%s of %j: %j', (text, item, after) => {
    const before = structuredClone(item)
    expect(parseUpdate(text)(GIVEN, item)).toEqual(after)
    expect(item).toEqual(before)
  })

  test('of an attribute that is not there is refused', () => {
    expect(() => parseUpdate('SET #a = #c')(GIVEN, ITEM)).toThrow(expect.objectContaining({ name: 'ValidationException' }))
  })

  test.each(['SET #a = :one + :one', 'SET #a = if_not_exists(#a, :one)', 'DELETE #a :set', 'SET #a'])(
    'of a form that nobody here sends is refused and not guessed at: %s',
    (text) => {
      expect(() => parseUpdate(text)(GIVEN, ITEM)).toThrow()
    },
  )
})
