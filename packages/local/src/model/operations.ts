import { createStream } from './create-stream.js'
import { describeLimits, describeStream, describeStreamSummary } from './describe-stream.js'
import type { Operation } from './operation.js'
import {
  addTagsToStream,
  listTagsForResource,
  listTagsForStream,
  removeTagsFromStream,
  tagResource,
  untagResource,
} from './tags.js'

/** Every operation that the model knows, by its name in the API. */
export const operations: ReadonlyMap<string, Operation> = new Map(
  Object.entries({
    AddTagsToStream: addTagsToStream,
    CreateStream: createStream,
    DescribeLimits: describeLimits,
    DescribeStream: describeStream,
    DescribeStreamSummary: describeStreamSummary,
    ListTagsForResource: listTagsForResource,
    ListTagsForStream: listTagsForStream,
    RemoveTagsFromStream: removeTagsFromStream,
    TagResource: tagResource,
    UntagResource: untagResource,
  }),
)
