// The head of a run: what it was for, how it ended, the facts, and what the record itself lacks.

// An eye: something to look at, not a fault of the record.
const SIGN_PATH = "M8 3C4.5 3 2 5.6 1 8c1 2.4 3.5 5 7 5s6-2.6 7-5c-1-2.4-3.5-5-7-5Zm0 2.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6Zm0 1.4a1.4 1.4 0 1 0 0 2.8 1.4 1.4 0 0 0 0-2.8Z"

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".header"), outcome = OUTCOMES[data.outcome]
  const title = h("div", "titles"), state = h("span", "pill state " + outcome.tone)
  state.append(icon(outcome.path, data.outcome === "running" ? "ic turn" : "ic"), h("span", "", outcome.word))
  const download = h("a", "button", "Download")
  download.href = data.download
  download.title = "The run, whole, as JSON"
  download.setAttribute("download", "")
  download.prepend(icon("M7 1.5h2v7l2.3-2.3 1.4 1.4L8 12.3 3.3 7.6l1.4-1.4L7 8.5ZM2 13h12v1.8H2Z"))
  const compare = leadTo(h("a", "button", "Compare"), "compare", { a: data.run }, setTriggerValue), buttons = h("div", "buttons")
  compare.title = "Beside another run, step by step"
  compare.prepend(icon("M2 2h5v12H2ZM3.500 3.500v9h2v-9ZM9 2h5v12H9ZM10.500 3.500v9h2v-9Z"))
  buttons.append(compare, download)
  title.append(h("h1", "", data.title), buttons)
  const verdict = h("div", "verdict")
  verdict.append(state, h("span", data.tone, data.verdict))
  const facts = factList(data.facts, setTriggerValue)
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
  const back = backLink("All runs", "", {}, setTriggerValue)
  box.replaceChildren(back, title, verdict, facts, ...signs, ...warnings)
}
