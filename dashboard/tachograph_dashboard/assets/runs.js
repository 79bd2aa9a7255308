// The list of runs. Rows are links, so that a new tab, the keyboard and a screen reader work as everywhere.

const COLUMNS = [
  ["outcome", "Outcome"], ["run", "Run"], ["agent", "Agent"], ["customer", "Customer"], ["started", "Started"],
  ["took", "Took", 1], ["models", "Model calls", 1], ["tools", "Tool calls", 1], ["tokens", "Tokens", 1], ["cost", "Cost", 1],
]
const TABLES = new WeakMap()
const AGO_MS = 15000

export default function (component) {
  const host = component.parentElement
  if (!TABLES.has(host)) TABLES.set(host, new Table(host))
  const table = TABLES.get(host)
  table.update(component)
  return () => { table.destroy(); TABLES.delete(host) }
}

class Table {
  constructor(host) {
    this.el = host.querySelector(".runs")
    this.rows = new Map()
    this.picked = new Map()
    this.head()
    this.agoTimer = setInterval(() => this.tellAges(), AGO_MS)
  }

  destroy() { clearInterval(this.agoTimer) }

  head() {
    const table = h("table"), head = h("thead"), row = h("tr")
    const pick = h("th", "pick")
    pick.append(h("span", "unseen", "Compare"))
    row.append(pick)
    for (const [key, label, number] of COLUMNS) { const th = h("th", (number ? "num " : "") + key, label); th.scope = "col"; row.append(th) }
    head.append(row)
    this.body = h("tbody")
    table.append(head, this.body)
    this.bar = h("div", "bar")
    this.bar.setAttribute("role", "status")
    this.el.replaceChildren(table, this.bar)
  }

  // Rows keep their place in the page from one refresh to the next: focus and selection stay where they are.
  update({ data, setTriggerValue }) {
    this.open = (id) => setTriggerValue("open", id)
    this.compare = (ids) => setTriggerValue("compare", ids)
    const seen = new Set(), none = new Set(data.without)
    this.el.querySelectorAll("th:not(.pick)").forEach((th, k) => { th.hidden = none.has(COLUMNS[k][0]) })
    this.without = none
    data.runs.forEach((run, k) => {
      seen.add(run.id)
      if (!this.rows.has(run.id)) this.rows.set(run.id, this.makeRow(run.id))
      const R = this.rows.get(run.id)
      this.fill(R, run)
      if (this.body.children[k] !== R.el) this.body.insertBefore(R.el, this.body.children[k] ?? null)
    })
    for (const [id, R] of this.rows) if (!seen.has(id)) { R.el.remove(); this.rows.delete(id) }
    this.tellAges()
    this.tellPicked()
  }

  makeRow(id) {
    const el = h("tr"), cells = {}, pick = h("td", "pick"), box = h("input")
    box.type = "checkbox"
    box.checked = this.picked.has(id)
    // Beside the box is the box: nobody who aims at it wants to open the run.
    pick.onclick = (e) => { e.stopPropagation(); if (e.target !== box) box.click() }
    box.onchange = () => this.pick(id, box)
    pick.append(box)
    el.append(pick)
    for (const [key, , number] of COLUMNS) { cells[key] = h("td", (number ? "num " : "") + key); el.append(cells[key]) }
    const link = h("a", "title")
    link.href = "/run?id=" + encodeURIComponent(id)
    cells.run.append(link)
    el.onclick = (e) => {
      if (e.ctrlKey || e.metaKey || e.shiftKey || e.button || window.getSelection()?.toString()) return
      e.preventDefault()
      this.open(id)
    }
    return { el, cells, link, box, shown: "" }
  }

  // Two at most, and they stay chosen over pages and refreshes; the first is A.
  pick(id, box) {
    if (box.checked) this.picked.set(id, this.rows.get(id)?.run.title ?? "")
    else this.picked.delete(id)
    if (this.picked.size > 2) {
      const oldest = this.picked.keys().next().value
      this.picked.delete(oldest)
      const R = this.rows.get(oldest)
      if (R) R.box.checked = false
    }
    this.tellPicked()
  }

  tellPicked() {
    const ids = [...this.picked.keys()]
    this.bar.hidden = !ids.length
    this.el.classList.toggle("picking", ids.length > 0)
    const go = h("button", "go", "Compare"), none = h("button", "", "Cancel")
    go.type = none.type = "button"
    go.disabled = ids.length < 2
    go.onclick = () => this.compare(ids)
    none.onclick = () => {
      for (const id of ids) { const R = this.rows.get(id); if (R) R.box.checked = false }
      this.picked.clear()
      this.tellPicked()
    }
    this.bar.replaceChildren(h("span", "", ids.length < 2 ? "Choose a second run to compare with" : "Two runs are chosen"), h("span", "gap"), none, go)
  }

  fill(R, run) {
    for (const key of Object.keys(R.cells)) R.cells[key].hidden = this.without.has(key)
    const stamp = JSON.stringify(run)
    if (stamp === R.shown) return
    R.shown = stamp
    R.run = run
    const outcome = OUTCOMES[run.outcome], c = R.cells
    const state = h("span", "state " + outcome.tone)
    state.append(icon(outcome.path, run.outcome === "running" ? "ic turn" : "ic"), h("span", "", outcome.word))
    c.outcome.replaceChildren(state)
    R.link.textContent = run.title
    R.link.title = run.title
    R.box.setAttribute("aria-label", "Compare " + run.title)
    c.run.replaceChildren(R.link)
    if (run.why) c.run.append(h("span", "why", run.why))
    for (const key of ["agent", "customer", "took", "models", "tools", "tokens", "cost"]) c[key].textContent = run[key]
    c.agent.title = run.agent
    c.customer.title = run.customer
    c.cost.classList.toggle("unknown", run.cost_note !== "")
    c.cost.title = run.cost_note
    c.started.title = run.started
  }

  tellAges() {
    const now = Date.now()
    for (const R of this.rows.values()) R.cells.started.textContent = age(now - R.run.started_ms) ?? R.run.started_short
  }
}

function age(ms) {
  const s = ms / 1000
  if (s < 10) return "just now"
  if (s < 60) return Math.floor(s) + " s ago"
  if (s < 3600) return Math.floor(s / 60) + " min ago"
  return s < 86400 ? Math.floor(s / 3600) + " h ago" : null
}
