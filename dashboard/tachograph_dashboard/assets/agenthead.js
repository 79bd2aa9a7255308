// The head of one agent: its name, what is to be said first, the facts.

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".agenthead")
  const back = h("a", "back", "All agents"), title = h("div", "titles"), runs = h("a", "runs", "Its runs")
  back.href = "/agents"
  back.prepend(icon("M9.8 2.6 11.2 4 7.2 8l4 4-1.4 1.4L4.4 8Z"))
  runs.href = "/?" + new URLSearchParams({ agent: data.agent })
  for (const [link, where] of [[back, "all"], [runs, "runs"]]) link.onclick = (e) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey) return
    e.preventDefault()
    setTriggerValue("go", where)
  }
  title.append(h("h1", "", data.title), runs)
  const facts = h("dl")
  for (const { label, value, note } of data.facts) {
    const div = h("div"), dd = h("dd", "", value)
    if (note) dd.append(h("small", "", note))
    div.append(h("dt", "", label), dd)
    facts.append(div)
  }
  box.replaceChildren(back, title, facts)
}
