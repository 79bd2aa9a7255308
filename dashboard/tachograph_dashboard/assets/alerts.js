// A list of the page of alerts: what fires, what fired, rules, targets. A row says its state in a word, and may have buttons.

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".alerts")
  const root = box.getRootNode(), focused = root.activeElement?.dataset?.key
  box.setAttribute("role", "list")
  box.replaceChildren(...data.rows.map((row) => item(row, setTriggerValue)))
  if (data.more) box.append(more(data.more))
  if (focused) [...box.querySelectorAll("button")].find((b) => b.dataset.key === focused)?.focus()
}

function more(text) {
  const el = h("div", "more", text)
  el.setAttribute("role", "listitem")
  return el
}

function item(row, setTriggerValue) {
  const act = (name) => setTriggerValue("act", { id: row.id, name })
  const el = h("div", `row ${row.tone}${row.quiet ? " quiet" : ""}${row.opens ? " opens" : ""}`)
  el.setAttribute("role", "listitem")
  const what = h("div", "what"), title = h(row.opens ? "button" : "div", "title", row.title)
  if (row.of) title.append(h("span", "of", row.of))
  if (row.opens) {
    title.type = "button"
    title.dataset.key = row.id + " open"
    el.onclick = (e) => { if (!e.target.closest(".act") && !window.getSelection()?.toString()) act("open") }
  }
  what.append(title)
  if (row.line) what.append(h("div", "line", row.line))
  const meta = h("div", "meta")
  for (const [text, strong] of row.meta) meta.append(h("span", strong ? "strong" : "", text))
  if (row.meta.length) what.append(meta)
  const acts = h("div", "acts")
  for (const [name, label] of row.acts) {
    const b = h("button", "button act", label)
    b.type = "button"
    b.dataset.key = `${row.id} ${name}`
    b.setAttribute("aria-label", `${label}: ${row.title}`)
    b.onclick = () => act(name)
    acts.append(b)
  }
  el.append(pill(row.tone + " state", row.state), what, acts)
  return el
}
