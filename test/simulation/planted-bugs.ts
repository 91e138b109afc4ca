import type { PlantedBug } from './planted-bug.js'
import { DELIVERY_BUGS } from './planted-delivery-bugs.js'
import { JAVA_BUGS } from './planted-java-bugs.js'
import { LEASE_BUGS } from './planted-lease-bugs.js'
import { PRODUCER_BUGS } from './planted-producer-bugs.js'

const of = (who: string, bugs: readonly PlantedBug[]): readonly PlantedBug[] =>
  bugs.map((bug) => ({ ...bug, name: `the ${who} ${bug.name}` }))

/** Each is a way to lose data, order or a lease that somebody might have programmed. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  ...of('producer', PRODUCER_BUGS),
  ...of('consumer', LEASE_BUGS),
  ...of('consumer', DELIVERY_BUGS),
  ...of('consumer', JAVA_BUGS),
]
