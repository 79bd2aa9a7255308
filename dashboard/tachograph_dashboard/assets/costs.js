// What each agent, customer ... cost: a table with a bar of its share, the dearest first.

const COLUMNS = [["runs", "Runs"], ["cost", "Cost"], ["per_success", "A success"], ["failed", "On failures"], ["tokens", "Tokens"], ["cached", "From cache"]]

export default function ({ parentElement, data }) {
  const box = parentElement.querySelector(".costs"), table = h("table"), head = h("tr")
  head.append(h("th", "key", data.group))
  for (const [, label] of COLUMNS) head.append(h("th", "", label))
  const thead = h("thead"), body = h("tbody")
  thead.append(head)
  body.append(...data.rows.map(line))
  table.append(thead, body)
  box.replaceChildren(table)
  if (data.more) box.append(h("div", "more", data.more))
}

function line(row) {
  const tr = h("tr"), key = h("td", "key"), share = h("span", "share")
  share.style.width = `${row.share * 100}%`
  key.append(share, h("span", row.named ? "name" : "name unnamed", row.name))
  key.title = row.name
  tr.append(key)
  for (const [name] of COLUMNS) {
    const td = h("td", name, row[name])
    if (name === "cost" && row.note) { td.title = row.note; td.append(h("span", "mark", "+")) }
    tr.append(td)
  }
  return tr
}
