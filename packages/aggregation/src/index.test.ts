import { expect, it } from 'vitest'
import * as index from './index.js'
import * as md5 from './md5.js'
import * as schema from './schema.js'

it('exports these names and no others', () => {
  const names = (module: object) => Object.keys(module).sort()
  expect({ '.': names(index), './md5': names(md5), './schema': names(schema) }).toMatchInlineSnapshot(`
    {
      ".": [
        "AggregateBuilder",
        "AggregationError",
        "BufferPool",
        "deaggregate",
        "decodeAggregate",
        "decodeAggregates",
        "finishAggregates",
        "isAggregate",
      ],
      "./md5": [
        "md5",
        "md5Words",
      ],
      "./schema": [
        "AggregatedRecord",
        "Record",
        "Tag",
        "descriptor",
      ],
    }
  `)
})
