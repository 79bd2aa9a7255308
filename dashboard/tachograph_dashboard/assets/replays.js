// Replays and forks of a run: what was tried, and what came of it.

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".replays")
  box.setAttribute("role", "list")
  box.replaceChildren(...data.rows.map((row) => itemOf(row, setTriggerValue)))
}

function itemOf(row, trigger) {
  const item = h("div", "item " + row.tone), top = h("div", "top")
  item.setAttribute("role", "listitem")
  top.append(h("span", "dot"), h("span", "title", row.title), h("span", "when", row.when))
  item.append(top, h("div", "text", row.text))
  if (row.other || row.compare) {
    const links = h("div", "links")
    if (row.other) links.append(linkTo(row.open || "Open the other run", "/run", { id: row.other }, trigger))
    if (row.compare) links.append(linkTo("Compare", "/compare", { a: row.compare[0], b: row.compare[1] }, trigger))
    item.append(links)
  }
  return item
}

function linkTo(text, page, address, trigger) {
  const link = h("a", "", text)
  link.href = page + "?" + new URLSearchParams(address)
  link.onclick = (e) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey) return
    e.preventDefault()
    trigger("lead", { page, ...address })
  }
  return link
}
