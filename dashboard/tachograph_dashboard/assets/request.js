// One request for approval: what an agent wants to do, why, what is known of its run, what was said so far.

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".request")
  const titles = h("div", "titles"), state = h("div", "verdict")
  titles.append(h("h1", "", data.action))
  state.append(pill(data.tone, data.state))
  if (data.risk) state.append(pill(data.risk_tone, data.risk + " risk"))
  if (data.run) state.append(leadTo(h("a", "", "The whole run"), "run", { id: data.run }, setTriggerValue))
  box.replaceChildren(titles, state, factList(data.facts, setTriggerValue))
  if (data.reason) box.append(h("p", "why", data.reason))
  for (const said of data.decisions) box.append(decision(said))
}

function decision({ who, what, when, reason }) {
  const line = h("p", "said")
  line.append(h("strong", "", who), h("span", "", ` ${what} `), h("small", "", when))
  if (reason) line.append(h("span", "reason", reason))
  return line
}
