// Shared by every component; put in front of each by components.py, together with the constants LAYERS,
// LAYER_PATHS, LAYER_WORDS, OUTCOMES. Text reaches the page through textContent alone: everything that was
// recorded may be hostile.

function h(tag, cls, text) {
  const e = document.createElement(tag)
  if (cls) e.className = cls
  if (text !== undefined && text !== null) e.textContent = text
  return e
}

function icon(path, cls = "ic") {
  const ns = "http://www.w3.org/2000/svg"
  const svg = document.createElementNS(ns, "svg")
  svg.setAttribute("viewBox", "0 0 16 16")
  svg.setAttribute("class", cls)
  svg.setAttribute("aria-hidden", "true")
  const p = document.createElementNS(ns, "path")
  p.setAttribute("d", path)
  p.setAttribute("fill", "currentColor")
  p.setAttribute("fill-rule", "evenodd")
  svg.append(p)
  return svg
}

const layerPath = (layer) => LAYER_PATHS[layer] ?? LAYER_PATHS.other

// The theme lists the layers' colours in their order.
function palette(el) {
  const raw = getComputedStyle(el).getPropertyValue("--st-chart-categorical-colors").trim()
  const all = raw ? raw.split(",").map((s) => s.trim()) : ["gray"]
  return LAYERS.map((_, i) => all[i % all.length])
}

function paintLayers(root) {
  const colours = palette(root)
  for (const e of root.querySelectorAll("[data-layer]")) {
    const i = LAYERS.indexOf(e.dataset.layer)
    e.style.setProperty("--c", colours[i < 0 ? LAYERS.length - 1 : i])
  }
}

// Milliseconds in words; the same as words.duration.
function duration(ms) {
  if (ms <= 0) return "0 ms"
  if (ms < 1) return Math.max(0.1, Math.min(ms, 0.9)).toFixed(1) + " ms"
  if (ms < 999.5) return ms.toFixed(0) + " ms"
  if (ms < 59950) return (ms / 1000).toFixed(1) + " s"
  const two = (n) => String(n).padStart(2, "0")
  const s = Math.round(ms / 1000)
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`
  const m = Math.round(s / 60)
  if (m < 2880) return `${Math.floor(m / 60)} h ${two(m % 60)} min`
  const hours = Math.round(m / 60)
  return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`
}

const grouped = (n) => Math.round(n).toLocaleString("en-US")

// Story, header and tree point at a span of a run without a trip to the server. preventDefault() is the
// answer "heard".
const askFor = (run, span) =>
  !window.dispatchEvent(new CustomEvent("tacho:select", { cancelable: true, detail: { run, span } }))
const tellChosen = (run, span) =>
  window.dispatchEvent(new CustomEvent("tacho:selected", { detail: { run, span } }))

const BACK_PATH = "M9.8 2.6 11.2 4 7.2 8l4 4-1.4 1.4L4.4 8Z"

// A link within the application costs no reload; a new tab is still a new tab. It is told as `go`.
function leadTo(link, page, query, setTriggerValue) {
  const address = new URLSearchParams(query).toString()
  link.href = "/" + page + (address ? "?" + address : "")
  link.onclick = (e) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey || e.button) return
    e.preventDefault()
    setTriggerValue("go", { page, query })
  }
  return link
}

function backLink(label, page, query, setTriggerValue) {
  const back = leadTo(h("a", "back", label), page, query, setTriggerValue)
  back.prepend(icon(BACK_PATH))
  return back
}

// Facts as a row of words over values; one that names something with a page of its own leads there.
function factList(facts, setTriggerValue) {
  const list = h("dl")
  for (const { label, value, note, tone, link } of facts) {
    const div = h("div"), dd = h("dd", tone || "")
    dd.append(link ? leadTo(h("a", "", value), link.page, link.query, setTriggerValue) : value)
    if (note) dd.append(h("small", "", note))
    div.append(h("dt", "", label), dd)
    list.append(div)
  }
  return list
}

const pill = (tone, word) => h("span", "pill " + tone, word)
