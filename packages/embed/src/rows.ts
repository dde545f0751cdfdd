import { type BatchLimits, nextPriority, type Priority, pickRange, type Waiting } from './batch.js'

/** A window of a text, on its way to the model. */
export interface Row<Text> extends Waiting {
  /** Smaller came earlier. */
  readonly arrival: number
  readonly text: Text
  /** Which window of the text it is, from 0. */
  readonly window: number
  /** Token ids, special ones included. */
  readonly ids: Int32Array
}

/** What a row's text must say of itself. */
export interface RowOwner {
  readonly request: number
  readonly model: string
  readonly priority: Priority
}

/** Rows that share a pass: one model, one priority, lengths that are alike. */
export interface Batch<Text> {
  readonly model: string
  readonly rows: readonly Row<Text>[]
}

/** The rows that wait for the model. */
export interface Rows<Text extends RowOwner> {
  add(text: Text, windows: readonly Int32Array[]): void
  /**
   * Takes the next batch out: interactive rows first. It is built around a row of the request that has waited
   * longest since it came or a batch was built around a row of it, so that a caller with few texts does not wait
   * for one with many; of that request around its longest row, so that a request goes through sorted.
   */
  take(limitsOf: (model: string) => BatchLimits): Batch<Text> | undefined
  /** Forgets the rows of a request. */
  drop(request: number): void
}

/** A line for each model and priority, kept sorted by length so that a batch is a range of it. */
export function createRows<Text extends RowOwner>(): Rows<Text> {
  const lines: Record<Priority, Map<string, Row<Text>[]>> = { interactive: new Map(), bulk: new Map() }
  // Of each request with rows here: how many, and when it came or was last at the head of a batch.
  const turns = new Map<number, { at: number; rows: number }>()
  let clock = 0
  let isSorted = true
  // Interactive batches since the last bulk one.
  let interactiveRun = 0

  function sort(): void {
    if (isSorted) return
    for (const byModel of Object.values(lines)) {
      for (const line of byModel.values()) line.sort((a, b) => a.length - b.length || a.arrival - b.arrival)
    }
    isSorted = true
  }

  const turnOf = (row: Row<Text>): number => turns.get(row.text.request)?.at ?? 0
  const isBefore = (a: Row<Text>, b: Row<Text>): boolean =>
    turnOf(a) < turnOf(b) || (turnOf(a) === turnOf(b) && a.length > b.length)

  function leave(request: number): void {
    const turn = turns.get(request)
    if (turn !== undefined && --turn.rows === 0) turns.delete(request)
  }

  /** Whose turn it is, and where it stands. */
  function findHead(byModel: ReadonlyMap<string, Row<Text>[]>) {
    let head:
      | { readonly model: string; readonly line: Row<Text>[]; readonly at: number; readonly row: Row<Text> }
      | undefined
    for (const [model, line] of byModel) {
      for (const [at, row] of line.entries()) {
        if (head === undefined || isBefore(row, head.row)) head = { model, line, at, row }
      }
    }
    return head
  }

  return {
    add: (text, windows) => {
      const line = lines[text.priority].get(text.model) ?? []
      lines[text.priority].set(text.model, line)
      for (const [window, ids] of windows.entries()) {
        line.push({ text, window, ids, length: ids.length, arrival: ++clock })
      }
      const turn = turns.get(text.request) ?? { at: clock, rows: 0 }
      turn.rows += windows.length
      turns.set(text.request, turn)
      isSorted = false
    },
    take: (limitsOf) => {
      sort()
      const { interactive, bulk } = lines
      const priority = nextPriority(
        { interactive: interactive.size > 0, bulk: bulk.size > 0 },
        interactiveRun,
      )
      const head = priority === undefined ? undefined : findHead(lines[priority])
      if (priority === undefined || head === undefined) return undefined
      interactiveRun = priority === 'interactive' ? interactiveRun + 1 : 0
      const turn = turns.get(head.row.text.request)
      if (turn !== undefined) turn.at = ++clock
      const { from, to } = pickRange(head.line, head.at, limitsOf(head.model))
      const rows = head.line.splice(from, to - from)
      if (head.line.length === 0) lines[priority].delete(head.model)
      for (const row of rows) leave(row.text.request)
      return { model: head.model, rows }
    },
    drop: (request) => {
      turns.delete(request)
      for (const byModel of Object.values(lines)) {
        for (const [model, line] of byModel) {
          const kept = line.filter(({ text }) => text.request !== request)
          if (kept.length === 0) byModel.delete(model)
          else byModel.set(model, kept)
        }
      }
    },
  }
}
