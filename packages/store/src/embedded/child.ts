import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { openEngine } from './engine.js'
import type { ChildMessage, OpenMessage, ParentMessage } from './ipc.js'
import { maintain } from './maintain.js'
import { WireServer } from './server.js'

/** The entry of the database's process: opens what its parent tells it to, serves it, ends when told to. */

// Ctrl+C reaches every process of the terminal. The parent decides when the database goes: last.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

// A parent that is no more cannot ask: without it the folder has no owner, so nothing may be written any more.
process.on('disconnect', () => process.exit(0))

let close: (() => Promise<void>) | undefined

process.on('message', (message: ParentMessage) => {
  const done = message.type === 'open' ? open(message) : finish()
  done.catch((error: unknown) => fail(error))
})

async function open(options: OpenMessage): Promise<void> {
  const engine = await openEngine(options.folder)
  const server = new WireServer({
    engine,
    credentials: options,
    host: options.host,
    port: options.port,
    idleInTransactionMs: options.idleInTransactionMs,
    bytesMax: options.bytesMax,
    onBroken: (error) => {
      process.stderr.write(`${messageOf(error)}\n`)
      // The reason is on its way to the client that caused it; a moment for it to arrive.
      setTimeout(() => process.exit(1), 50)
    },
  })
  const port = await server.listen()
  const stopMaintaining = maintain(server, engine, (line) => process.stderr.write(`${line}\n`))
  close = async () => {
    stopMaintaining()
    await server.close()
    await engine.close()
  }
  tell({ type: 'ready', port })
}

async function finish(): Promise<void> {
  await close?.()
  process.exit(0)
}

function fail(error: unknown): void {
  const hint = error instanceof CodedError ? error.hint : undefined
  tell(
    {
      type: 'failed',
      code: codeOf(error),
      message: messageOf(error),
      ...(hint === undefined ? {} : { hint }),
    },
    () => process.exit(1),
  )
}

function tell(message: ChildMessage, sent: () => void = () => undefined): void {
  process.send?.(message, sent)
}
