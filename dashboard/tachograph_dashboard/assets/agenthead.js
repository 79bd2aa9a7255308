// The head of one agent: its name, what else is known of it, the facts.

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".agenthead"), titles = h("div", "titles")
  const back = backLink("All agents", data.back.page, data.back.query, setTriggerValue)
  titles.append(h("h1", "", data.title))
  for (const { label, link } of data.links) titles.append(leadTo(h("a", "button", label), link.page, link.query, setTriggerValue))
  box.replaceChildren(back, titles, factList(data.facts, setTriggerValue))
}
