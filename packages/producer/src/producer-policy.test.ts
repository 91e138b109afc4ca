import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { type ProducerPolicyOptions, producerPolicy } from './producer-policy.js'

const streamArns = ['arn:aws:kinesis:eu-west-1:123456789012:stream/flights']
const keyArns = ['arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab']

it('is the policy that the README shows', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const shown = [...readme.slice(readme.indexOf('\n## Permissions')).matchAll(/```json\n(.*?)```/gs)].map(([, json]) =>
    JSON.parse(json!),
  )
  expect(producerPolicy({ streamArns, streamKeyArns: keyArns })).toEqual(shown[0])
})

it('binds a key to the streams that it serves, whatever their partition, and data keys to their context', () => {
  const china = 'arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a'
  const both = producerPolicy({
    streamArns: [...streamArns, china],
    streamKeyArns: keyArns,
    dataKeys: { keyArns, context: { stream: 'a' } },
  })
  expect(both.Statement.slice(1)).toMatchObject([
    {
      Action: ['kms:GenerateDataKey'],
      Condition: {
        StringEquals: {
          'kms:EncryptionContext:aws:kinesis:arn': [...streamArns, china],
          'kms:ViaService': ['kinesis.eu-west-1.amazonaws.com', 'kinesis.cn-north-1.amazonaws.com.cn'],
        },
      },
    },
    { Action: ['kms:GenerateDataKey'], Resource: keyArns, Condition: { StringEquals: { 'kms:EncryptionContext:stream': 'a' } } },
  ])
})

it.each<[unknown, RegExp]>([
  [undefined, /`options`/],
  [{}, /`streamArns` must be ARNs of streams, one or more/],
  [{ streamArns: [] }, /`streamArns`/],
  [{ streamArns: ['flights'] }, /`streamArns`/],
  [{ streamArns: ['arn:aws:kinesis:eu-west-1:123456789012:stream/*'] }, /`streamArns`/],
  [
    { streamArns, streamKeyArns: ['arn:aws:kms:eu-west-1:123456789012:alias/a'] },
    /`streamKeyArns` must be ARNs of KMS keys \(not of aliases\)/,
  ],
  [{ streamArns, dataKeys: { keyArns: ['*'] } }, /`dataKeys.keyArns`/],
  [{ streamArns, tableArn: 'x' }, /`tableArn`/],
])('%j is refused', (options, message) => {
  expect(() => producerPolicy(options as ProducerPolicyOptions)).toThrow(message)
})
