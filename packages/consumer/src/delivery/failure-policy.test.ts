import { seededRandom } from '@shardwise/core/random'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { afterFailure, type FailurePolicy, type FailureVerdict, type Span } from './failure-policy.js'

const BACKOFF = { baseMs: 100, maxMs: 30_000 }

function after(policy: FailurePolicy, span: Partial<Span>, failedAt?: number): FailureVerdict {
  return afterFailure(policy, { from: 0, to: 1, handed: 0, failures: 0, ...span }, failedAt, BACKOFF, () => 0)
}

/** `3-5 h2 f1`: records 3 and 4, handed over twice, one failure. */
const shown = ({ from, to, handed, failures }: Span): string => `${from}-${to} h${handed} f${failures}`
const spans = (verdict: FailureVerdict): string[] => verdict.spans.map(shown)

describe("'retry'", () => {
  it.each([0, 1, 2, 9, 99, 9999, 999_999])(
    'hands the same records over again after %i failures, and gives none up',
    (failures) => {
      for (const to of [1, 2, 10_000]) {
        const verdict = afterFailure(
          'retry',
          { from: 0, to, handed: failures, failures },
          undefined,
          BACKOFF,
          seededRandom(failures),
        )
        expect(verdict.givenUp).toBeUndefined()
        expect(spans(verdict)).toEqual([`0-${to} h${failures + 1} f${failures + 1}`])
      }
    },
  )

  it('waits longer after each failure, up to the maximum', () => {
    const delays = [0, 1, 2, 3, 11, 12].map((failures) => after('retry', { failures }).delayMs)
    expect(delays).toEqual([50, 100, 200, 400, 15_000, 15_000])
  })

  it('goes on at the record that the handler named, its pauses anew', () => {
    const verdict = after('retry', { from: 2, to: 9, handed: 4, failures: 4 }, 5)
    expect([spans(verdict), verdict.delayMs]).toEqual([['5-9 h5 f1'], 50])
  })

  it('named again, that record has failed once more', () => {
    expect(spans(after('retry', { from: 5, to: 9, handed: 5, failures: 1 }, 5))).toEqual(['5-9 h6 f2'])
  })
})

describe('attempts', () => {
  const policy: FailurePolicy = { attempts: 3, giveUp: 'skip' }

  it.each<{ what: string; span: Partial<Span>; failedAt?: number; expected: string[]; givenUp?: string }>([
    { what: 'one record, first failure', span: { to: 1 }, expected: ['0-1 h1 f1'] },
    { what: 'one record, last but one', span: { to: 1, handed: 1, failures: 1 }, expected: ['0-1 h2 f2'] },
    { what: 'one record, last', span: { to: 1, handed: 2, failures: 2 }, expected: [], givenUp: '0-1 h3 f3' },
    { what: 'one record that failed among others before', span: { to: 1, handed: 6 }, expected: ['0-1 h7 f1'] },
    { what: 'many, first failure', span: { to: 5 }, expected: ['0-5 h1 f1'] },
    { what: 'many, second failure', span: { to: 5, handed: 1, failures: 1 }, expected: ['0-3 h2 f0', '3-5 h2 f0'] },
    { what: 'two', span: { from: 7, to: 9, handed: 3, failures: 1 }, expected: ['7-8 h4 f0', '8-9 h4 f0'] },
    { what: 'named in the middle', span: { to: 5 }, failedAt: 2, expected: ['2-3 h1 f1', '3-5 h1 f0'] },
    { what: 'named at the start', span: { to: 5, handed: 1, failures: 1 }, failedAt: 0, expected: ['0-1 h2 f1', '1-5 h2 f0'] },
    { what: 'named at the end', span: { to: 5 }, failedAt: 4, expected: ['4-5 h1 f1'] },
    { what: 'named alone', span: { to: 1, handed: 2, failures: 2 }, failedAt: 0, expected: [], givenUp: '0-1 h3 f3' },
  ])('$what', ({ span, failedAt, expected, givenUp }) => {
    const verdict = after(policy, span, failedAt)
    expect(spans(verdict)).toEqual(expected)
    expect(verdict.givenUp && shown(verdict.givenUp)).toBe(givenUp)
  })

  it('of one: a named record is given up at once, the rest goes on', () => {
    const verdict = after({ attempts: 1, giveUp: 'skip' }, { to: 5 }, 2)
    expect([shown(verdict.givenUp!), spans(verdict)]).toEqual(['2-3 h1 f1', ['3-5 h1 f0']])
  })

  it('property: a verdict covers the failed records once, in order; only a single one that failed often enough is given up', () => {
    const given = fc.record({
      from: fc.nat(20),
      length: fc.integer({ min: 1, max: 50 }),
      failures: fc.nat(5),
      attempts: fc.integer({ min: 1, max: 5 }),
      named: fc.option(fc.nat(49), { nil: undefined }),
    })
    fc.assert(
      fc.property(given, ({ from, length, failures, attempts, named }) => {
        const failedAt = named === undefined ? undefined : from + (named % length)
        const span = { from, to: from + length, handed: failures, failures }
        const verdict = after({ attempts, giveUp: 'skip' }, span, failedAt)
        const all = [...(verdict.givenUp === undefined ? [] : [verdict.givenUp]), ...verdict.spans]
        const covered = all.flatMap((each) => Array.from({ length: each.to - each.from }, (_, i) => each.from + i))
        const start = failedAt ?? from
        expect(covered).toEqual(Array.from({ length: span.to - start }, (_, i) => start + i))
        if (verdict.givenUp === undefined) return
        expect(verdict.givenUp.to - verdict.givenUp.from).toBe(1)
        expect(verdict.givenUp.failures).toBeGreaterThanOrEqual(attempts)
        expect(length === 1 || failedAt !== undefined).toBe(true)
      }),
    )
  })
})
