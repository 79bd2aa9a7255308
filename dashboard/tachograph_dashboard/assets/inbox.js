// The requests for approval: what, who asks, how long it has waited. One of them is chosen.

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".inbox")
  const focused = box.getRootNode().activeElement?.dataset?.id
  box.setAttribute("role", "list")
  box.replaceChildren(...data.rows.map((row) => card(row, data.selected, setTriggerValue)))
  if (focused) [...box.querySelectorAll("button")].find((b) => b.dataset.id === focused)?.focus()
}

function card(row, selected, setTriggerValue) {
  const item = h("div", "item"), b = h("button", "card")
  item.setAttribute("role", "listitem")
  b.type = "button"
  b.dataset.id = row.id
  if (row.id === selected) b.setAttribute("aria-current", "true")
  b.onclick = () => setTriggerValue("open", row.id)
  const top = h("span", "top")
  top.append(h("span", "action", row.action))
  if (row.risk) top.append(pill(row.risk_tone, row.risk))
  const under = h("span", "under")
  if (row.state) under.append(h("span", "state " + row.tone, row.state))
  under.append(h("span", "when", row.when))
  if (row.notes) under.append(h("span", "notes", row.notes))
  b.append(top, under)
  item.append(b)
  return item
}
