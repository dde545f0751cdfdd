/** Where documents of a request come from, by their index in it: what a refusal by index is about. */
export class Places {
  readonly #runs: Run[] = []
  #count = 0

  /** Documents so far, blank lines included. */
  get count(): number {
    return this.#count
  }

  /** One document that is all of `path`. */
  add(path: string): void {
    this.#runs.push({ from: this.#count++, path, unit: undefined, first: 0 })
  }

  /** The documents that follow are lines or rows of `path`, beginning with the one of this number. */
  begin(path: string, unit: 'line' | 'row', first: number): void {
    const last = this.#runs.at(-1)
    if (last !== undefined && last.path === path && last.unit === unit) {
      // It goes on where it is.
      if (last.first + this.#count - last.from === first) return
    }
    this.#runs.push({ from: this.#count, path, unit, first })
  }

  advance(count: number): void {
    this.#count += count
  }

  /** `docs/a.md`, `notes.ndjson:17`, `faq.csv row 3`; undefined beyond what was sent. */
  nameOf(index: number): string | undefined {
    const run = this.#runs[this.#runAt(index)]
    if (run === undefined || index >= this.#count) return undefined
    const number = run.first + index - run.from
    if (run.unit === undefined) return run.path
    return run.unit === 'line' ? `${run.path}:${number}` : `${run.path} row ${number}`
  }

  /** The last run that begins at the index or before; -1: none. */
  #runAt(index: number): number {
    let low = 0
    let high = this.#runs.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#runs[middle]?.from ?? 0) <= index) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

interface Run {
  readonly from: number
  readonly path: string
  readonly unit: 'line' | 'row' | undefined
  readonly first: number
}
