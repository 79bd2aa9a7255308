// The run as a person would tell it, each sentence tied to the span that proves it; or the eight questions.

const TOLD = new WeakMap()

export default function (component) {
  const host = component.parentElement
  if (!TOLD.has(host)) TOLD.set(host, new Telling(host))
  const telling = TOLD.get(host)
  telling.update(component)
  return () => { telling.destroy(); TOLD.delete(host) }
}

class Telling {
  constructor(host) {
    this.el = host.querySelector(".account")
    this.onChosen = (e) => { if (e.detail?.run === this.run) this.mark(e.detail.span) }
    window.addEventListener("tacho:selected", this.onChosen)
  }

  destroy() { window.removeEventListener("tacho:selected", this.onChosen) }

  update({ data, setTriggerValue }) {
    this.run = data.run
    this.ask = (span) => { if (!askFor(this.run, span)) setTriggerValue("span", span) }
    this.el.style.maxHeight = data.height + "px"
    const stamp = JSON.stringify(data)
    if (stamp !== this.stamp) {
      this.stamp = stamp
      const at = this.el.scrollTop
      const heard = this.chosen ?? data.selected
      this.el.replaceChildren(...(data.story ? [this.list(data.story, "story")] : data.sections.map((s) => this.section(s))))
      if (data.more) this.el.append(h("p", "more", data.more))
      this.el.scrollTop = at
      this.mark(heard)
    }
    paintLayers(this.el)
  }

  mark(span) {
    this.chosen = span
    for (const b of this.el.querySelectorAll("button")) b.toggleAttribute("aria-current", b.dataset.span === span)
  }

  section({ question, link, lines }) {
    const box = h("section"), head = h("h3", "", question)
    if (link) {
      const other = h("a", "", link.text)
      other.href = "/run?id=" + encodeURIComponent(link.run)
      head.append(h("span", "", ": "), other)
    }
    box.append(head, this.list(lines, "answer"))
    return box
  }

  list(lines, kind) {
    const ol = h(kind === "story" ? "ol" : "ul", kind)
    for (const line of lines) ol.append(this.line(line, kind))
    return ol
  }

  line({ text, detail, layer, tone, span, at, took, count }, kind) {
    const li = h("li", tone), row = h(span ? "button" : "div", "line")
    if (span) {
      row.type = "button"
      row.dataset.span = span
      row.onclick = () => { this.mark(span); this.ask(span) }
      row.onkeydown = (e) => this.onKey(e, row)
    }
    const dot = h("span", "dot")
    dot.dataset.layer = layer
    dot.append(icon(layerPath(layer)))
    const body = h("span", "body"), top = h("span", "head")
    top.append(h("span", "text", text))
    if (count > 1) top.append(h("span", "times", "×" + grouped(count)))
    body.append(top)
    if (detail) body.append(h("span", "detail", detail))
    row.append(dot, body)
    if (at) {
      const when = h("span", "when")
      when.append(h("span", "at", at), h("span", "took", took))
      row.append(when)
    }
    li.append(row)
    return li
  }

  onKey(e, row) {
    const step = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0
    if (!step) return
    e.preventDefault()
    const all = [...this.el.querySelectorAll("button")]
    all[all.indexOf(row) + step]?.focus()
  }
}
