import { appendFileSync } from 'node:fs'
import { Consumer } from '@shardwise/consumer'
const [app, name, seconds = '3600'] = process.argv.slice(2)
const out = `/tmp/kcl-real/out.${name}`
const say = (o) => appendFileSync(out, JSON.stringify(o) + '\n')
const consumer = new Consumer({ stream: 'orders', applicationName: app, workerId: name, region: 'us-east-1', endpoint: 'http://127.0.0.1:14567', dynamodbEndpoint: 'http://127.0.0.1:14569',
  credentials: { accessKeyId: 'any', secretAccessKey: 'any' }, initialPosition: 'trim-horizon' })
consumer.events.onAny((e) => { if (/lease|kcl|consumer/.test(e.type)) say({ at: new Date().toISOString().slice(11, 23), ...e, error: e.error?.message, failure: e.failure?.message }) })
const done = consumer.run({ eachRecord: async (r) => say({ type: 'record', shard: r.shardId, key: r.partitionKey, seq: r.sequenceNumber, data: Buffer.from(r.data).toString() }) })
setTimeout(() => consumer.stop(), Number(seconds) * 1000)
process.on('SIGTERM', () => consumer.stop())
await done
