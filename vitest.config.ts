import { configDefaults, defineConfig, type ViteUserConfig } from 'vitest/config'

// Tests run on the sources: this condition is the first entry of every package's "exports".
const conditions = ['shardwise-source']
const source = {
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
}

/** Two minutes of whole processes: the pure parts beside it are unit tests. */
const CHAOS = 'test/chaos/chaos.test.ts'

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        ...source,
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'test/{demo,soak,kcl,simulation,chaos}/**/*.test.ts'],
          exclude: [...configDefaults.exclude, CHAOS],
          testTimeout: 30_000,
        },
      },
      {
        ...source,
        test: {
          name: 'integration',
          include: ['test/{end-to-end,conformance,compatibility}/**/*.test.ts', CHAOS],
          testTimeout: 120_000,
          hookTimeout: 60_000,
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
