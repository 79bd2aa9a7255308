// Budgets as cards: what is limited, how much of it is used, held and left, and where it is heading. A click edits.

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".budgets")
  box.setAttribute("role", "list")
  box.replaceChildren(...data.budgets.map((b) => card(b, setTriggerValue)))
}

function card(budget, setTriggerValue) {
  const item = h("div", "item " + budget.tone), b = h("button", "card")
  item.setAttribute("role", "listitem")
  b.type = "button"
  b.onclick = () => setTriggerValue("open", budget.name)
  const top = h("span", "top")
  top.append(h("span", "name", budget.name), pill(budget.tone, budget.state))
  b.append(top, h("span", "says", budget.says))
  for (const account of budget.accounts) b.append(bar(account))
  if (budget.note) b.append(h("span", "note", budget.note))
  item.append(b)
  return item
}

function bar({ name, used, held, forecast, text, ahead, tone }) {
  const el = h("span", "account " + tone)
  const words = h("span", "words")
  words.append(h("span", "who", name), h("span", "much", text))
  const track = h("span", "track")
  const add = (cls, from, share) => {
    const part = h("span", cls)
    part.style.left = `${from * 100}%`
    part.style.width = `${share * 100}%`
    track.append(part)
  }
  add("used", 0, used)
  add("held", used, held)
  if (forecast !== null) {
    const mark = h("span", "mark")
    mark.style.left = `calc(${Math.min(forecast, 1) * 100}% - 1px)`
    track.append(mark)
  }
  el.append(words, track)
  if (ahead) el.append(h("span", "ahead", ahead))
  return el
}
