/**
 * What our clients add to the SDK's user agent, as the KPL and the KCL do: in CloudTrail it tells whose calls these are. The version is that of
 * the package (`test/packaging/manifests`).
 */
export const USER_AGENT: [string, string][] = [['shardwise', '0.1.0']]
