// After tsx in a process that runs worlds: what tsx adds to keep the name of each function costs a seventh of all time, and nobody reads names here.
import { register } from 'node:module'

register('./plain-names-hooks.mjs', import.meta.url)
