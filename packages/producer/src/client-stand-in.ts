import type { KinesisClient } from '@aws-sdk/client-kinesis'

/**
 * The client to all who ask, but for its `own` properties. A Proxy and not an heir: it has the client's own keys (for spreading), its class
 * (`instanceof`), and what is set on it is set on the client. Methods run on the client itself, as private fields want it; but the SDK's own
 * putRecord and putRecords run on the proxy, for they call `this.send`.
 */
export function standIn(client: KinesisClient, own: Record<PropertyKey, unknown>): KinesisClient {
  const originals = { ...own }
  const methods = new WeakMap<object, object>()
  const proxy: KinesisClient = new Proxy(client, {
    get(target, key) {
      if (key in own) return own[key]
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function' || key === 'constructor' || key === 'putRecord' || key === 'putRecords') return value
      let method = methods.get(value)
      if (method === undefined) {
        method = new Proxy(value, { apply: (run, self, args) => Reflect.apply(run, self === proxy ? target : self, args) })
        methods.set(value, method)
      }
      return method
    },
    has: (target, key) => key in own || Reflect.has(target, key),
    set(target, key, value) {
      if (!(key in own)) return Reflect.set(target, key, value, target)
      own[key] = value
      return true
    },
    // As test doubles do it that replace `send` for a while.
    defineProperty(target, key, descriptor) {
      if (!(key in own)) return Reflect.defineProperty(target, key, descriptor)
      own[key] = descriptor.get === undefined ? descriptor.value : descriptor.get()
      return true
    },
    deleteProperty(target, key) {
      if (!(key in own)) return Reflect.deleteProperty(target, key)
      own[key] = originals[key]
      return true
    },
  })
  return proxy
}
