import { Writable } from 'node:stream'
import type { RecordSink } from './record-sink.js'
import type { PutInput } from './user-record.js'

export function nodeWritable<T>(sink: RecordSink<T>): Writable {
  const writable = new Writable({
    objectMode: true,
    write(input: PutInput<T>, _encoding, callback) {
      let waiting: Promise<void> | undefined
      try {
        waiting = sink.write(input)
      } catch (error) {
        callback(error as Error)
        return
      }
      if (waiting === undefined) callback()
      else waiting.then(() => callback(), callback)
    },
    final(callback) {
      sink.close().then(() => callback(), callback)
    },
    destroy(error, callback) {
      sink.stop(error ?? new Error('The stream was destroyed'))
      callback(error)
    },
  })
  sink.open((reason) => writable.destroy(reason as Error))
  return writable
}
