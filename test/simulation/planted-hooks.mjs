import { pathToFileURL } from 'node:url'

let planted

export function initialize({ file, find, replace }) {
  planted = { url: pathToFileURL(file).href, find, replace }
}

export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context)
  if (url.replace(/\?.*/, '') !== planted.url) return loaded
  const source = String(loaded.source)
  if (!source.includes(planted.find)) throw new Error(`${url} has no place for the bug any more`)
  return { ...loaded, source: source.replace(planted.find, () => planted.replace) }
}
