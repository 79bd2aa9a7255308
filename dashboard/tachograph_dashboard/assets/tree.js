// The tree of a run with its bars in time.
//
// Streamlit calls the default export again whenever `data` or the theme changes and its answer once, when the
// component leaves the page: one Tree is kept per place and update() may be called any number of times.

const STRUCTURE = new Set(["run", "agent", "step"])
const ALL_LAYERS = (1 << LAYERS.length) - 1
const TREES = new WeakMap()
const AGAIN_MS = 3000

export default function (component) {
  const host = component.parentElement
  if (!TREES.has(host)) TREES.set(host, new Tree(host))
  const tree = TREES.get(host)
  tree.update(component)
  return () => { tree.destroy(); TREES.delete(host) }
}

class Tree {
  constructor(host) {
    this.el = host.querySelector(".tree")
    this.$ = (selector) => this.el.querySelector(selector)
    this.scroll = this.$(".scroll")
    this.pool = []
    this.rows = new Int32Array(0)
    this.structure = LAYERS.map((layer) => STRUCTURE.has(layer))
    Object.assign(this, { nameWidth: 330, query: "", chosen: -1, cursor: 0, mask: ALL_LAYERS, view: null, generation: 0, errors: [], hits: [] })
    this.wire()
    this.resizing = new ResizeObserver(() => this.paint())
    this.resizing.observe(this.el)
  }

  destroy() {
    this.resizing.disconnect()
    this.loading?.abort()
    clearTimeout(this.againTimer)
    clearTimeout(this.restTimer)
    clearTimeout(this.tipTimer)
    cancelAnimationFrame(this.frame)
    window.removeEventListener("tacho:select", this.onAsked)
  }

  update({ data, setStateValue }) {
    const before = this.opt
    this.emit = setStateValue
    this.opt = data
    this.live = data.live
    this.el.style.height = data.height + "px"
    this.readColours()
    if (data.src !== before?.src) this.load(before?.run === data.run)
    else {
      if (data.selected && data.selected !== before.selected && this.t) this.choose(this.t.indexOf(data.selected), { reveal: true, tell: false })
      if (this.t && data.until_ms !== before.until_ms) this.grow()
      this.paint()
    }
  }

  async load(same) {
    this.loading?.abort()
    clearTimeout(this.againTimer)
    const loading = (this.loading = new AbortController())
    if (!same || !this.t) { this.say(); this.$(".skeleton").hidden = false }
    try {
      const answer = await fetch(this.opt.src, { signal: loading.signal, credentials: "same-origin" })
      if (!answer.ok) throw Object.assign(new Error(await answer.text()), { isFinal: answer.status < 500 })
      const columns = decodeColumns(await answer.arrayBuffer())
      this.take(new SpanTree(columns), same && !!this.t)
    } catch (error) {
      if (error.name === "AbortError") return
      this.$(".skeleton").hidden = true
      // The store may be back in a moment, and the page of a run that has ended would not ask again.
      if (!error.isFinal) this.againTimer = setTimeout(() => this.load(same), AGAIN_MS)
      // A live run keeps what it has.
      if (this.t && same) return
      this.say("The spans could not be loaded", error.message, () => this.load(false))
    }
  }

  take(t, merge) {
    const kept = merge ? this.remember() : null
    this.t = t
    this.generation++
    this.hit = this.onPath = null
    this.errors = []
    this.counts = LAYERS.map(() => 0)
    for (const i of t.order) if (i < t.n) { this.counts[t.layer[i]]++; if (t.flags[i] & ERROR) this.errors.push(i) }
    this.grow()
    this.chosen = -1
    this.unfold()
    if (kept) this.restore(kept)
    else Object.assign(this, { cursor: 0, view: null })
    this.drawChips()
    this.flatten()
    if (this.query) this.search(this.query)
    this.$(".skeleton").hidden = true
    if (!t.n) return this.say("Nothing recorded yet", "Spans appear here as the agent reports them.")
    this.say()
    if (kept) this.scrollBack(kept)
    else if (this.opt.selected && t.indexOf(this.opt.selected) >= 0) this.choose(t.indexOf(this.opt.selected), { reveal: true, tell: false })
    this.draw()
    this.el.dataset.ready = String(t.n)
    performance.mark("tacho:tree")
  }

  // What newer columns must not disturb: folds, choice, cursor, and the row at the top.
  remember() {
    const t = this.t, folds = new Map()
    for (const i of t.order) if (t.first[i] >= 0) folds.set(t.keyOf(i), this.open[i])
    const top = Math.floor(this.scroll.scrollTop / ROW), at = (row) => (row < this.rows.length ? t.keyOf(this.rows[row]) : null)
    return { folds, chosen: this.chosen < 0 ? null : t.idOf(this.chosen), cursor: at(this.cursor), top: at(top), rest: this.scroll.scrollTop - top * ROW }
  }

  restore(kept) {
    const t = this.t
    for (const [key, open] of kept.folds) { const i = t.indexOf(key); if (i >= 0) this.open[i] = open }
    this.chosen = kept.chosen === null ? -1 : t.indexOf(kept.chosen)
  }

  scrollBack(kept) {
    const rowOf = (key) => { const i = key === null ? -1 : this.t.indexOf(key); return i < 0 ? -1 : this.rowOf[i] }
    this.cursor = Math.max(0, rowOf(kept.cursor))
    const top = rowOf(kept.top)
    if (top >= 0) this.scroll.scrollTop = top * ROW + kept.rest
  }

  // Open spans last as long as the head of the page says the run does: one page, one duration.
  grow() {
    const { t } = this, until = this.opt.until_ms
    if (until !== null && t.root >= 0) t.grow(t.start[t.root] + until)
  }

  readColours() {
    this.colours = palette(this.el)
    this.red = getComputedStyle(this.el).getPropertyValue("--st-red-color").trim()
    this.overStamp = null
  }

  drawChips() {
    const box = this.$(".chips")
    box.replaceChildren()
    LAYERS.forEach((layer, k) => {
      if (!this.counts[k]) return
      const bit = 1 << k, chip = h("button", "chip"), shape = icon(layerPath(layer))
      chip.type = "button"
      chip.setAttribute("aria-pressed", String(!!(this.mask & bit)))
      chip.title = `Show or hide ${LAYER_WORDS[layer]} spans; double-click shows them alone`
      shape.style.color = this.colours[k]
      chip.append(shape, h("span", "", layer), h("span", "n", grouped(this.counts[k])))
      chip.onclick = () => this.show(this.mask ^ bit)
      chip.ondblclick = () => this.show(this.mask === bit ? ALL_LAYERS : bit)
      box.append(chip)
    })
    const errors = this.$(".errors")
    errors.hidden = !this.errors.length
    errors.textContent = this.errors.length === 1 ? "1 error" : grouped(this.errors.length) + " errors"
  }

  show(mask) {
    this.mask = mask
    for (const [k, chip] of [...this.$(".chips").children].entries()) {
      const layer = LAYERS.filter((_, i) => this.counts[i])[k]
      chip.setAttribute("aria-pressed", String(!!(mask & (1 << LAYERS.indexOf(layer)))))
    }
    this.flatten()
    this.paint()
  }

  say(title, text, retry) {
    const box = this.$(".state")
    box.replaceChildren()
    box.hidden = !title
    if (!title) return
    box.append(h("b", "", title), h("span", "", text))
    if (!retry) return
    const again = h("button", "", "Try again")
    again.onclick = retry
    box.append(again)
  }
}

Object.assign(Tree.prototype, TreeRows, TreeLane, TreeInput)
