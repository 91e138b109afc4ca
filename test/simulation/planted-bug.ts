import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Exactly one place of the product's source reads `find`, and would read `replace`. */
export interface Edit {
  readonly find: string
  readonly replace: string
}

/** A mistake in the product's source. */
export interface PlantedBug {
  readonly name: string
  readonly edits: readonly Edit[]
  /** The promises that it may break first: names of `INVARIANTS`. */
  readonly caughtBy: readonly string[]
}

/** An edit, and the file that it is for. */
export interface PlacedEdit extends Edit {
  readonly file: string
}

const packages = fileURLToPath(new URL('../../packages', import.meta.url))

/** Where the bug is planted. Throws unless each edit has exactly one place: the sources have changed, and so must the bug. */
export function placesOfBug({ name, edits }: PlantedBug): readonly PlacedEdit[] {
  return edits.map((edit) => {
    const places = sources().flatMap(({ file, text }) =>
      text
        .split(edit.find)
        .slice(1)
        .map(() => file),
    )
    if (places.length !== 1)
      throw new Error(
        `'${name}' can be planted in ${places.length} places, not in one: adapt its edit in test/simulation/planted-*-bugs.ts, which looks for\n${edit.find}\n${places.join('\n')}`,
      )
    return { ...edit, file: places[0]! }
  })
}

let read: readonly { readonly file: string; readonly text: string }[] | undefined

function sources(): NonNullable<typeof read> {
  read ??= readdirSync(packages, { recursive: true, encoding: 'utf8' })
    .filter((file) => /^[a-z]+\/src\/.*\.ts$/.test(file) && !/\.test\.ts$|\/testing\//.test(file))
    .map((file) => join(packages, file))
    .map((file) => ({ file, text: readFileSync(file, 'utf8') }))
  return read
}
