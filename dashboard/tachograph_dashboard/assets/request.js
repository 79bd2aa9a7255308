// One request for approval: what an agent wants to do, why, what is known of its run, what was said so far.

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".request")
  const titles = h("div", "titles"), state = h("div", "verdict")
  titles.append(h("h1", "", data.action))
  state.append(h("span", "state " + data.tone, data.state))
  if (data.risk) state.append(h("span", "state " + data.risk_tone, data.risk + " risk"))
  if (data.run) state.append(runLink(data.run, setTriggerValue))
  const facts = h("dl")
  for (const { label, value, note } of data.facts) {
    const div = h("div"), dd = h("dd", "", value)
    if (note) dd.append(h("small", "", note))
    div.append(h("dt", "", label), dd)
    facts.append(div)
  }
  box.replaceChildren(titles, state, facts)
  if (data.reason) box.append(h("p", "why", data.reason))
  for (const said of data.decisions) box.append(decision(said))
}

function runLink(run, setTriggerValue) {
  const link = h("a", "", "The whole run")
  link.href = "/run?" + new URLSearchParams({ id: run })
  link.onclick = (e) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey) return
    e.preventDefault()
    setTriggerValue("run", true)
  }
  return link
}

function decision({ who, what, when, reason }) {
  const line = h("p", "said")
  line.append(h("strong", "", who), h("span", "", ` ${what} `), h("small", "", when))
  if (reason) line.append(h("span", "reason", reason))
  return line
}
