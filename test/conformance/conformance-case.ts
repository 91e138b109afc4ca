import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type ServiceTarget, ServiceUnderTest } from './service-under-test.js'

/** One thing that the service does. The key is what a target's table of differences names. */
export interface ConformanceCase {
  readonly key: string
  readonly title: string
  run(service: ServiceUnderTest): Promise<void>
}

/**
 * Runs cases against a target. Where a difference is listed the case must fail in the listed way: when an emulator is fixed, or breaks in
 * another way, its entry is out of date and the test says so.
 */
export function runCases(target: ServiceTarget, cases: readonly ConformanceCase[]): void {
  describe(target.name, { timeout: target.timeoutMs }, () => {
    let running: Awaited<ReturnType<ServiceTarget['start']>> | undefined
    let service: ServiceUnderTest

    beforeAll(async () => {
      running = await target.start()
      service = new ServiceUnderTest(running.client, target)
    }, target.timeoutMs)
    afterEach(() => service.clean(), target.timeoutMs)
    afterAll(() => running?.stop(), target.timeoutMs)

    it('has no difference listed for a case that does not exist', () => {
      const known = cases.map(({ key }) => key)
      expect(Object.keys(target.differences).filter((key) => !known.includes(key))).toEqual([])
    })

    for (const { key, title, run } of cases) {
      const difference = target.differences[key]
      if (difference === undefined) {
        it(`${key}: ${title}`, () => run(service))
        continue
      }
      const { reason, shows } = difference
      if (shows === undefined) {
        it.todo(`${key}: differs and is not run, ${reason}`)
        continue
      }
      it(`${key}: differs, ${reason}`, async () => {
        const failure = await run(service).then(
          () => undefined,
          (error: unknown) => error,
        )
        if (failure === undefined) throw new Error(`${target.name} now conforms: ${title}. Remove '${key}' from its differences.`)
        expect(String(failure)).toMatch(shows)
      })
    }
  })
}
