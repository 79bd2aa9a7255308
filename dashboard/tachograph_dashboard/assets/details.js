// One chosen span: tabs of blocks. Python decides what is said, this draws it; every text stays text.

const SEEN = new WeakMap()
const CLIP_LINES = 24

export default function (component) {
  const host = component.parentElement
  if (!SEEN.has(host)) SEEN.set(host, { tab: null })
  const box = host.querySelector(".details"), memory = SEEN.get(host), stamp = JSON.stringify(component.data)
  // A theme change or a rerun with the same span keeps what is unfolded and where the reader is.
  if (stamp === memory.stamp) return paintLayers(box)
  memory.stamp = stamp
  draw(box, component, memory)
}

function draw(box, { data, setTriggerValue }, memory) {
  const head = h("div", "top"), shape = h("span", "shape")
  shape.dataset.layer = data.layer
  shape.append(icon(layerPath(data.layer)))
  head.append(shape, h("h2", "", data.name))
  for (const { text, tone } of data.chips) head.append(pill(tone, text))
  head.append(h("span", "gap"), h("span", "when", data.when))
  const go = (span) => { if (!askFor(data.run, span)) setTriggerValue("span", span) }
  const bar = h("div", "tabs"), panel = h("div", "panel")
  bar.setAttribute("role", "tablist")
  panel.setAttribute("role", "tabpanel")
  const titles = data.tabs.map((tab) => tab.title)
  const show = (k) => {
    ;[...bar.children].forEach((b, j) => { b.setAttribute("aria-selected", String(j === k)); b.tabIndex = j === k ? 0 : -1 })
    panel.setAttribute("aria-label", titles[k])
    panel.replaceChildren(...data.tabs[k].blocks.map((block) => BLOCKS[block.kind](block, go)))
    paintLayers(box)
  }
  titles.forEach((title, k) => {
    const b = h("button", "tab", title)
    b.type = "button"
    b.setAttribute("role", "tab")
    b.onclick = () => { memory.tab = title; show(k) }
    b.onkeydown = (e) => {
      const step = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0
      if (step) { const to = bar.children[(k + step + titles.length) % titles.length]; to.click(); to.focus() }
    }
    bar.append(b)
  })
  bar.hidden = titles.length < 2
  box.replaceChildren(head, bar, panel)
  box.dataset.span = data.span
  show(Math.max(0, titles.indexOf(memory.tab)))
}

const BLOCKS = {
  say: ({ text, tone, detail }) => {
    const p = h("div", "say " + tone)
    p.append(h("span", "", text))
    if (detail) p.append(h("span", "quiet", detail))
    return p
  },

  facts: ({ rows }, go) => {
    const dl = h("dl", "facts")
    for (const { label, value, note, span, tone } of rows) {
      const dd = h("dd", tone || "")
      if (span) { const b = h("button", "link", value); b.type = "button"; b.onclick = () => go(span); dd.append(b) } else dd.textContent = value
      if (note) dd.append(h("small", "", note))
      const div = h("div")
      div.append(h("dt", "", label), dd)
      dl.append(div)
    }
    return dl
  },

  code: ({ title, text, more, json }) => codeBox(title, text, more, json),

  pair: ({ left, right }) => {
    const div = h("div", "pair")
    for (const side of [left, right]) div.append(codeBox(side.title, side.text, side.more, side.json))
    return div
  },

  chat: ({ messages }) => {
    const ol = h("ol", "chat")
    for (const message of messages) ol.append(messageOf(message))
    return ol
  },

  sum: ({ rows, total, note }) => {
    const table = h("table", "sum"), cell = (row, text, cls) => row.append(h("td", cls, text))
    const head = h("tr")
    for (const [text, cls] of [["Token class", ""], ["Tokens", "num"], ["Price each million", "num"], ["Cost", "num"]]) { const th = h("th", cls, text); th.scope = "col"; head.append(th) }
    table.append(head)
    for (const [label, tokens, price, cost, part] of rows) {
      const tr = h("tr", part ? "part" : "")
      cell(tr, label, "")
      cell(tr, tokens, "num")
      cell(tr, price, "num")
      cell(tr, cost, "num")
      table.append(tr)
    }
    const tr = h("tr", "total")
    for (const [k, text] of total.entries()) cell(tr, text, k ? "num" : "")
    table.append(tr)
    const div = h("div")
    div.append(table)
    if (note) div.append(h("p", "quiet", note))
    return div
  },

  table: ({ title, columns, rows, filter, more }) => {
    const div = h("div", "listing"), top = h("div", "listtop"), table = h("table", "plain-table"), body = h("tbody")
    top.append(h("h3", "", title), h("span", "quiet", grouped(rows.length)))
    const head = h("tr")
    for (const column of columns) { const th = h("th", "", column); th.scope = "col"; head.append(th) }
    table.append(head, body)
    const fill = (query) => {
      const found = rows.filter((row) => !query || row.some((text) => text.toLowerCase().includes(query)))
      body.replaceChildren(...found.map((row) => { const tr = h("tr"); row.forEach((text, k) => tr.append(h("td", k ? "" : "key", text))); return tr }))
    }
    fill("")
    if (filter && rows.length > 8) {
      const input = h("input")
      input.placeholder = "Filter"
      input.setAttribute("aria-label", "Filter " + title)
      input.oninput = () => fill(input.value.toLowerCase())
      top.append(h("span", "gap"), input)
    }
    div.append(top, table)
    if (more) div.append(h("p", "quiet", more))
    return div
  },

  download: ({ text, href }) => {
    const a = h("a", "download", text)
    a.href = href
    a.setAttribute("download", "")
    return a
  },
}

function messageOf({ role, who, parts }) {
  const li = h("li", "message " + role)
  li.append(h("div", "who", who))
  for (const part of parts) {
    if (part.kind === "text") li.append(clipped(h("div", "words", part.text), part.more))
    else if (part.kind === "note") li.append(h("div", "quiet", part.text))
    else {
      const call = h("div", "call"), head = h("div", "callhead"), shape = h("span", "shape")
      shape.dataset.layer = "tool"
      shape.append(icon(layerPath("tool")))
      head.append(shape, h("span", "", part.title), h("span", "quiet", part.id))
      call.append(head)
      if (part.text) call.append(clipped(pre(part.text, part.json), part.more))
      li.append(call)
    }
  }
  return li
}

function codeBox(title, text, more, json) {
  const div = h("div", "codebox"), top = h("div", "codetop")
  top.append(h("h3", "", title), h("span", "gap"))
  const copy = h("button", "copy", "Copy")
  copy.type = "button"
  copy.onclick = () => navigator.clipboard?.writeText(text).then(() => { copy.textContent = "Copied" })
  if (text) top.append(copy)
  div.append(top, text ? clipped(pre(text, json), more) : h("p", "quiet", "Not recorded"))
  return div
}

// Long text shows its beginning until it is asked for.
function clipped(el, more) {
  const div = h("div"), lines = el.textContent.split("\n").length + el.textContent.length / 160
  div.append(el)
  if (lines > CLIP_LINES) {
    el.classList.add("clip")
    const b = h("button", "link", "Show all")
    b.type = "button"
    b.onclick = () => { const short = el.classList.toggle("clip"); b.textContent = short ? "Show all" : "Show less" }
    div.append(b)
  }
  if (more) div.append(h("p", "quiet", more))
  return div
}

const JSON_PARTS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g

function pre(text, json) {
  const el = h("pre")
  if (!json) { el.textContent = text; return el }
  let at = 0
  for (const m of text.matchAll(JSON_PARTS)) {
    if (m.index > at) el.append(text.slice(at, m.index))
    el.append(h("span", m[1] ? (m[2] ? "k" : "s") : "n", m[1] ?? m[0]))
    if (m[2]) el.append(m[2])
    at = m.index + m[0].length
  }
  el.append(text.slice(at))
  return el
}
