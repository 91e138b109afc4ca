import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const blocks = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code!)
const outputs = ['stored in shardId-00000000000', '1 answer lost, 2 records stored']

it('has an output to compare for each example', () => {
  expect(blocks).toHaveLength(outputs.length)
})

it.each(outputs.map((output, index) => [output, blocks[index]!]))(
  'runs the example that says %j, to its end',
  async (output, code) => {
    const folder = new URL('..', import.meta.url)
    const args = ['--import', 'tsx', '-C', 'shardwise-source', '--input-type=module', '--eval', code]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder, timeout: 25_000 })
    expect(stdout).toContain(output)
  },
)
