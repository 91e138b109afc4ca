import { pipeline, Readable, Transform } from 'node:stream'

/**
 * Far above any answer: GetRecords brings 10 MiB of data at most (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html), 14 MiB in
 * base64, beside keys and names of 10,000 records; a page of DynamoDB 1 MB.
 */
export const MAX_ANSWER_BYTES: number = 64 * 1024 * 1024

/** Whoever is at the other end sends without end, or is no service of ours. Nothing is known of what the call has done. */
export class AnswerTooLargeError extends Error {
  override readonly name = 'AnswerTooLargeError'

  constructor(maxBytes: number) {
    super(`The answer has more than ${maxBytes} bytes (maxAnswerBytes) and was given up: no answer of the service is as long`)
  }
}

interface Answer {
  readonly headers: Readonly<Record<string, string>>
  body: unknown
}

/**
 * Makes the body of an answer fail when it is longer. One whose length is announced is left as it is, or refused at once: HTTP allows no byte
 * beyond. What is no stream of Node is here already, or belongs to a request handler that we do not know.
 */
export function limitBody(answer: Answer, maxBytes: number): void {
  const { headers, body } = answer
  if (!(body instanceof Readable)) return
  const announced = Number(headers['content-length'] ?? Number.NaN)
  if (announced <= maxBytes) return
  let length = 0
  const meter = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      length += chunk.length
      if (length > maxBytes) done(new AnswerTooLargeError(maxBytes))
      else done(null, chunk)
    },
  })
  // An error of either is that of the other, and closes the connection.
  pipeline(body, meter, () => {})
  if (announced > maxBytes) meter.destroy(new AnswerTooLargeError(maxBytes))
  answer.body = meter
}
