/**
 * Who runs next on an engine with one session. Batches run one at a time, in the order their connections became
 * ready; a connection inside a transaction holds the engine until the transaction ends.
 */
export class Schedule<Connection> {
  readonly #waiting = new Set<Connection>()
  #holder: Connection | undefined

  get holder(): Connection | undefined {
    return this.#holder
  }

  /** The connection has a batch to run. Once is enough, however many it has: it queues again for the next. */
  ready(connection: Connection): void {
    this.#waiting.add(connection)
  }

  /** Takes the next turn off the line; undefined when nobody may run. */
  next(): Connection | undefined {
    const candidate = this.#holder ?? this.#waiting.values().next().value
    return candidate !== undefined && this.#waiting.delete(candidate) ? candidate : undefined
  }

  /** The turn is over; `exclusive`: the engine is inside something that only this connection may go on with. */
  done(connection: Connection, exclusive: boolean): void {
    this.#holder = exclusive ? connection : undefined
  }

  /** The connection is no more. True when it held the engine: what it left open must be rolled back first. */
  gone(connection: Connection): boolean {
    this.#waiting.delete(connection)
    if (this.#holder !== connection) return false
    this.#holder = undefined
    return true
  }
}
