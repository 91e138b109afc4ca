// After tsx where time counts: what it adds to keep the name of each function costs a seventh of the time of a simulation, nobody reads names there,
// and what is built for users has none of it.
import { register } from 'node:module'

register('./plain-names-hooks.mjs', import.meta.url)
