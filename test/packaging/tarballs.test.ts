import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PackedProject, packAndInstall } from './packed-project.js'
import { asCommonJs, type ReadmeExample, readmeExamples, runExample, runnable } from './readme-examples.js'
import { repository, workspacePackages } from './workspace-packages.js'

const specifiers = workspacePackages.flatMap((x) => x.specifiers)
const examples = readmeExamples()
const typed = examples.filter((example) => example.language === 'ts')
const ownDeclarations = /^node_modules\/(@shardwise|shardwise)\//

let project: PackedProject
beforeAll(() => {
  project = packAndInstall()
  mkdirSync(join(project.folder, 'examples'))
  const imports = specifiers.map((specifier, index) => `import * as entry${index} from '${specifier}'\n`)
  const uses = specifiers.map((_, index) => `entry${index}`)
  const everything = `${imports.join('')}export const entries: unknown[] = [${uses.join(', ')}]\n`
  writeFileSync(join(project.folder, 'examples/everything.ts'), everything)
  // Each becomes a module, as top-level await asks for, even without an import.
  for (const example of typed) writeFileSync(join(project.folder, `examples/${example.name}.ts`), `${example.code}export {}\n`)
  compile({ module: 'nodenext', moduleResolution: 'nodenext', skipLibCheck: true, rootDir: 'examples', outDir: 'compiled' })
})
afterAll(() => project?.remove())

describe.each(workspacePackages.map((x) => [x.manifest.name, x] as const))('%s', (name, { manifest }) => {
  it('passes publint', async () => {
    const tarball = readFileSync(project.tarballs.get(name)!)
    const { messages, pkg } = await publint({ pack: { tarball: toArrayBuffer(tarball) }, level: 'warning', strict: true })
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([])
  })

  it.runIf(Object.keys(manifest.exports).length > 1)('passes arethetypeswrong', async () => {
    const result = await checkPackage(createPackageFromTarballData(readFileSync(project.tarballs.get(name)!)))
    if (result.types === false) throw new Error(`${name} has no types`)
    // Two findings are meant. `CJSResolvesToESM`: the packages are ES modules only, and Node from 20.19 on, the oldest we support, can
    // require() those; the tests below do it. Subpaths under `node10` (TypeScript's name for resolution without "exports") cannot
    // exist, and every Node that we support reads "exports"; so of all resolutions only `node10` is left out.
    const problems = result.problems.filter((problem) => {
      return problem.kind !== 'CJSResolvesToESM' && !('resolutionKind' in problem && problem.resolutionKind === 'node10')
    })
    expect(problems).toEqual([])
  })
})

describe('types', () => {
  it('are right under nodenext, in the READMEs too', () => {
    expect(compile({ module: 'nodenext', moduleResolution: 'nodenext', skipLibCheck: true, noEmit: true })).toEqual([])
  })

  it('are right under a bundler, in the READMEs too', () => {
    expect(compile({ module: 'esnext', moduleResolution: 'bundler', skipLibCheck: true, noEmit: true })).toEqual([])
  })

  it('are really checked', () => {
    const file = join(project.folder, 'examples/wrong.ts')
    writeFileSync(file, "import { Producer } from '@shardwise/producer'\nnew Producer({ stream: 1 })\n")
    const errors = compile({ module: 'nodenext', moduleResolution: 'nodenext', skipLibCheck: true, noEmit: true })
    rmSync(file)
    expect(errors).toEqual([expect.stringContaining('examples/wrong.ts(2,')])
  })

  it('have no error in any declaration of ours when the compiler checks libraries', () => {
    const errors = compile({ module: 'nodenext', moduleResolution: 'nodenext', skipLibCheck: false, noEmit: true })
    expect(errors.filter((line) => ownDeclarations.test(line))).toEqual([])
  })
})

describe.each([20, 22, 24])('on Node %i', (major) => {
  function nodeOf(): string {
    const node = project.nodes.get(major)
    if (node === undefined)
      throw new Error(`These tests run on Node 20, not ${process.version}: it is the oldest that is supported.`)
    return node
  }

  it('is that Node', () => {
    const { stdout } = spawnSync(nodeOf(), ['--version'], { encoding: 'utf8' })
    expect(stdout).toMatch(new RegExp(`^v${major}\\.`))
  })

  it.each(specifiers)('import and require give the same names of %s', (specifier) => {
    const code = `
      import { createRequire } from 'node:module'
      const imported = await import('${specifier}')
      const required = createRequire(process.cwd() + '/index.js')('${specifier}')
      const names = (module) => Object.keys(module).filter((name) => name !== '__esModule').sort()
      console.log(JSON.stringify([names(imported), names(required)]))`
    const { stdout, stderr } = spawnSync(nodeOf(), ['--input-type=module', '--eval', code], {
      cwd: project.folder,
      encoding: 'utf8',
    })
    expect(stdout, stderr).not.toBe('')
    const [imported, required]: [string[], string[]] = JSON.parse(stdout)
    expect(required).toEqual(imported)
    // An entry of types alone has no names when it runs; that its types are there is what the declarations' tests say.
    if (specifier === '@shardwise/core/fan-out-port') expect(imported).toEqual([])
    else expect(imported.length).toBeGreaterThan(0)
  })

  it('runs the command', () => {
    for (const { manifest } of workspacePackages) {
      for (const [name, file] of Object.entries(manifest.bin ?? {})) {
        const path = join(project.folder, 'node_modules', manifest.name, file)
        const { status, stdout, stderr } = spawnSync(nodeOf(), [path, '--help'], { encoding: 'utf8' })
        expect(status, stderr).toBe(0)
        expect(stdout).toContain(name)
      }
    }
  })

  describe.each(['import', 'require'] as const)('with %s', (way) => {
    it.each(examples.map((example) => [example.title, example] as const))('runs %s', async (_, example) => {
      const program = runnable(compiled(example))
      const file = join(project.folder, `${example.name}.${way === 'import' ? 'mjs' : 'cjs'}`)
      writeFileSync(file, way === 'import' ? program : asCommonJs(program))
      const { code, stdout, stderr } = await runExample(nodeOf(), project.folder, file, example.code)
      expect(code, stdout + stderr).toBe(0)
      if (example.code.includes('console.log(')) expect(stdout, stderr).not.toBe('')
    })
  })
})

it('finds the examples of the README', () => {
  expect(examples.filter((example) => example.name.startsWith('root-')).length).toBeGreaterThanOrEqual(2)
})

/** The example as JavaScript. */
function compiled(example: ReadmeExample): string {
  return example.language === 'js' ? example.code : readFileSync(join(project.folder, 'compiled', `${example.name}.js`), 'utf8')
}

/** Compiles the examples, and a file that imports every entry, with the repository's TypeScript. Returns the errors. */
function compile(options: Readonly<Record<string, unknown>>): readonly string[] {
  const strict = { strict: true, exactOptionalPropertyTypes: true, verbatimModuleSyntax: true }
  const compilerOptions = { ...strict, target: 'es2022', lib: ['es2023', 'esnext.disposable'], types: ['node'], ...options }
  writeFileSync(join(project.folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['examples/*.ts'] }))
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', '.', '--pretty', 'false'], {
    cwd: project.folder,
    encoding: 'utf8',
  })
  if (status === null || (status !== 0 && !stdout.includes('error TS')))
    throw new Error(`The compiler did not run: ${stdout}${stderr}`)
  return stdout.split('\n').filter((line) => line.includes('error TS'))
}

function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}
