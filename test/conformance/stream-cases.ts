import {
  AddTagsToStreamCommand,
  CreateStreamCommand,
  DecreaseStreamRetentionPeriodCommand,
  DeleteStreamCommand,
  DescribeLimitsCommand,
  DescribeStreamCommand,
  DescribeStreamSummaryCommand,
  IncreaseStreamRetentionPeriodCommand,
  ListStreamsCommand,
  ListTagsForStreamCommand,
  PutRecordCommand,
  RemoveTagsFromStreamCommand,
  StartStreamEncryptionCommand,
  UpdateMaxRecordSizeCommand,
  UpdateStreamModeCommand,
  UpdateStreamRecordDistributionStrategyCommand,
} from '@aws-sdk/client-kinesis'
import { expect } from 'vitest'
import type { ConformanceCase } from './conformance-case.js'

const record = { PartitionKey: 'k', Data: new Uint8Array(1) }

export const streamCases: readonly ConformanceCase[] = [
  {
    key: 'describe',
    title: 'a new stream is described by name, by ARN and by both',
    async run(service) {
      const StreamName = await service.stream({ ShardCount: 2 })
      const summary = await service.summary(StreamName)
      expect(summary).toMatchObject({
        StreamName,
        StreamStatus: 'ACTIVE',
        RetentionPeriodHours: 24,
        OpenShardCount: 2,
        EncryptionType: 'NONE',
        StreamModeDetails: { StreamMode: 'PROVISIONED' },
      })
      expect(summary.StreamARN).toMatch(new RegExp(`^arn:aws[^:]*:kinesis:[a-z0-9-]+:\\d{12}:stream/${StreamName}$`))
      expect(summary.StreamCreationTimestamp).toBeInstanceOf(Date)
      for (const reference of [{ StreamARN: summary.StreamARN }, { StreamName, StreamARN: summary.StreamARN }]) {
        const again = await service.client.send(new DescribeStreamSummaryCommand(reference))
        expect(again.StreamDescriptionSummary).toEqual(summary)
      }
      const { StreamDescription } = await service.client.send(new DescribeStreamCommand({ StreamName }))
      expect(StreamDescription).toMatchObject({ StreamName, HasMoreShards: false, RetentionPeriodHours: 24 })
      expect(StreamDescription!.Shards).toHaveLength(2)
    },
  },
  {
    key: 'max-record-size-shown',
    title: 'the summary says how large a record may be',
    async run(service) {
      expect((await service.summary(await service.stream())).MaxRecordSizeInKiB, 'MaxRecordSizeInKiB').toBe(1024)
    },
  },
  {
    key: 'no-such-stream',
    title: 'a stream that is not there is refused in the known words',
    async run(service) {
      const StreamName = service.freshName()
      const calls = [
        new DescribeStreamSummaryCommand({ StreamName }),
        new DeleteStreamCommand({ StreamName }),
        new PutRecordCommand({ StreamName, ...record }),
      ]
      for (const call of calls) {
        const refusal = await service.refusal(service.client.send(call as DescribeStreamSummaryCommand))
        expect(refusal).toMatchObject({ name: 'ResourceNotFoundException', status: 400 })
        expect(refusal.message).toMatch(new RegExp(`^Stream ${StreamName} under account \\d{12} not found\\.?$`))
      }
    },
  },
  {
    key: 'create-twice',
    title: 'a second stream of the same name is refused',
    async run(service) {
      const StreamName = await service.stream()
      const refusal = await service.refusal(service.client.send(new CreateStreamCommand({ StreamName, ShardCount: 1 })))
      expect(refusal).toMatchObject({ name: 'ResourceInUseException', status: 400 })
    },
  },
  {
    key: 'validation',
    title: 'a broken constraint is a ValidationException in the known words',
    async run(service) {
      const refusal = await service.refusal(service.client.send(new CreateStreamCommand({ StreamName: 'a b', ShardCount: 1 })))
      expect(`${refusal.name} ${refusal.status}`).toBe('ValidationException 400')
      expect(refusal.message).toMatch(
        /^1 validation error detected: Value .* at 'streamName' failed to satisfy constraint: Member must satisfy/,
      )
    },
  },
  {
    key: 'list-streams',
    title: 'streams are listed by name, in pages',
    async run(service) {
      const names = [await service.stream(), await service.stream()].sort()
      const found: string[] = []
      for (let from: string | undefined, more = true; more; ) {
        const page = await service.client.send(
          new ListStreamsCommand({ Limit: 1, ...(from === undefined ? {} : { ExclusiveStartStreamName: from }) }),
        )
        found.push(...page.StreamNames!)
        from = found.at(-1)
        more = page.HasMoreStreams === true
      }
      expect(found.filter((name) => names.includes(name))).toEqual(names)
    },
  },
  {
    key: 'limits',
    title: 'the account’s limits and use are told',
    async run(service) {
      const before = await service.client.send(new DescribeLimitsCommand({}))
      await service.stream({ ShardCount: 2 })
      const after = await service.client.send(new DescribeLimitsCommand({}))
      expect(after.ShardLimit).toBe(before.ShardLimit)
      expect(after.OpenShardCount).toBeGreaterThanOrEqual(2)
    },
  },
  {
    key: 'delete',
    title: 'a deleted stream goes away',
    async run(service) {
      const StreamName = await service.stream()
      await service.client.send(new DeleteStreamCommand({ StreamName }))
      for (;;) {
        const state = await service.summary(StreamName).then(
          (summary) => summary.StreamStatus,
          (error: Error) => error.name,
        )
        if (state === 'ResourceNotFoundException') return
        expect(state).toBe('DELETING')
        await service.pause()
      }
    },
  },
  {
    key: 'retention',
    title: 'retention is raised and lowered within 24 to 8760 hours, each by its own call',
    async run(service) {
      const StreamName = await service.stream()
      const increase = (RetentionPeriodHours: number) =>
        service.client.send(new IncreaseStreamRetentionPeriodCommand({ StreamName, RetentionPeriodHours }))
      const decrease = (RetentionPeriodHours: number) =>
        service.client.send(new DecreaseStreamRetentionPeriodCommand({ StreamName, RetentionPeriodHours }))
      await increase(48)
      expect((await service.active(StreamName)).RetentionPeriodHours).toBe(48)
      for (const refused of [increase(47), increase(8761), decrease(49), decrease(23)]) {
        expect((await service.refusal(refused)).name).toBe('InvalidArgumentException')
      }
      await decrease(24)
      expect((await service.active(StreamName)).RetentionPeriodHours).toBe(24)
    },
  },
  {
    key: 'tags',
    title: 'tags are added, listed and removed',
    async run(service) {
      const StreamName = await service.stream()
      await service.client.send(new AddTagsToStreamCommand({ StreamName, Tags: { b: '2', a: '1' } }))
      await service.client.send(new RemoveTagsFromStreamCommand({ StreamName, TagKeys: ['b'] }))
      const { Tags, HasMoreTags } = await service.client.send(new ListTagsForStreamCommand({ StreamName }))
      expect({ Tags, HasMoreTags }).toEqual({ Tags: [{ Key: 'a', Value: '1' }], HasMoreTags: false })
    },
  },
  {
    key: 'on-demand',
    title: 'an on-demand stream has four shards, and a provisioned one becomes on-demand',
    async run(service) {
      const onDemand = await service.summary(await service.stream({ StreamModeDetails: { StreamMode: 'ON_DEMAND' } }))
      expect(onDemand).toMatchObject({ OpenShardCount: 4, StreamModeDetails: { StreamMode: 'ON_DEMAND' } })
      const provisioned = await service.summary(await service.stream())
      const StreamARN = provisioned.StreamARN!
      await service.client.send(new UpdateStreamModeCommand({ StreamARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } }))
      expect((await service.active(provisioned.StreamName!)).StreamModeDetails).toEqual({ StreamMode: 'ON_DEMAND' })
    },
  },
  {
    key: 'service-managed',
    title: 'a stream with AUTO distribution takes records without a key, and only an on-demand one has it',
    async run(service) {
      const StreamName = await service.stream({
        StreamModeDetails: { StreamMode: 'ON_DEMAND' },
        RecordDistributionStrategy: 'AUTO',
      })
      expect((await service.summary(StreamName)).RecordDistributionStrategy, 'RecordDistributionStrategy').toBe('AUTO')
      const { ShardId } = await service.client.send(
        new PutRecordCommand({ StreamName, Data: new Uint8Array(1) } as typeof record & { StreamName: string }),
      )
      const { records } = await service.read(await service.iterator(StreamName, 'TRIM_HORIZON', { ShardId: ShardId! }), 1)
      expect(records[0]).not.toHaveProperty('PartitionKey')
      const { StreamARN } = await service.summary(await service.stream())
      const auto = new UpdateStreamRecordDistributionStrategyCommand({ StreamARN, RecordDistributionStrategy: 'AUTO' })
      expect((await service.refusal(service.client.send(auto))).name).toBe('InvalidArgumentException')
    },
  },
  {
    key: 'large-records',
    title: 'a larger record is taken after UpdateMaxRecordSize',
    async run(service) {
      const StreamName = await service.stream()
      const { StreamARN } = await service.summary(StreamName)
      const large = { StreamName, PartitionKey: 'k', Data: new Uint8Array(1_500_000) }
      expect((await service.refusal(service.client.send(new PutRecordCommand(large)))).status).toBe(400)
      await service.client.send(new UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB: 2048 }))
      expect((await service.active(StreamName)).MaxRecordSizeInKiB).toBe(2048)
      await service.client.send(new PutRecordCommand(large))
    },
  },
  {
    key: 'encryption',
    title: 'encryption is switched on and shows on records',
    async run(service) {
      const StreamName = await service.stream()
      await service.client.send(
        new StartStreamEncryptionCommand({ StreamName, EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' }),
      )
      expect((await service.active(StreamName)).EncryptionType).toBe('KMS')
      const put = await service.client.send(new PutRecordCommand({ StreamName, ...record }))
      expect(put.EncryptionType).toBe('KMS')
    },
  },
]
