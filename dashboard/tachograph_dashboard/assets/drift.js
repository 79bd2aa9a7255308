// An alarm, or how an agent is watched: what, how large, since when; charts with the baseline's band; runs to look at.

const NS = "http://www.w3.org/2000/svg"
const CHART_W = 600, PAD = 6

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".drift")
  box.replaceChildren(head(data, setTriggerValue))
  for (const sentence of data.says) box.append(h("p", "says", sentence))
  const charts = h("div", data.charts.length > 1 ? "charts many" : "charts")
  charts.append(...data.charts.map((each) => chart(each, data.charts.length > 1 ? 70 : 140)))
  box.append(charts)
  const parts = h("div", "parts")
  for (const { label, runs } of data.examples)
    if (runs.length) parts.append(section(label, links(runs, setTriggerValue)))
  if (data.where.length) parts.append(section(data.where_label ?? "Where", where(data.where)))
  if (data.checked.length) parts.append(section("What else was looked at", list(data.checked)))
  box.append(parts)
}

function head({ title, state, facts }, setTriggerValue) {
  const el = h("div", "head"), verdict = h("div", "verdict")
  verdict.append(...state.map((each) => pill(each.tone, each.word)))
  el.append(h("h1", "", title), verdict, factList(facts, setTriggerValue))
  return el
}

function section(title, content) {
  const el = h("section")
  el.append(h("h2", "", title), content)
  return el
}

function list(sentences) {
  const ul = h("ul")
  ul.append(...sentences.map((each) => h("li", "", each)))
  return ul
}

function where(rows) {
  const table = h("table"), body = h("tbody")
  for (const row of rows) {
    const tr = h("tr")
    tr.append(h("th", "", row.name), h("td", "num", row.size), h("td", "mute", row.runs))
    body.append(tr)
  }
  table.append(body)
  return table
}

function links(runs, setTriggerValue) {
  const el = h("div", "links")
  for (const { id, label, value } of runs) {
    const a = h("a")
    a.append(h("b", "", value), h("span", "", label))
    el.append(leadTo(a, "run", { id }, setTriggerValue))
  }
  return el
}

function chart(each, height) {
  const el = h("figure", each.tone), caption = h("figcaption")
  caption.append(h("span", "name", each.title), h("span", "gap"), h("span", "now", each.now))
  el.append(caption)
  el.append(plot(each, height))
  const axis = h("div", "axis")
  axis.append(h("span", "", each.from), h("span", "gap"), h("span", "note", each.note), h("span", "gap"), h("span", "", each.until))
  el.append(axis)
  if (each.suspicion > 0) {
    const meter = h("div", "meter")
    meter.title = "How far the evidence is on its way to an alarm"
    const bar = h("i")
    bar.style.width = Math.round(each.suspicion * 100) + "%"
    meter.append(bar)
    el.append(meter)
  }
  return el
}

function plot({ slices, low, usual, high, began, describe }, height) {
  const svg = document.createElementNS(NS, "svg")
  svg.setAttribute("viewBox", `0 0 ${CHART_W} ${height}`)
  svg.setAttribute("preserveAspectRatio", "none")
  svg.setAttribute("role", "img")
  svg.setAttribute("aria-label", describe)
  svg.style.height = height + "px"
  const values = [low, high, ...slices], least = Math.min(...values), most = Math.max(...values)
  const span = most - least || 1, step = CHART_W / slices.length
  const x = (at) => (at + 0.5) * step
  const y = (value) => PAD + (1 - (value - least) / span) * (height - 2 * PAD)
  const add = (name, cls, values) => {
    const e = document.createElementNS(NS, name)
    e.setAttribute("class", cls)
    e.setAttribute("vector-effect", "non-scaling-stroke")
    for (const [key, value] of Object.entries(values)) e.setAttribute(key, value)
    svg.append(e)
  }
  const line = (from, to) => slices.slice(from, to).map((value, i) => `${i ? "L" : "M"}${x(from + i).toFixed(1)} ${y(value).toFixed(1)}`).join("")
  add("rect", "band", { x: 0, width: CHART_W, y: y(high), height: Math.max(1, y(low) - y(high)) })
  add("path", "usual", { d: `M0 ${y(usual)}H${CHART_W}` })
  const turn = began === null ? slices.length : Math.floor(began)
  if (began !== null) {
    add("rect", "since", { x: began * step, width: CHART_W - began * step, y: 0, height })
    add("path", "turn", { d: `M${began * step} 0V${height}` })
  }
  add("path", "line", { d: line(0, Math.min(slices.length, turn + 1)) })
  if (began !== null) add("path", "line after", { d: line(turn, slices.length) })
  return svg
}
