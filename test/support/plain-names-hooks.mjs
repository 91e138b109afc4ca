const KEEPS_NAMES = /\b__name ?= ?\((\w+), ?(\w+)\) ?=> ?__defProp\(\1, ?"name", ?\{ ?value(: ?\2)?, ?configurable: ?true ?\}\)/

export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context)
  if (loaded.source == null) return loaded
  const source = String(loaded.source)
  return KEEPS_NAMES.test(source) ? { ...loaded, source: source.replace(KEEPS_NAMES, '__name = (named) => named') } : loaded
}
