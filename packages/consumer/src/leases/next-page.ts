import { isDeepStrictEqual } from 'node:util'
import type { Row } from './lease-row.js'

/** Where the next page of a scan or query begins; undefined: there is none. Throws where that is where this one began: it would never end. */
export function nextPage(last: Row | undefined, from: Row | undefined, of: string): Row | undefined {
  if (last !== undefined && isDeepStrictEqual(last, from)) throw new Error(`A page of ${of} points to itself`)
  return last
}
