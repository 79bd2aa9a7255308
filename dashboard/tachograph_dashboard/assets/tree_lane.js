// Time: the axis, the overview of the whole run, zooming.

const OVERVIEW_H = 38, LEAST_WINDOW_MS = 0.05
const TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5, 6048e5]

const TreeLane = {
  // What the lane shows, in ms from the start; the whole run unless the reader zoomed.
  window() { return this.view ?? [0, this.t.end] },

  zoom(a, b) {
    const end = this.t.end, width = Math.max(Math.min(end, LEAST_WINDOW_MS), Math.min(end, b - a))
    a = Math.max(0, Math.min(end - width, (a + b - width) / 2))
    this.view = width >= end * 0.999 ? null : [a, a + width]
    this.paint()
  },

  zoomTo(i) {
    const t = this.t, room = t.duration[i] * 0.08 + 0.01
    this.choose(i)
    this.zoom(t.start[i] - room, t.start[i] + t.duration[i] + room)
  },

  // A row that was jumped to must be seen in the lane too. In a long run its bar would be a speck: show the
  // nearest ancestor in which it is not.
  bringToLane(i) {
    const t = this.t, lane = Math.max(60, this.el.clientWidth * 0.55), [a, b] = this.window()
    const wide = (ms) => (t.duration[i] / ms) * lane >= 4
    if (t.start[i] >= a && t.start[i] + t.duration[i] <= b && (wide(b - a) || t.n <= 200)) return
    if (t.n <= 200 || wide(t.end)) { this.view = null; return }
    let p = t.parent[i] >= 0 ? t.parent[i] : i
    while (t.parent[p] >= 0 && t.duration[p] < t.duration[i] * 4 && t.depth[p] > 1) p = t.parent[p]
    const room = t.duration[p] * 0.04 + 0.01
    this.zoom(t.start[p] - room, t.start[p] + t.duration[p] + room)
  },

  drawAxis(a, b, lane) {
    const stamp = `${a}|${b}|${Math.round(lane)}|${this.rows.length}|${this.scroll.clientHeight}`
    if (stamp === this.axisStamp) return
    this.axisStamp = stamp
    const labels = this.$(".axis .labels"), lines = this.$(".grid"), wanted = (b - a) / Math.max(2, lane / 96)
    const step = wanted < 1 ? 10 ** Math.ceil(Math.log10(wanted)) : TICKS.find((s) => s >= wanted) ?? TICKS.at(-1)
    labels.replaceChildren()
    lines.replaceChildren()
    lines.style.height = Math.max(this.scroll.clientHeight, this.rows.length * ROW) + "px"
    for (let t = Math.ceil(a / step) * step; t <= b; t += step) {
      const x = ((t - a) / (b - a)) * lane, label = h("span", x < 14 ? "tick first" : "tick", tickText(t, step)), line = h("i")
      label.style.left = line.style.left = x + "px"
      labels.append(label)
      lines.append(line)
    }
  },

  drawOverview(lane) {
    const box = this.$(".over"), t = this.t
    box.style.width = lane + "px"
    const stamp = `${lane}|${this.generation}|${this.colours.join()}|${this.mask}|${Math.round(t.end)}`
    if (stamp !== this.overStamp) { this.overStamp = stamp; this.paintOverview(lane) }
    const [a, b] = this.window(), left = (a / t.end) * lane, right = (b / t.end) * lane
    const [before, after] = box.querySelectorAll(".shade"), frame = this.$(".over .frame")
    frame.style.display = before.style.display = after.style.display = this.view ? "" : "none"
    frame.style.left = left + "px"
    frame.style.width = Math.max(3, right - left) + "px"
    before.style.width = left + "px"
    after.style.left = right + "px"
    after.style.width = Math.max(0, lane - right) + "px"
  },

  paintOverview(lane) {
    const t = this.t, canvas = this.$(".over canvas"), dots = window.devicePixelRatio || 1
    canvas.width = lane * dots
    canvas.height = OVERVIEW_H * dots
    const g = canvas.getContext("2d")
    g.scale(dots, dots)
    let deepest = 1
    for (let i = 0; i < t.n; i++) if (t.depth[i] > deepest) deepest = t.depth[i]
    const step = Math.min(7, (OVERVIEW_H - 8) / (deepest + 1)), k = lane / t.end
    for (const i of t.order) {
      if (i >= t.n || !(this.mask & (1 << t.layer[i]))) continue
      g.fillStyle = this.colours[t.layer[i]]
      g.globalAlpha = this.structure[t.layer[i]] ? 0.35 : 0.9
      g.fillRect(t.start[i] * k, 3 + t.depth[i] * step, Math.max(0.6, t.duration[i] * k), Math.max(1, step - 0.7))
    }
    g.globalAlpha = 1
    g.fillStyle = this.red
    for (const i of this.errors) g.fillRect(t.start[i] * k - 0.75, OVERVIEW_H - 6, 1.5, 6)
  },
}

function tickText(ms, step) {
  if (ms === 0) return "0"
  if (step < 1) return ms.toFixed(Math.max(0, Math.ceil(-Math.log10(step)))) + " ms"
  if (ms < 1000) return Math.round(ms) + " ms"
  if (ms < 60000) return +(ms / 1000).toFixed(step >= 1000 ? 0 : Math.ceil(-Math.log10(step / 1000))) + " s"
  return duration(ms)
}
