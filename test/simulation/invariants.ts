/** The promises that the simulation looks at (README.md says where), each with what it says of one that is broken. */
export const INVARIANTS: Readonly<Record<string, RegExp>> = {
  'acknowledged records are where they were said to be': /was acknowledged as .* and is not there$/,
  'acknowledged records are in aggregates that readers accept':
    /was acknowledged in an aggregate that readers by the KCL's rule drop$/,
  'acknowledged records are delivered': /was acknowledged and never delivered$/,
  'what was said not to be written is not written': /was said not to be written, and /,
  'a put settles once, within its time': /never settled$|was settled twice|ms to live$|producers do not close/,
  'a flush ends after what was put before it': /a flush ended before /,
  'what failed is handed to the hook, once': /the hook for undelivered records/,
  'of a key that is in order one entry is under way': /sends .* while .* of the same key is under way$/,
  'first copies are written in the order of the puts': /was first written after .*, and both were acknowledged$/,
  'first deliveries come in the order in which they were written':
    /was given .* before .*, which was written before it with the same key$/,
  'children come after their parents': /was given records of .* before .* of its ancestor /,
  'no handler starts after its lease may have been taken': /begins a handler call for /,
  'no handler starts while its shard is paused': /while it is paused$/,
  'only who has its lease subscribes to a shard': /subscribes to .*, whose lease /,
  'no lease is taken from the living, or too early': /took .* from .*, which (had written|is alive and well)/,
  'only its owner moves a lease’s counter': /moved the counter of /,
  'a row is made once, and deleted at the end of its shard': /the lease .* was (written over|deleted at|made by an update)/,
  'checkpoints are the owner’s, and never move back':
    /moved the checkpoint of .*, which .* has$|the checkpoint of .* went back from /,
  'checkpoints lie where something was written': /a checkpoint of .* is at .*, where nothing was written$/,
  'checkpoints never pass what is not completed': /moved the checkpoint of .*, past .*, which is not completed$/,
  'what was prepared is found by the next owner': /prepared at .*, and is told of /,
  'nothing comes twice without cause':
    /was given .* again(, which| within one tenure)|which the checkpoint that its lease was taken with covers$/,
  'a sink with a fencing token has each record once': /^[\d.]+: (the sink |.* in the sink$)/,
  'what expired is announced': /whose checkpoint .* had left the stream|have expired, and none has$/,
  'data, keys, headers and ids arrive as they were put':
    /was given .* with the (data|partition key|explicit hash key|headers of|id) /,
  'no shard fails by itself': /: shard .* failed: /,
  'callbacks come one at a time, in their order': /the processor of /,
  'who has a lease and records for it works on them': /has not handled .* for \d+ ms$/,
  'who was asked for a lease gives it up': /has not given .* up, for which it was asked/,
  'buffers keep their bounds': /buffers \d+ (records|bytes), more than|holds \d+ bytes, of /,
  'all leases have owners, in fair shares': /is owned by |do not cover all hash keys$|shares are unfair/,
  'nobody keeps leases of a stream that is gone': /in calm weather .* of a stream that is gone$/,
  'the fleet comes to rest': /the fleet does not come to rest/,
  'what stops leaves nothing behind': /timers behind$|does not stop$/,
  'no row names who has stopped': /has stopped and still owns /,
  'no row of ours stops a worker of Java’s': /NullPointerException|No such expression/,
}

/** Which of them this says to be broken. Undefined: it is another kind of failure. */
export function invariantOf(violation: string): string | undefined {
  return Object.keys(INVARIANTS).find((invariant) => INVARIANTS[invariant]!.test(violation))
}
