// The spans of a run as typed columns, and what is derived from them. No page needed: tested with node.

const OPEN = 1, ERROR = 2, WARN = 4, BAD = 8
const FOLD_FROM = 4
// Layers whose members differ even when their names do not: folding them would hide the run's structure.
const NEVER_FOLDED = new Set(["run", "agent", "step", "repair"])

// The wire format of columns.py.
function decodeColumns(buffer) {
  const length = new DataView(buffer).getUint32(0, true)
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)))
  const n = head.n
  let at = 4 + length
  const take = (Type, count = n) => {
    const column = new Type(buffer, at, count)
    at += column.byteLength
    return column
  }
  return {
    n, names: head.names, odd: head.odd,
    start: take(Float64Array), duration: take(Float64Array), ids: take(Uint8Array, 8 * n),
    tokens: take(Float64Array), cost: take(Float64Array),
    parent: take(Int32Array), name: take(Uint32Array), layer: take(Uint8Array), flags: take(Uint8Array),
  }
}

class SpanTree {
  constructor(columns) {
    const { n } = columns
    const room = n + (n >> 2) + 1
    const roomy = (Type, source) => { const a = new Type(room); a.set(source); return a }
    Object.assign(this, columns)
    this.start = roomy(Float64Array, columns.start)
    this.duration = roomy(Float64Array, columns.duration)
    this.parent = roomy(Int32Array, columns.parent)
    this.name = roomy(Uint32Array, columns.name)
    this.layer = roomy(Uint8Array, columns.layer)
    this.flags = roomy(Uint8Array, columns.flags)
    this.recorded = columns.duration
    this.first = new Int32Array(room).fill(-1)
    this.next = new Int32Array(room).fill(-1)
    this.members = new Int32Array(room)
    this.total = n // spans and the folded rows made for them
    this.link()
    this.foldAll()
    this.walk()
    this.grow(0)
  }

  // First child and next sibling; the columns come in order of start.
  link() {
    this.root = -1
    for (let i = this.n - 1; i >= 0; i--) {
      const p = this.parent[i]
      if (p < 0) { this.next[i] = this.root; this.root = i }
      else { this.next[i] = this.first[p]; this.first[p] = i }
    }
  }

  foldAll() {
    const never = LAYERS.map((layer) => NEVER_FOLDED.has(layer))
    this.root = this.foldSiblings(this.root, -1, never)
    for (let i = 0; i < this.n; i++) if (this.first[i] >= 0) this.first[i] = this.foldSiblings(this.first[i], i, never)
  }

  // Replace every run of alike siblings by one row that holds them; the new head of the list.
  foldSiblings(head, parent, never) {
    const { next, name, layer } = this
    let before = -1
    for (let i = head; i >= 0; ) {
      let last = i, count = 1
      if (!never[layer[i]]) {
        while (next[last] >= 0 && name[next[last]] === name[i] && layer[next[last]] === layer[i]) { last = next[last]; count++ }
      }
      const after = next[last]
      let stands = last
      if (count >= FOLD_FROM) {
        stands = this.makeFold(i, last, parent, count)
        if (before < 0) head = stands
        else next[before] = stands
        next[stands] = after
      }
      before = stands
      i = after
    }
    return head
  }

  makeFold(from, last, parent, count) {
    const g = this.total++
    this.start[g] = this.start[from]
    this.parent[g] = parent
    this.name[g] = this.name[from]
    this.layer[g] = this.layer[from]
    this.members[g] = count
    this.first[g] = from
    this.next[last] = -1
    for (let i = from; i >= 0; i = this.next[i]) {
      this.parent[i] = g
      this.flags[g] |= this.flags[i]
    }
    return g
  }

  // Reading order, depth and size of every row. Own stack: traces may be deeper than the script's.
  walk() {
    const { first, next, total } = this
    this.order = new Int32Array(total)
    this.rank = new Int32Array(total)
    this.depth = new Uint16Array(total)
    this.size = new Int32Array(total)
    let k = 0, i = this.root, d = 0
    const way = []
    while (i >= 0 || way.length) {
      if (i < 0) { i = next[way.pop()]; d--; continue }
      this.rank[i] = k
      this.order[k++] = i
      this.depth[i] = d
      this.size[i] = i < this.n ? 1 : 0
      if (first[i] >= 0) { way.push(i); d = Math.min(d + 1, 65535); i = first[i] } else i = next[i]
    }
    this.order = this.order.subarray(0, k)
    for (let j = k - 1; j >= 0; j--) {
      const p = this.parent[this.order[j]]
      if (p >= 0) this.size[p] += this.size[this.order[j]]
    }
  }

  // Let the open spans last until `now` (ms from the run's start), folded rows cover their members.
  grow(now) {
    const { n, total, start, duration, flags } = this
    let end = 0
    for (let i = 0; i < n; i++) {
      if (flags[i] & OPEN) duration[i] = Math.max(this.recorded[i], now - start[i])
      const e = start[i] + duration[i]
      if (e > end) end = e
    }
    for (let g = n; g < total; g++) {
      let e = 0
      for (let i = this.first[g]; i >= 0; i = this.next[i]) e = Math.max(e, start[i] + duration[i])
      duration[g] = e - start[g]
    }
    this.end = Math.max(end, 0.001)
  }

  idOf(i) {
    if (this.odd[i] !== undefined) return this.odd[i]
    let text = ""
    for (let k = 8 * i; k < 8 * i + 8; k++) text += this.ids[k].toString(16).padStart(2, "0")
    return text
  }

  // What survives when newer columns replace these: a span by its id, a folded row by its first member.
  keyOf(i) { return i < this.n ? this.idOf(i) : "+" + this.idOf(this.first[i]) }

  indexOf(key) {
    if (!this.byKey) {
      this.byKey = new Map()
      for (let i = 0; i < this.total; i++) this.byKey.set(this.keyOf(i), i)
    }
    return this.byKey.get(key) ?? -1
  }

  // Time of a row in which none of its children ran.
  own(i) {
    let covered = 0, until = -Infinity
    for (let c = this.first[i]; c >= 0; c = this.next[c]) {
      const from = Math.max(this.start[c], until), to = this.start[c] + this.duration[c]
      if (to > from) { covered += to - from; until = to }
    }
    return Math.max(0, this.duration[i] - covered)
  }

  // The rows that decided when the run ended: from the end backwards, always the child that ended last.
  critical() {
    const on = new Uint8Array(this.total), todo = this.root >= 0 ? [this.root] : []
    const endOf = (i) => this.start[i] + this.duration[i]
    while (todo.length) {
      const i = todo.pop()
      on[i] = 1
      const kids = []
      for (let c = this.first[i]; c >= 0; c = this.next[c]) kids.push(c)
      kids.sort((a, b) => endOf(b) - endOf(a))
      let until = Infinity
      for (const c of kids) if (endOf(c) <= until) { todo.push(c); until = this.start[c] }
    }
    return on
  }
}
