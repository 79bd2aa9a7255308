// How far the harness has come: a ladder of levels, each with its signs; what to add next; which layers are at work.

const SEEN = "M6.3 13 1.6 8.3l1.9-1.9 2.8 2.8 6.2-6.2 1.9 1.9Z"
const MISSING = "M3 7h10v2H3Z"

export default function ({ parentElement, data }) {
  const box = parentElement.querySelector(".maturity")
  box.replaceChildren(...(data.levels ? ladder(data) : [layers(data.layers)]))
  paintLayers(box)
}

function ladder(data) {
  const top = h("div", "top"), steps = h("div", "steps"), signs = h("div", "signs")
  top.append(h("h3", "", data.name), h("span", "of", data.basis))
  steps.setAttribute("role", "img")
  steps.setAttribute("aria-label", `Level ${data.level} of 5: ${data.name}`)
  for (const level of data.levels) {
    const step = h("div", level.reached ? "step reached" : "step")
    step.append(h("span", "rung"), h("span", "label", `${level.number} ${level.name}`))
    steps.append(step)
    if (level.signs.length) signs.append(group(level))
  }
  return data.next ? [top, steps, next(data.next), signs] : [top, steps, signs]
}

function next({ title, code }) {
  const card = h("div", "next"), pre = h("pre")
  // Narrow, it scrolls: keys must reach it too.
  pre.tabIndex = 0
  pre.append(h("code", "", code))
  card.append(h("div", "lead", "Add next"), h("div", "what", title), pre)
  return card
}

function group({ number, name, signs }) {
  const box = h("section")
  box.append(h("h4", "", `${number} ${name}`))
  const list = h("ul")
  for (const { title, seen, found, code } of signs) {
    const li = h("li", seen ? "seen" : "missing")
    const text = h("span", "sign")
    text.append(h("span", "title", title), h("small", "", seen ? found : "not seen"))
    li.append(icon(seen ? SEEN : MISSING), text)
    li.title = seen ? "" : code
    list.append(li)
  }
  box.append(list)
  return box
}

function layers(all) {
  const list = h("div", "chips")
  for (const { layer, word, count } of all) {
    const chip = h("span", count ? "chip" : "chip none")
    chip.dataset.layer = layer
    chip.append(icon(layerPath(layer)), h("span", "", word), h("b", "", count ? grouped(count) : "–"))
    list.append(chip)
  }
  return list
}
