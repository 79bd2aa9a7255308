// The rows of the tree: which are on show, and drawing them. Only what can be seen is in the page.

const ROW = 24, INDENT = 14, SPARE_ROWS = 6, LABEL_ROOM = 72
const ALL_OPEN_UP_TO = 150

const TreeRows = {
  // Which rows are unfolded before the reader has said anything.
  unfold() {
    const t = this.t, deep = t.n <= ALL_OPEN_UP_TO ? Infinity : 2
    this.open = new Uint8Array(t.total)
    for (const i of t.order) if (i < t.n && t.first[i] >= 0 && t.depth[i] < deep) this.open[i] = 1
  },

  flatten() {
    const t = this.t, { first, next } = t, out = new Int32Array(t.total), way = []
    this.rowOf = new Int32Array(t.total).fill(-1)
    let k = 0, spans = 0, i = t.root
    while (i >= 0 || way.length) {
      if (i < 0) { i = next[way.pop()]; continue }
      const shown = this.mask & (1 << t.layer[i])
      if (shown) { this.rowOf[i] = k; out[k++] = i; if (i < t.n) spans++ }
      // The children of a hidden layer move up.
      if (first[i] >= 0 && (this.open[i] || !shown)) { way.push(i); i = first[i] } else i = next[i]
    }
    this.rows = out.subarray(0, k)
    this.spansShown = spans
    this.cursor = Math.max(0, Math.min(this.cursor, k - 1))
    this.$(".sizer").style.height = k * ROW + "px"
  },

  toggle(i, to) {
    if (this.t.first[i] < 0) return
    this.open[i] = to ?? (this.open[i] ? 0 : 1)
    this.flatten()
    this.cursor = Math.max(0, this.rowOf[i])
    this.paint()
  },

  toggleAll(to) {
    const t = this.t
    for (const i of t.order) this.open[i] = t.first[i] >= 0 && (to || t.depth[i] < 1) ? 1 : 0
    this.flatten()
    if (this.chosen >= 0 && to) this.reveal(this.chosen)
    this.paint()
  },

  reveal(i) {
    const t = this.t
    for (let p = t.parent[i]; p >= 0; p = t.parent[p]) this.open[p] = 1
    this.mask |= 1 << t.layer[i]
    this.flatten()
    this.cursor = Math.max(0, this.rowOf[i])
    this.scrollTo(this.cursor)
  },

  scrollTo(row) {
    const s = this.scroll, top = row * ROW
    if (top < s.scrollTop + ROW) s.scrollTop = Math.max(0, top - 2 * ROW)
    else if (top + ROW > s.scrollTop + s.clientHeight - ROW) s.scrollTop = top - s.clientHeight + 3 * ROW
  },

  paint() {
    if (this.frame) return
    this.frame = requestAnimationFrame(() => { this.frame = 0; if (this.t) this.draw() })
  },

  draw() {
    const width = this.el.clientWidth, s = this.scroll
    if (!width) return
    const names = Math.min(this.nameWidth, Math.max(150, width * 0.42))
    this.el.style.setProperty("--names", names + "px")
    const lane = Math.max(60, width - names - LABEL_ROOM - (s.offsetWidth - s.clientWidth))
    const [a, b] = this.window(), k = lane / (b - a)
    const from = Math.max(0, Math.floor(s.scrollTop / ROW) - SPARE_ROWS)
    const to = Math.min(this.rows.length, Math.ceil((s.scrollTop + s.clientHeight) / ROW) + SPARE_ROWS)
    while (this.pool.length < to - from) this.pool.push(this.makeRow())
    this.pool.forEach((R, p) => {
      if (from + p < to) this.fill(R, from + p, a, k, lane)
      else if (R.i !== -1) { R.i = -1; R.el.style.display = "none" }
    })
    s.setAttribute("aria-activedescendant", this.rows.length ? "row-" + this.rows[this.cursor] : "")
    this.el.classList.toggle("tracing", !!this.onPath)
    this.drawAxis(a, b, lane)
    this.drawOverview(lane)
    this.$(".count").textContent = `${grouped(this.spansShown)} of ${grouped(this.t.n)} spans shown`
    this.$(".range").textContent = this.view ? `${duration(a)} to ${duration(b)}` : duration(this.t.end)
  },

  makeRow() {
    const el = h("div", "row")
    el.setAttribute("role", "treeitem")
    const head = h("div", "head"), indent = h("span", "indent"), fold = h("button", "fold")
    fold.tabIndex = -1
    fold.setAttribute("aria-hidden", "true")
    fold.append(icon("M5 2.5 11 8 5 13.5Z", ""))
    const shape = icon("", "ic"), name = h("span", "name"), times = h("span", "times"), size = h("span", "size")
    const lane = h("div", "lane"), bar = h("div", "bar"), took = h("span", "took")
    head.append(indent, fold, shape, name, times, size)
    lane.append(bar, took)
    el.append(head, lane)
    this.$(".sizer").append(el)
    return { el, indent, fold, shape, path: shape.firstChild, name, times, size, bar, took, i: -1 }
  },

  fill(R, row, a, k, lane) {
    const t = this.t, i = this.rows[row], e = R.el, flags = t.flags[i], kids = t.first[i] >= 0
    const stamp = this.generation + "|" + this.query
    if (R.i !== i || R.stamp !== stamp) { R.i = i; R.stamp = stamp; this.fillText(R, i, kids) }
    const took = duration(t.duration[i])
    if (R.took.textContent !== took) R.took.textContent = took
    if (kids) e.setAttribute("aria-expanded", String(!!this.open[i]))
    else e.removeAttribute("aria-expanded")
    e.setAttribute("aria-selected", String(i === this.chosen))
    e.style.transform = `translateY(${row * ROW}px)`
    const live = this.live && flags & OPEN
    e.className = "row" + (i === this.chosen ? " chosen" : "") + (row === this.cursor && this.focused ? " at" : "") +
      (flags & (ERROR | BAD) ? " error" : flags & WARN ? " warn" : "") + (this.onPath?.[i] ? " path" : "") + (this.hit && !this.hit[i] ? " dim" : "")
    const colour = this.colours[t.layer[i]]
    e.style.setProperty("--c", colour)
    R.shape.style.color = flags & (ERROR | BAD) ? this.red : colour
    const x0 = (t.start[i] - a) * k, x1 = x0 + t.duration[i] * k
    const left = Math.max(0, x0), width = Math.max(2, Math.min(lane, x1) - left), off = x1 < 0 || x0 > lane
    R.bar.className = "bar" + (i >= t.n ? " folded" : kids && this.structure[t.layer[i]] ? " frame" : "") +
      (LAYERS[t.layer[i]] === "approval" ? " waiting" : "") + (live ? " live" : flags & OPEN ? " lost" : "")
    R.bar.style.display = R.took.style.display = off ? "none" : ""
    R.bar.style.left = left + "px"
    R.bar.style.width = width + "px"
    // The time stands right of its bar, or left of it where the bar reaches the edge.
    const atEdge = left + width > lane - 4 && left > 70
    R.took.style.right = atEdge ? lane - left + "px" : ""
    R.took.style.left = atEdge ? "" : Math.min(left + width, lane) + "px"
  },

  fillText(R, i, kids) {
    const t = this.t, e = R.el, name = t.names[t.name[i]], layer = LAYERS[t.layer[i]], fold = i >= t.n
    e.id = "row-" + i
    e.dataset.i = i
    e.style.display = ""
    e.setAttribute("aria-level", t.depth[i] + 1)
    R.indent.style.width = Math.min(t.depth[i], 40) * INDENT + "px"
    R.fold.style.visibility = kids ? "" : "hidden"
    R.path.setAttribute("d", layerPath(layer))
    R.times.textContent = fold ? "×" + grouped(t.members[i]) : ""
    R.size.textContent = kids && !fold ? grouped(t.size[i] - 1) : ""
    const at = this.query ? name.toLowerCase().indexOf(this.query) : -1
    if (at < 0) R.name.textContent = name
    else R.name.replaceChildren(name.slice(0, at), h("mark", "", name.slice(at, at + this.query.length)), name.slice(at + this.query.length))
    const flags = t.flags[i]
    const state = flags & ERROR ? ", failed" : flags & BAD ? ", refused" : flags & WARN ? ", needs a look" : flags & OPEN ? (this.live ? ", running" : ", did not end") : ""
    e.setAttribute("aria-label", `${name}${fold ? " " + t.members[i] + " times" : ""}, ${LAYER_WORDS[layer]}, ${duration(t.duration[i])}${state}`)
  },
}
