import { expect, it } from 'vitest'
import { workspacePackages } from './workspace-packages.js'

// A name that appears here is promised to users: a change of the snapshot is a change of the public surface and is reviewed as one.
it('exports exactly the reviewed names', { timeout: 60_000 }, async () => {
  const lines: string[] = []
  for (const specifier of workspacePackages.flatMap((x) => x.specifiers)) {
    const names = Object.keys(await import(specifier)).sort()
    lines.push(specifier, ...names.map((name) => `  ${name}`))
  }
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('public-surface.txt')
})
