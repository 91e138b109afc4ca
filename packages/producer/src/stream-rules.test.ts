import { describe, expect, test } from 'vitest'
import { checkOptions } from './producer-options.js'
import { RecordMaker } from './record-maker.js'
import { streamRefusal } from './stream-rules.js'
import type { PutInput } from './user-record.js'

const maker = new RecordMaker<Uint8Array>(checkOptions({ stream: 'flights' }))
const LIMIT = 1024 * 1024
/** Magic number and digest 20, the key's table entry 3, the record's own fields 10, the tag 9, and the key outside. */
const ENVELOPE = 20 + 3 + 10 + 9 + 1
const headers = { a: '12' }

describe('what a stream refuses', () => {
  test.each<[string, Omit<PutInput, 'partitionKey' | 'data'>, number, boolean, RegExp | undefined]>([
    ['a plain record that just fits', {}, LIMIT - 1, false, undefined],
    ['one byte more', {}, LIMIT, false, /`data` and partitionKey together have 1048577 bytes, and stream flights takes/],
    ['headers whose envelope just fits', { headers }, LIMIT - ENVELOPE, false, undefined],
    ['one byte more', { headers }, LIMIT - ENVELOPE + 1, false, /headers and their envelope together have 1048577 bytes/],
    ['headers where the service distributes', { headers }, 1, true, /`headers` cannot travel on stream flights.*AUTO/],
    ['an id there is left out', { recordId: 'x' }, 1, true, undefined],
    ['and does not count', { recordId: 'x' }, LIMIT - 1, true, undefined],
    ['but the data do', { recordId: 'x' }, LIMIT, true, /`data` and partitionKey together have 1048577 bytes/],
  ])('%s', (_, extra, size, auto, message) => {
    const record = maker.make({ partitionKey: 'a', data: new Uint8Array(size), ...extra }, 'flights')
    const refusal = streamRefusal(record, 'flights', LIMIT, auto)
    if (message === undefined) expect(refusal).toBeUndefined()
    else expect(refusal).toMatchObject({ name: 'RecordRejectedError', message: expect.stringMatching(message) })
    expect(streamRefusal(record, 'flights', undefined, false)).toBeUndefined()
  })
})
