// Two runs side by side, step by step. What is the same is folded; the first difference is marked and shown open.

const SIDES = ["a", "b"], FOLD_FROM = 4
const VIEWS = new WeakMap()

export default function (component) {
  const host = component.parentElement
  if (!VIEWS.has(host)) VIEWS.set(host, { open: new Set(), stamp: "" })
  const view = VIEWS.get(host), stamp = component.data.a.id + component.data.b.id + component.data.lines.length
  if (view.stamp !== stamp) { view.stamp = stamp; view.open = new Set(component.data.lines.map((l, k) => l.first ? k : -1)) }
  draw(host.querySelector(".compare"), component.data, view, component.setTriggerValue)
}

function draw(box, data, view, trigger) {
  const redraw = (k) => {
    draw(box, data, view, trigger)
    // What was pressed is a new element now.
    box.querySelector(`[data-k="${k}"]`)?.focus()
  }
  box.replaceChildren(heads(data, trigger), factsOf(data.facts), verdictOf(data), linesOf(data.lines, view, redraw))
  paintLayers(box)
}

function heads(data, trigger) {
  const row = h("div", "heads")
  SIDES.forEach((side) => {
    const run = data[side], outcome = OUTCOMES[run.outcome], card = h("div", "run"), top = h("div", "top")
    const state = h("span", "state " + outcome.tone), link = h("a", "title", run.title)
    state.append(icon(outcome.path), h("span", "", outcome.word))
    link.href = "/run?id=" + encodeURIComponent(run.id)
    link.onclick = (e) => {
      if (e.ctrlKey || e.metaKey || e.shiftKey) return
      e.preventDefault()
      trigger("open", run.id)
    }
    top.append(h("span", "side", side.toUpperCase()), link)
    const under = h("div", "under")
    under.append(state, h("span", "", run.agent), h("span", "", run.started))
    if (side === "b" && data.relation) under.append(h("span", "relation", data.relation))
    card.append(top, under)
    row.append(card)
  })
  return row
}

function factsOf(facts) {
  const table = h("table", "facts"), head = h("thead"), labels = h("tr"), body = h("tbody")
  labels.append(h("td"))
  for (const f of facts) { const th = h("th", "", f.label); th.scope = "col"; labels.append(th) }
  head.append(labels)
  SIDES.forEach((side) => {
    const row = h("tr"), name = h("th", "side", side.toUpperCase())
    name.scope = "row"
    row.append(name)
    for (const f of facts) {
      const td = h("td", f.differs ? "differs" : "", f[side])
      td.title = f[side]
      if (side === "b" && f.change) td.append(h("small", f.tone, f.change))
      row.append(td)
    }
    body.append(row)
  })
  table.append(head, body)
  const scroll = h("div", "scroll")
  // Narrow, it scrolls: keys must reach it too.
  scroll.tabIndex = 0
  scroll.setAttribute("role", "region")
  scroll.setAttribute("aria-label", "Both runs in figures")
  scroll.append(table)
  return scroll
}

function verdictOf(data) {
  const p = h("p", "verdict " + (data.same ? "good" : "warn"))
  p.append(icon(data.same ? OUTCOMES.success.path : OUTCOMES.interrupted.path), h("span", "", data.verdict))
  return p
}

function linesOf(lines, view, redraw) {
  const list = h("div", "lines")
  list.setAttribute("role", "list")
  for (let k = 0; k < lines.length; k++) {
    let end = k
    while (end < lines.length && lines[end].state === "same") end++
    const from = k
    if (end - k >= FOLD_FROM && !view.open.has("fold" + k)) {
      list.append(fold(end - k, () => { view.open.add("fold" + from); redraw(from) }))
      k = end
    }
    for (; k < end; k++) list.append(lineOf(lines[k], k, view, redraw))
    if (k < lines.length) list.append(lineOf(lines[k], k, view, redraw))
  }
  return list
}

function fold(count, open) {
  const b = h("button", "fold", count + (count === 1 ? " step that is" : " steps that are") + " the same")
  b.type = "button"
  b.onclick = open
  return b
}

function lineOf(line, k, view, redraw) {
  const item = h("div", "line " + line.state + (line.first ? " first" : ""))
  item.setAttribute("role", "listitem")
  const row = h(line.parts ? "button" : "div", "row"), open = view.open.has(k)
  if (line.parts) {
    row.type = "button"
    row.dataset.k = k
    row.setAttribute("aria-expanded", String(open))
    row.onclick = () => { open ? view.open.delete(k) : view.open.add(k); redraw(k) }
  }
  row.append(cellOf(line.a, "a"), h("span", "mark", line.state === "same" ? "" : line.word), cellOf(line.b, "b"))
  if (line.first) item.append(h("div", "flag", "First difference"))
  item.append(row)
  if (open && line.parts) item.append(partsOf(line))
  return item
}

function cellOf(cell, side) {
  if (!cell) return h("span", "cell none", "")
  const el = h("span", "cell " + side + (cell.bad ? " bad" : "")), dot = h("span", "dot"), body = h("span", "body")
  dot.dataset.layer = cell.layer
  dot.append(icon(layerPath(cell.layer)))
  dot.title = LAYER_WORDS[cell.layer] ?? cell.layer
  el.style.paddingLeft = 10 + 14 * cell.depth + "px"
  body.append(h("span", "name", cell.name), h("span", "gist", cell.gist))
  el.append(dot, body, h("span", "notes", cell.notes))
  return el
}

const TAGS = { "=": "span", "-": "del", "+": "ins" }

function partsOf(line) {
  const box = h("div", "parts")
  for (const part of line.parts) {
    const pre = h("pre")
    for (const [mark, text] of part.pieces) pre.append(h(TAGS[mark], "", text))
    box.append(h("h2", "", part.label), pre)
  }
  if (!line.parts.length) box.append(h("p", "none", "Neither arguments nor results were recorded."))
  return box
}
