// The strip of figures above the list: a word, a number, what it leaves out, and its course.

const SPARK_W = 200, SPARK_H = 28
// One or two marks show no course and look like a fault.
const LEAST_POINTS = 3

export default function ({ parentElement, data }) {
  const box = parentElement.querySelector(".kpis")
  // As many in a row at most, so that the last row is as full as the first.
  const most = data.most || data.cards.length
  box.style.setProperty("--most", most)
  // A single row stays one in a narrow window; of several, one card alone in the last would be worse.
  box.style.setProperty("--least", most > 5 ? "170px" : "132px")
  box.replaceChildren(...data.cards.map(card))
}

function card({ label, value, note, tone, help, course, kind }) {
  const el = h("div", "card " + (tone || "plain"))
  const top = h("div", "label", label)
  if (help) top.title = help
  el.append(top, h("div", "value", value), h("div", "note", note || "\u00a0"))
  const points = course.filter((x) => (kind === "bars" ? x : x !== null)).length
  if (points >= LEAST_POINTS && course.some((x) => x)) el.append(spark(course, kind))
  return el
}

function spark(course, kind) {
  const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg")
  svg.setAttribute("viewBox", `0 0 ${SPARK_W} ${SPARK_H}`)
  svg.setAttribute("preserveAspectRatio", "none")
  svg.setAttribute("class", "spark")
  svg.setAttribute("aria-hidden", "true")
  const most = Math.max(...course.map((x) => x ?? 0)), step = SPARK_W / course.length
  const y = (x) => SPARK_H - 1 - (x / most) * (SPARK_H - 3)
  const add = (name, values) => {
    const e = document.createElementNS(ns, name)
    for (const [key, value] of Object.entries(values)) e.setAttribute(key, value)
    svg.append(e)
  }
  if (kind === "bars") {
    course.forEach((x, i) => x && add("rect", { x: i * step + step * 0.18, width: step * 0.64, y: y(x), height: SPARK_H - y(x), rx: 1 }))
    return svg
  }
  // A slice without a value is a gap, not a zero.
  let path = "", pen = "M"
  course.forEach((x, i) => {
    if (x === null) { pen = "M"; return }
    const at = (i + 0.5) * step
    path += `${pen}${at.toFixed(1)} ${y(x).toFixed(1)}`
    if (pen === "M") path += `L${(at + 0.01).toFixed(2)} ${y(x).toFixed(1)}`
    pen = "L"
  })
  add("path", { d: path, class: "line", "vector-effect": "non-scaling-stroke" })
  return svg
}
