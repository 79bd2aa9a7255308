// A table of figures: names at the left, numbers at the right, a thin bar where a number is a share.

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".sheet"), table = h("table")
  const head = h("thead"), row = h("tr")
  for (const { label, number, help, rank } of data.columns) {
    const th = h("th", (number ? "num" : "name") + " rank" + rank, label)
    th.scope = "col"
    if (help) th.title = help
    row.append(th)
  }
  head.append(row)
  const body = h("tbody")
  for (const each of data.rows) body.append(line(each, data.columns, setTriggerValue))
  table.append(head, body)
  table.setAttribute("aria-label", data.label)
  box.replaceChildren(table)
  if (data.more) box.append(h("div", "more", data.more))
}

function line({ open, href, cells, chosen }, columns, setTriggerValue) {
  const row = h("tr", (open ? "leads" : "") + (chosen ? " chosen" : ""))
  if (chosen) row.setAttribute("aria-current", "true")
  cells.forEach((cell, k) => {
    const td = h("td", (columns[k].number ? "num" : "name") + " rank" + columns[k].rank)
    const value = h(k === 0 && open ? "a" : "span", cell.tone || "", cell.text)
    if (value.tagName === "A") value.href = href
    td.append(value)
    if (cell.note) td.append(h("small", "", cell.note))
    if (cell.share !== undefined) td.append(columns[k].number ? bar(cell) : part(cell))
    td.title = cell.title || (k === 0 ? cell.text : "")
    row.append(td)
  })
  if (open) row.onclick = (e) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey || e.button || window.getSelection()?.toString()) return
    e.preventDefault()
    setTriggerValue("open", open)
  }
  return row
}

function bar({ share, tone }) {
  const track = h("span", "bar " + (tone || "plain")), fill = h("span")
  fill.style.width = Math.round(100 * share) + "%"
  track.append(fill)
  track.setAttribute("aria-hidden", "true")
  return track
}

// Behind a name: its part of the largest.
function part({ share }) {
  const el = h("span", "part")
  el.style.width = `${share * 100}%`
  el.setAttribute("aria-hidden", "true")
  return el
}
