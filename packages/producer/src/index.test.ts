import { expect, test } from 'vitest'
import * as producer from './index.js'

test('the public names', () => {
  expect(Object.keys(producer).sort()).toEqual([
    'DeliveryFailedError',
    'LaneHaltedError',
    'Producer',
    'ProducerClosedError',
    'RecordRejectedError',
    'StreamUnusableError',
    'bytes',
    'compressed',
    'encrypted',
    'fromKplProperties',
    'json',
    'kmsDataKeys',
    'producerInstruments',
    'text',
    'wrapKinesisClient',
  ])
})
