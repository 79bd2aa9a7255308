// Pointer, keyboard, search and stepping.

const REST_MS = 140, SEARCH_MS = 60, HOVER_MS = 280

const TreeInput = {
  // The reader, the story or the address chose a row. A folded row holds no span: it opens.
  choose(i, { reveal = false, tell = true } = {}) {
    if (i < 0 || i >= this.t.total) return
    if (i >= this.t.n) return this.toggle(i)
    this.chosen = i
    if (reveal || this.rowOf[i] < 0) { this.reveal(i); this.bringToLane(i) } else this.cursor = this.rowOf[i]
    this.paint()
    const id = this.t.idOf(i)
    tellChosen(this.opt.run, id)
    if (!tell) return
    // Only the span on which the arrow keys come to rest is reported.
    clearTimeout(this.restTimer)
    this.restTimer = setTimeout(() => this.report(id), this.byKeys ? REST_MS : 0)
  },

  report(id) {
    const url = new URL(window.location.href)
    url.searchParams.set("span", id)
    // Not a step of the browser's history for each span looked at.
    window.history.replaceState(window.history.state, "", url)
    this.emit?.("selected", id)
  },

  stepIn(list, direction) {
    if (!list?.length) return
    const t = this.t, here = this.chosen >= 0 ? t.rank[this.chosen] : -1
    const to = direction > 0 ? list.find((i) => t.rank[i] > here) ?? list[0] : list.findLast((i) => t.rank[i] < here) ?? list.at(-1)
    this.choose(to, { reveal: true })
    if (list === this.hits) this.$(".hits").textContent = `${list.indexOf(to) + 1} of ${grouped(list.length)}`
  },

  search(text) {
    const t = this.t
    this.query = text.trim().toLowerCase()
    this.$(".find kbd").hidden = !!this.query
    this.hits = []
    this.hit = null
    if (this.query) {
      const matches = t.names.map((name) => name.toLowerCase().includes(this.query))
      this.hit = new Uint8Array(t.total)
      for (const i of t.order) if (matches[t.name[i]]) { this.hit[i] = 1; if (i < t.n) this.hits.push(i) }
    }
    this.$(".hits").textContent = !this.query ? "" : this.hits.length ? `${grouped(this.hits.length)} found` : "none"
    this.paint()
  },

  tracePath() {
    this.onPath = this.onPath ? null : this.t.critical()
    this.$(".critical").setAttribute("aria-pressed", String(!!this.onPath))
    this.paint()
  },

  wire() {
    const s = this.scroll
    s.addEventListener("scroll", () => this.paint(), { passive: true })
    s.onfocus = () => { this.focused = true; this.paint() }
    s.onblur = () => { this.focused = false; this.paint() }
    s.onclick = (e) => {
      const row = e.target.closest(".row")
      if (!row) return
      this.byKeys = false
      if (e.target.closest(".fold")) this.toggle(+row.dataset.i)
      else this.choose(+row.dataset.i)
    }
    s.ondblclick = (e) => { const row = e.target.closest(".row"); if (row && !e.target.closest(".fold")) this.zoomTo(+row.dataset.i) }
    s.onkeydown = (e) => this.onKey(e)
    s.addEventListener("wheel", (e) => this.onWheel(e), { passive: false })
    s.onpointermove = (e) => this.hover(e)
    s.onpointerleave = () => this.hover(null)
    this.wireSearch()
    this.$(".critical").onclick = () => this.tracePath()
    this.$(".unfold").onclick = () => this.toggleAll(true)
    this.$(".foldall").onclick = () => this.toggleAll(false)
    this.$(".whole").onclick = () => { this.view = null; this.paint() }
    this.$(".errors").onclick = () => { this.byKeys = false; this.stepIn(this.errors, 1) }
    this.wireOverview()
    this.wireSplit()
    this.onAsked = (e) => {
      if (!this.t || e.detail?.run !== this.opt.run) return
      const i = this.t.indexOf(e.detail.span)
      if (i < 0) return
      e.preventDefault()
      this.byKeys = false
      this.choose(i, { reveal: true })
    }
    window.addEventListener("tacho:select", this.onAsked)
  },

  wireSearch() {
    const input = this.$(".find input")
    let timer
    input.oninput = () => { clearTimeout(timer); timer = setTimeout(() => this.t && this.search(input.value), SEARCH_MS) }
    input.onkeydown = (e) => {
      e.stopPropagation()
      if (e.key === "Escape") { input.value = ""; this.search(""); this.scroll.focus() }
      if (e.key !== "Enter" || !this.t) return
      e.preventDefault()
      clearTimeout(timer)
      if (this.query !== input.value.trim().toLowerCase()) this.search(input.value)
      this.byKeys = true
      this.stepIn(this.hits, e.shiftKey ? -1 : 1)
    }
  },

  wireOverview() {
    const over = this.$(".over")
    over.onpointerdown = (e) => {
      if (!this.t) return
      const box = over.getBoundingClientRect(), from = e.clientX
      const at = (x) => Math.min(1, Math.max(0, (x - box.left) / box.width)) * this.t.end
      over.setPointerCapture(e.pointerId)
      over.onpointermove = (m) => { if (Math.abs(m.clientX - from) > 3) this.zoom(Math.min(at(from), at(m.clientX)), Math.max(at(from), at(m.clientX))) }
      over.onpointerup = (m) => {
        over.onpointermove = over.onpointerup = null
        const [a, b] = this.window()
        if (Math.abs(m.clientX - from) <= 3) this.zoom(at(from) - (b - a) / 2, at(from) + (b - a) / 2)
      }
    }
    over.ondblclick = () => { this.view = null; this.paint() }
  },

  wireSplit() {
    const split = this.$(".split")
    split.onpointerdown = (e) => {
      const offset = e.clientX - this.nameWidth
      split.setPointerCapture(e.pointerId)
      split.onpointermove = (m) => { this.nameWidth = Math.max(150, m.clientX - offset); this.axisStamp = null; this.paint() }
      split.onpointerup = () => { split.onpointermove = null }
    }
  },

  onWheel(e) {
    if (!(e.ctrlKey || e.metaKey || e.shiftKey) || !this.t) return
    e.preventDefault()
    const [a, b] = this.window(), width = b - a
    if (e.shiftKey) { const d = ((e.deltaX || e.deltaY) / 600) * width; return this.zoom(a + d, b + d) }
    const box = this.$(".axis .labels").getBoundingClientRect()
    const f = Math.min(1, Math.max(0, (e.clientX - box.left) / box.width)), k = Math.exp(e.deltaY / 300), at = a + f * width
    this.zoom(at - f * width * k, at + (1 - f) * width * k)
  },

  hover(e) {
    const tip = this.$(".tip"), row = e?.target.closest?.(".row"), i = row ? +row.dataset.i : -1
    clearTimeout(this.tipTimer)
    if (i < 0 || e.buttons || this.tipFor !== i) tip.style.display = "none"
    if (i < 0 || e.buttons) { this.tipFor = -1; return }
    const box = this.$(".body").getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top
    this.tipTimer = setTimeout(() => {
      this.tipFor = i
      tip.replaceChildren(...this.tipLines(i))
      tip.style.display = "block"
      tip.style.left = Math.min(x + 14, box.width - tip.offsetWidth - 8) + "px"
      tip.style.top = (y + 18 + tip.offsetHeight > box.height ? y - tip.offsetHeight - 10 : y + 18) + "px"
    }, HOVER_MS)
  },

  tipLines(i) {
    const t = this.t, lines = [h("b", "", t.names[t.name[i]])], say = (text) => lines.push(h("span", "", text))
    say(`${LAYER_WORDS[LAYERS[t.layer[i]]]}, ${duration(t.duration[i])}, ${duration(t.start[i])} into the run`)
    if (i >= t.n) say(`${grouped(t.members[i])} alike in a row; click to see them`)
    else if (t.first[i] >= 0) say(`${duration(t.own(i))} of its own, ${grouped(t.size[i] - 1)} spans inside`)
    if (i < t.n && t.tokens[i] > 0) say(`${grouped(t.tokens[i])} tokens${Number.isNaN(t.cost[i]) ? ", unpriced" : ""}`)
    if (t.flags[i] & OPEN && i < t.n) say(this.live ? "still running" : "did not end")
    return lines
  },

  onKey(e) {
    if (!this.t || !this.rows.length || e.ctrlKey || e.metaKey || e.altKey) return
    const act = this.keys(this.rows[this.cursor])[e.key]
    if (!act) return
    e.preventDefault()
    e.stopPropagation()
    this.byKeys = e.key !== "Enter"
    act()
  },

  keys(i) {
    const t = this.t, [a, b] = this.window(), width = b - a
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / ROW) - 2)
    const go = (row) => {
      this.cursor = Math.max(0, Math.min(this.rows.length - 1, row))
      this.scrollTo(this.cursor)
      const to = this.rows[this.cursor]
      if (to < t.n) this.choose(to)
      else this.paint()
    }
    const down = () => go(this.cursor + 1), up = () => go(this.cursor - 1), closer = () => this.zoom(a + width * 0.2, b - width * 0.2)
    const parent = () => { let p = t.parent[i]; while (p >= 0 && this.rowOf[p] < 0) p = t.parent[p]; if (p >= 0) go(this.rowOf[p]) }
    return {
      ArrowDown: down, j: down, ArrowUp: up, k: up, "+": closer, "=": closer,
      PageDown: () => go(this.cursor + page), PageUp: () => go(this.cursor - page), Home: () => go(0), End: () => go(this.rows.length - 1),
      ArrowRight: () => { if (t.first[i] < 0) return; if (this.open[i]) down(); else this.toggle(i, 1) },
      ArrowLeft: () => { if (this.open[i] && t.first[i] >= 0) this.toggle(i, 0); else parent() },
      Enter: () => this.choose(i), " ": () => this.toggle(i), "*": () => this.toggleAll(true),
      "/": () => this.$(".find input").focus(), e: () => this.stepIn(this.errors, 1), E: () => this.stepIn(this.errors, -1),
      n: () => this.stepIn(this.hits, 1), N: () => this.stepIn(this.hits, -1), c: () => this.tracePath(),
      z: () => this.zoomTo(i), 0: () => { this.view = null; this.paint() }, "-": () => this.zoom(a - width * 0.3, b + width * 0.3),
    }
  },
}
