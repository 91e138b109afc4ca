import { availableParallelism } from 'node:os'
import { configDefaults, defineConfig, type ViteUserConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// Tests run on the sources: this condition is the first entry of every package's "exports".
const conditions = ['shardwise-source']
const source = {
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
}

/** Two minutes of whole processes: the pure parts beside it are unit tests. */
const CHAOS = 'test/chaos/chaos.test.ts'

/** The files that take minutes begin first, or one of them is what all the others have to wait for. In a fresh clone Vitest goes by size. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean => /(chaos|soak)\.test\.ts$/.test(moduleId)
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

const config: ViteUserConfig = defineConfig({
  test: {
    // Vitest leaves one core for itself. On two that halves the speed, and most tests of whole fleets wait rather than compute.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        ...source,
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'test/{demo,soak,kcl,simulation,chaos}/**/*.test.ts', 'benchmarks/*.test.ts'],
          exclude: [...configDefaults.exclude, CHAOS],
          testTimeout: 120_000,
        },
      },
      {
        ...source,
        test: {
          name: 'integration',
          include: ['test/{end-to-end,conformance,compatibility}/**/*.test.ts', CHAOS],
          setupFiles: ['test/support/operations-allowed.ts'],
          // Only what hangs is to end by these: on a machine that gives processes an eighth of its time, a test takes ten times as long.
          testTimeout: 600_000,
          hookTimeout: 300_000,
        },
      },
      {
        ...source,
        test: { name: 'packaging', include: ['test/packaging/**/*.test.ts'], testTimeout: 600_000, hookTimeout: 600_000 },
      },
    ],
  },
})

export default config
