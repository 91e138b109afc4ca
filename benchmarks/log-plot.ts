/** A plot with logarithmic axes, as SVG that is legible in light and dark and has its text as text. */
export interface LogPlot {
  readonly title: string
  /** What it shows, for those who do not see it. */
  readonly description: string
  readonly x: Axis
  readonly y: Axis
  /** At most two. */
  readonly series: readonly Series[]
}

export interface Axis {
  readonly label: string
  /** As text beside the axis, and at a point. */
  readonly format: (value: number) => string
}

export interface Series {
  readonly name: string
  /** By ascending `x`. */
  readonly points: readonly PlotPoint[]
}

export interface PlotPoint {
  readonly x: number
  readonly y: number
  /** Of all rounds. */
  readonly least: number
  readonly most: number
}

const WIDTH = 760
const HEIGHT = 430
const LEFT = 86
const RIGHT = 110
const TOP = 66
const BOTTOM = 62
const LEAST_DECADES = 2
const LABEL_APART = 14
/** From the vertical axis to the first point, so that its value does not stand on the axis' own. */
const INDENT = 30

/** Its own background, as a page may be dark where the system is light. Series differ by mark and dash too. */
const STYLE = `text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}.value{font-size:12px;paint-order:stroke;stroke:#fff;stroke-width:4px}
.paper{fill:#fff}.grid{stroke:#d8dee4;stroke-width:1}.axis{stroke:#6e7781;stroke-width:1}.line{fill:none;stroke-width:2}.range{stroke-width:1.5}
.s0{stroke:#0550ae}.m0{fill:#0550ae}.s1{stroke:#bc4c00;stroke-dasharray:7 4}.m1{fill:#bc4c00}.range.s1{stroke-dasharray:none}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.value{stroke:#0d1117}.paper{fill:#0d1117}.grid{stroke:#30363d}.axis{stroke:#8b949e}.s0{stroke:#79c0ff}.m0{fill:#79c0ff}.s1{stroke:#ffa657}.m1{fill:#ffa657}}`

export function logPlot({ title, description, x, y, series }: LogPlot): string {
  const points = series.flatMap((each) => each.points)
  const xs = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b)
  const [bottom, top] = decades(points.flatMap(({ least, most }) => [least, most]))
  const place = (value: number, from: number, to: number): number => Math.log10(value / from) / Math.log10(to / from)
  const atX = (value: number): number => round(LEFT + INDENT + place(value, xs[0]!, xs.at(-1)!) * (WIDTH - LEFT - INDENT - RIGHT))
  const atY = (value: number): number => round(HEIGHT - BOTTOM - place(value, bottom, top) * (HEIGHT - TOP - BOTTOM))

  const grid: string[] = []
  for (let value = bottom; value <= top * 1.001; value *= 10) {
    const at = atY(value)
    grid.push(`<line class="grid" x1="${LEFT}" y1="${at}" x2="${WIDTH - RIGHT}" y2="${at}"/>`)
    grid.push(`<text x="${LEFT - 8}" y="${at + 4}" text-anchor="end">${escaped(y.format(value))}</text>`)
  }
  for (const value of xs) {
    const at = atX(value)
    grid.push(`<line class="axis" x1="${at}" y1="${HEIGHT - BOTTOM}" x2="${at}" y2="${HEIGHT - BOTTOM + 5}"/>`)
    grid.push(`<text x="${at}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${escaped(x.format(value))}</text>`)
  }
  grid.push(`<line class="axis" x1="${LEFT}" y1="${HEIGHT - BOTTOM}" x2="${WIDTH - RIGHT}" y2="${HEIGHT - BOTTOM}"/>`)

  const lines = series.flatMap((each, i) => [
    `<polyline class="line s${i}" points="${each.points.map((point) => `${atX(point.x)},${atY(point.y)}`).join(' ')}"/>`,
    ...each.points.map(
      ({ x, least, most }) => `<line class="range s${i}" x1="${atX(x)}" y1="${atY(least)}" x2="${atX(x)}" y2="${atY(most)}"/>`,
    ),
    ...each.points.map((point) => mark(i, atX(point.x), atY(point.y))),
    ...each.points.map((point) => {
      // The higher of two has its value above, the lower one below.
      const others = points.filter((other) => other !== point && other.x === point.x)
      const above = others.every((other) => other.y < point.y || (other.y === point.y && i === 0))
      const at = above ? Math.min(atY(point.y), atY(point.most)) - 8 : Math.max(atY(point.y), atY(point.least)) + 17
      return `<text class="value" x="${atX(point.x)}" y="${round(at)}" text-anchor="middle">${escaped(y.format(point.y))}</text>`
    }),
  ])
  const names = namesApart(series.map((each) => atY(each.points.at(-1)!.y))).map(
    (at, i) => `<text x="${WIDTH - RIGHT + 22}" y="${at + 4}">${escaped(series[i]!.name)}</text>`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-labelledby="title description">
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(description)}</desc>
<style>${STYLE}</style>
<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>
<text class="title" x="16" y="26">${escaped(title)}</text>
<text x="16" y="${TOP - 18}">${escaped(y.label)}</text>
<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 16}" text-anchor="middle">${escaped(x.label)}</text>
${grid.join('\n')}
${lines.join('\n')}
${names.join('\n')}
</svg>
`
}

/** Powers of ten around all values, two decades or more: a curve must not look steep because little else is shown. */
function decades(values: readonly number[]): [number, number] {
  let from = Math.floor(Math.log10(Math.min(...values)))
  let to = Math.ceil(Math.log10(Math.max(...values)))
  for (let widen = 0; to - from < LEAST_DECADES; widen++) {
    if (widen % 2 === 0) to++
    else from--
  }
  return [10 ** from, 10 ** to]
}

function mark(series: number, x: number, y: number): string {
  if (series === 0) return `<circle class="m0" cx="${x}" cy="${y}" r="4.5"/>`
  return `<rect class="m1" x="${round(x - 4)}" y="${round(y - 4)}" width="8" height="8"/>`
}

/** Two names at the same height would cover each other. */
function namesApart(at: readonly number[]): number[] {
  const [first, second] = at
  if (second === undefined || Math.abs(first! - second) >= LABEL_APART) return [...at]
  const middle = (first! + second) / 2
  const up = first! <= second ? -1 : 1
  return [round(middle + (up * LABEL_APART) / 2), round(middle - (up * LABEL_APART) / 2)]
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
