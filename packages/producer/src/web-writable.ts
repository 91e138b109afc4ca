import type { RecordSink } from './record-sink.js'
import type { PutInput } from './user-record.js'

/** One record may wait in the stream's own queue (the default of the standard): the real one is the producer's buffer. */
export function webWritable<T>(sink: RecordSink<T>): WritableStream<PutInput<T>> {
  return new WritableStream<PutInput<T>>({
    start(controller) {
      sink.open((reason) => controller.error(reason))
      // Missing in Node's types.
      const { signal } = controller as WritableStreamDefaultController & { readonly signal: AbortSignal }
      // `abort` below comes only after the write or close under way has ended. This ends it.
      signal.addEventListener('abort', () => sink.stop(signal.reason), { once: true })
    },
    write: (input) => sink.write(input),
    close: () => sink.close(),
    abort: (reason) => sink.stop(reason),
  })
}
