// The head of a run: what it was for, how it ended, the facts, and what the record itself lacks.

// An eye: something to look at, not a fault of the record.
const SIGN_PATH = "M8 3C4.5 3 2 5.6 1 8c1 2.4 3.5 5 7 5s6-2.6 7-5c-1-2.4-3.5-5-7-5Zm0 2.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6Zm0 1.4a1.4 1.4 0 1 0 0 2.8 1.4 1.4 0 0 0 0-2.8Z"

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".header"), outcome = OUTCOMES[data.outcome]
  const title = h("div", "titles"), state = h("span", "state " + outcome.tone)
  state.append(icon(outcome.path, data.outcome === "running" ? "ic turn" : "ic"), h("span", "", outcome.word))
  const download = h("a", "download", "Download")
  download.href = data.download
  download.title = "The run, whole, as JSON"
  download.setAttribute("download", "")
  download.prepend(icon("M7 1.5h2v7l2.3-2.3 1.4 1.4L8 12.3 3.3 7.6l1.4-1.4L7 8.5ZM2 13h12v1.8H2Z"))
  const compare = h("a", "download", "Compare"), buttons = h("div", "buttons")
  compare.href = "/compare?" + new URLSearchParams({ a: data.run })
  compare.title = "Beside another run, step by step"
  compare.prepend(icon("M2 2h5v12H2ZM3.500 3.500v9h2v-9ZM9 2h5v12H9ZM10.500 3.500v9h2v-9Z"))
  leadTo(compare, { a: data.run }, setTriggerValue)
  buttons.append(compare, download)
  title.append(h("h1", "", data.title), buttons)
  const verdict = h("div", "verdict")
  verdict.append(state, h("span", data.tone, data.verdict))
  const facts = h("dl")
  for (const fact of data.facts) facts.append(factOf(fact, setTriggerValue))
  const warnings = data.warnings.map((text) => {
    const line = h("p", "caution")
    line.append(icon(OUTCOMES.interrupted.path), h("span", "", text))
    return line
  })
  // What is worth a look in the run itself: each leads to its step.
  const signs = data.signs.map(({ text, span }) => {
    const line = h("p", "caution"), step = h("button", "", text)
    step.type = "button"
    step.title = "Show the step"
    step.onclick = () => askFor(data.run, span)
    line.append(icon(SIGN_PATH), step)
    return line
  })
  const back = h("a", "back", "All runs")
  back.href = "/"
  back.prepend(icon("M9.8 2.6 11.2 4 7.2 8l4 4-1.4 1.4L4.4 8Z"))
  leadTo(back, {}, setTriggerValue)
  box.replaceChildren(back, title, verdict, facts, ...signs, ...warnings)
}

function factOf({ label, value, note, runs, tone }, setTriggerValue) {
  const div = h("div"), dd = h("dd", tone || "")
  if (runs) {
    const link = h("a", "", value)
    link.href = "/?" + new URLSearchParams(runs)
    leadTo(link, runs, setTriggerValue)
    dd.append(link)
  } else dd.textContent = value
  if (note) dd.append(h("small", "", note))
  div.append(h("dt", "", label), dd)
  return div
}

// A link to the list: within the app it costs no reload, and a new tab is still a new tab.
function leadTo(link, runs, setTriggerValue) {
  link.onclick = (e) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey) return
    e.preventDefault()
    setTriggerValue("runs", runs)
  }
}
