import { expect, it } from 'vitest'
import * as local from './index.js'

it('exports these names and no others', () => {
  expect(Object.keys(local).sort()).toEqual(['PortUnavailableError', 'startLocal'])
})
