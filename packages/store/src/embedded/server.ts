import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { setImmediate as breathe } from 'node:timers/promises'
import { CodedError } from '@millrace/errors'
import { Answer, type Answered } from './answer.js'
import type { Batch } from './batch.js'
import { Connection } from './connection.js'
import type { Engine } from './engine.js'
import type { Credentials } from './handshake.js'
import { type Complaint, closeStatement, queryMessage, syncMessage } from './replies.js'
import { Schedule } from './schedule.js'

export interface ServerOptions {
  readonly engine: Engine
  readonly credentials: Credentials
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** How long a client may leave its transaction waiting for its next statement. */
  readonly idleInTransactionMs: number
  readonly bytesMax: number
  /** The engine answers no more; the process had better end. Called once. */
  readonly onBroken: (error: Error) => void
}

/**
 * The Postgres wire protocol in front of an engine that has one session. Each connection's batch runs alone; one
 * inside a transaction keeps all others waiting until it ends, or dies and is rolled back.
 */
export class WireServer {
  readonly #options: ServerOptions
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  readonly #schedule = new Schedule<Connection>()
  /** What connections left behind; run before anybody's turn. */
  readonly #chores: (() => Promise<unknown>)[] = []
  #lastId = 0
  #answers = 0
  #unnamedOwner: Connection | undefined
  #idleTimer: NodeJS.Timeout | undefined
  /** The engine is inside an exchange that a Flush left open. */
  #midExchange = false
  #turning = false
  #lastTurn: Promise<void> = Promise.resolve()
  #over = false

  constructor(options: ServerOptions) {
    this.#options = options
    this.#server = createServer((socket) => this.#accept(socket))
  }

  /** Starts to listen; resolves to the port. Throws a system error (`EADDRINUSE`). */
  async listen(): Promise<number> {
    this.#server.listen(this.#options.port, this.#options.host)
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  /** Ends all connections, after the batch that runs now; open transactions are rolled back. */
  async close(): Promise<void> {
    this.#server.close()
    for (const connection of this.#connections) {
      connection.fail({ code: '57P01', message: 'The embedded database is shutting down' })
    }
    while (this.#turning) await this.#lastTurn
    this.#over = true
  }

  /** How many batches were answered. */
  get answers(): number {
    return this.#answers
  }

  /** Has the engine to itself once no transaction is open, before the clients that wait. Must not throw. */
  chore(work: () => Promise<unknown>): void {
    this.#chores.push(work)
    this.#turn()
  }

  #accept(socket: Socket): void {
    this.#lastId += 1
    const connection = new Connection(socket, {
      id: this.#lastId,
      credentials: this.#options.credentials,
      parameters: this.#options.engine.parameters,
      bytesMax: this.#options.bytesMax,
      onReady: (ready) => {
        this.#schedule.ready(ready)
        this.#turn()
      },
      onGone: (gone) => this.#gone(gone),
    })
    this.#connections.add(connection)
  }

  #gone(connection: Connection): void {
    this.#connections.delete(connection)
    const statements = connection.names.used().map(closeStatement)
    if (statements.length > 0) {
      this.#chores.push(() => this.#run(Buffer.concat([...statements, syncMessage()])))
    }
    if (this.#schedule.gone(connection)) {
      clearTimeout(this.#idleTimer)
      this.#midExchange = false
      // Twice, with a Sync in between: in an exchange that a Flush left open the first rolls back what the Sync would
      // commit, unless it has failed already; then nothing before the Sync is heard.
      const abandon = Buffer.concat([queryMessage('rollback'), syncMessage(), queryMessage('rollback')])
      this.#chores.unshift(() => this.#run(abandon))
    }
    this.#turn()
  }

  #turn(): void {
    if (this.#turning || this.#over) return
    this.#turning = true
    this.#lastTurn = this.#turns().catch((error: unknown) => this.#break(error))
  }

  async #turns(): Promise<void> {
    try {
      for (let work = this.#next(); work !== undefined; work = this.#next()) {
        await work()
        // Sockets are read in between, so that who asked first runs first.
        await breathe()
      }
    } finally {
      // In the same breath as #next found nothing, so that nobody becomes ready unseen.
      this.#turning = false
    }
  }

  #next(): (() => Promise<unknown>) | undefined {
    if (this.#over) return undefined
    const chore = this.#schedule.holder === undefined ? this.#chores.shift() : undefined
    if (chore !== undefined) return chore
    const connection = this.#schedule.next()
    return connection === undefined ? undefined : () => this.#serve(connection)
  }

  async #serve(connection: Connection): Promise<void> {
    const batch = connection.take()
    if (batch === undefined) return
    clearTimeout(this.#idleTimer)
    const refused = batch.refused ?? this.#unnamedLost(connection, batch)
    // In the middle of an exchange there is no answer that leaves both sides agreeing on where they are.
    if (refused !== undefined && (batch.end === 'flush' || this.#midExchange)) return connection.fail(refused)
    const answered = await this.#run(refused === undefined ? batch.bytes : refusal(refused), connection)
    if (refused === undefined && batch.setsUnnamed) this.#unnamedOwner = connection
    this.#answers += 1
    connection.answer(answered.bytes)
    this.#release(connection, batch, answered)
  }

  /** Who goes on after this answer. */
  #release(connection: Connection, batch: Batch, { status, fatal }: Answered): void {
    const mustEnd = batch.end === 'sync' || (batch.end === 'query' && !this.#midExchange)
    if (fatal || (mustEnd && status === undefined)) {
      throw new CodedError('DATABASE_BROKEN', 'The embedded database ended its session')
    }
    this.#midExchange = status === undefined
    // To others an open exchange is what a transaction is: they wait.
    const exclusive = status !== 'I'
    this.#schedule.done(connection, exclusive)
    if (!exclusive) return
    if (connection.gone) this.#gone(connection)
    else this.#watch(connection)
  }

  #watch(connection: Connection): void {
    const ms = this.#options.idleInTransactionMs
    this.#idleTimer = setTimeout(() => {
      connection.fail({
        code: '25P03',
        message: `A transaction that was idle for ${ms} ms was rolled back: the embedded database has one session, all others were waiting`,
        hint: 'Keep transactions short and wait for nothing else inside them',
      })
    }, ms)
  }

  /** Between two exchanges of a connection another may have redefined the unnamed statement. */
  #unnamedLost(connection: Connection, batch: Batch): Complaint | undefined {
    if (!batch.needsUnnamed || this.#unnamedOwner === connection) return undefined
    return {
      code: '26000',
      message:
        'The unnamed prepared statement does not outlive the Sync after its Parse on the embedded database',
      hint: 'Name the statement, or send Parse, Bind and Execute before the same Sync',
    }
  }

  async #run(bytes: Buffer, asker?: Connection): Promise<Answered> {
    const answer = new Answer()
    try {
      await this.#options.engine.run(bytes, (piece) => answer.push(piece))
    } catch (error) {
      // What it said before it broke is the reason, for the one who asked.
      asker?.answer(answer.finish().bytes)
      throw error
    }
    const answered = answer.finish()
    for (const other of this.#connections) {
      if (other !== asker) for (const notification of answered.notifications) other.notify(notification)
    }
    return answered
  }

  #break(error: unknown): void {
    this.#over = true
    this.#server.close()
    this.#options.onBroken(error instanceof Error ? error : new Error(String(error)))
  }
}

/** A statement that fails as told: so a refusal leaves a transaction as any other failure does. */
function refusal({ code, message, hint }: Complaint): Buffer {
  const options = [`errcode = '${code}'`, `message = ${quoted(message)}`]
  if (hint !== undefined) options.push(`hint = ${quoted(hint)}`)
  return queryMessage(`do $refusal$ begin raise exception using ${options.join(', ')}; end $refusal$`)
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`
