import { openEngine } from '@millrace/embed'
import { CodedError, messageOf } from '@millrace/errors'
import { openClient } from './client.js'
import { placesOf, readEnvironment } from './environment.js'
import { buildProgram } from './program.js'

// Whoever reads may have seen enough: `millrace search … | head -3`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

try {
  const client = openClient(readEnvironment(process.env))
  await buildProgram({
    client,
    write: (text) => process.stdout.write(text),
    screen: process.stdout.isTTY ? process.stdout : undefined,
    openEngine: () => openEngine({ modelDirs: placesOf(process.env).dirs }),
  }).parseAsync()
} catch (error) {
  const code = error instanceof CodedError ? `${error.code}: ` : ''
  process.stderr.write(`${code}${messageOf(error)}\n`)
  if (error instanceof CodedError && error.hint !== undefined) process.stderr.write(`${error.hint}\n`)
  process.exitCode = 1
}
