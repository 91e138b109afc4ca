// npm run sbom: what the packages bring with them, as locked, in CycloneDX 1.6 on standard output. From package-lock.json alone: no network, the same lock
// gives the same text. `npm sbom` refuses a repository whose root has no version.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export function sbom(lock) {
  const packages = lock.packages
  const own = Object.entries(packages).filter(([path]) => /^packages\/[^/]+$/.test(path))
  const found = new Map()
  const dependencies = new Map()
  for (const [path] of own) walk(path)
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: { type: 'application', name: 'shardwise', version: own[0][1].version, 'bom-ref': 'shardwise' } },
    components: [...found.values()].sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1)),
    dependencies: [
      { ref: 'shardwise', dependsOn: own.map(([path]) => refOf(path)).sort() },
      ...[...dependencies].map(([ref, dependsOn]) => ({ ref, dependsOn: [...dependsOn].sort() })),
    ].sort((a, b) => (a.ref < b.ref ? -1 : 1)),
  }

  function walk(path) {
    const ref = refOf(path)
    if (found.has(ref)) return
    const { version, license, integrity } = packages[path]
    const name = nameOf(path)
    const [group, short] = name.startsWith('@') ? name.split('/') : [undefined, name]
    found.set(ref, {
      type: 'library',
      'bom-ref': ref,
      ...(group && { group }),
      name: short,
      version,
      purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
      ...(license && { licenses: [{ license: { id: license } }] }),
      ...(integrity && { hashes: integrity.split(' ').map(hashOf) }),
    })
    const needed = Object.keys(packages[path].dependencies ?? {}).map((dependency) => resolved(path, dependency))
    dependencies.set(ref, new Set(needed.map(refOf)))
    needed.forEach(walk)
  }

  function nameOf(path) {
    return packages[path].name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  }

  function refOf(path) {
    return `${nameOf(path)}@${packages[path].version}`
  }

  /** As Node looks for it: beside the dependent, then in each folder above. */
  function resolved(path, name) {
    for (let folder = path; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('/'), 0))) {
      const at = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`
      const entry = packages[at]
      if (entry !== undefined) return entry.link ? entry.resolved : at
      if (folder === '') throw new Error(`${path} needs ${name}, which package-lock.json has not`)
    }
  }
}

function hashOf(integrity) {
  const dash = integrity.indexOf('-')
  const alg = { sha1: 'SHA-1', sha256: 'SHA-256', sha384: 'SHA-384', sha512: 'SHA-512' }[integrity.slice(0, dash)]
  return { alg, content: Buffer.from(integrity.slice(dash + 1), 'base64').toString('hex') }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'))
  console.log(JSON.stringify(sbom(lock), null, 2))
}
