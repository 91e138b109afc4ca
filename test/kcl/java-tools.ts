import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const POM = fileURLToPath(new URL('./pom.xml', import.meta.url))
const OLDEST_JAVA = 17

/** What this machine lacks, in words for whoever started the program. */
export class MissingToolError extends Error {
  override readonly name = 'MissingToolError'
}

export type Adopt = (child: ChildProcess) => void

export async function requireTools(adopt: Adopt): Promise<void> {
  const { output: java } = await toolOutput('java', ['-version'], adopt)
  const major = Number(/version "(?:1\.)?(\d+)/.exec(java)?.[1])
  if (!(major >= OLDEST_JAVA)) {
    throw new MissingToolError(`Java ${OLDEST_JAVA} or newer is needed (a JDK); 'java -version' says: ${java.trim()}`)
  }
  await toolOutput('mvn', ['-version'], adopt)
}

/** Where the KCL and what it needs lie on this machine, as Java's -cp wants it. Maven downloads what it has not got yet. */
export async function kclClasspath(kcl: '2' | '3', folder: string, adopt: Adopt): Promise<string> {
  const file = join(folder, 'classpath')
  const args = ['-q', '-B', '-f', POM, '-P', `kcl-${kcl}`, 'dependency:build-classpath', `-Dmdep.outputFile=${file}`]
  const { output, code } = await toolOutput('mvn', args, adopt)
  if (code !== 0) throw new Error(`Maven could not get the KCL (exit code ${code}):\n${output.trim()}`)
  return (await readFile(file, 'utf8')).trim()
}

function toolOutput(tool: string, args: readonly string[], adopt: Adopt): Promise<{ output: string; code: number | null }> {
  return new Promise((resolve, reject) => {
    const child = spawn(tool, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    adopt(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT' ? new MissingToolError(`'${tool}' was not found: this needs Java 17 or newer and Maven`) : error,
      ),
    )
    child.once('close', (code) => resolve({ output, code }))
  })
}
