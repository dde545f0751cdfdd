import { CodedError, messageOf } from '@millrace/errors'

/** How long a stop may take before the process ends all the same, in milliseconds. */
const STOP_MS = 30_000

/**
 * Runs a program from its start to its signal: `start` returns how to stop it. SIGINT and SIGTERM stop it in
 * order, also while it starts; a second one ends it at once. A start that fails says why in two lines and exits
 * with 1.
 */
export async function runProgram(start: () => Promise<() => Promise<void>>): Promise<void> {
  let stop: (() => Promise<void>) | undefined
  let isStopping = false
  const onSignal = () => {
    if (isStopping) {
      // A progress bar may have hidden the cursor.
      if (process.stderr.isTTY) process.stderr.write('\x1b[?25h\x1b[?7h')
      process.exit(130)
    }
    isStopping = true
    if (process.stderr.isTTY)
      process.stderr.write('Finishing what is in work; Ctrl+C once more ends it at once.\n')
    setTimeout(() => process.exit(1), STOP_MS).unref()
    if (stop !== undefined) void end(stop)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  try {
    stop = await start()
  } catch (error) {
    complain(error)
    process.exit(1)
  }
  if (isStopping) await end(stop)
}

async function end(stop: () => Promise<void>): Promise<void> {
  try {
    await stop()
    process.exit(process.exitCode ?? 0)
  } catch (error) {
    complain(error)
    process.exit(1)
  }
}

function complain(error: unknown): void {
  const code = error instanceof CodedError ? `${error.code}: ` : ''
  process.stderr.write(`${code}${messageOf(error)}\n`)
  if (error instanceof CodedError && error.hint !== undefined) process.stderr.write(`${error.hint}\n`)
}
