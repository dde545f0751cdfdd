#!/usr/bin/env node
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { openDb } from './connect.js'
import { migrate } from './migrate.js'

// `npm run migrate`: the API and the workers do the same at their start.
const url = process.env.DATABASE_URL
if (url === undefined || url === '') {
  process.stderr.write('DATABASE_URL is not set; the embedded database is migrated at every start\n')
  process.exit(1)
}
const db = openDb({ url, kind: 'server' })
try {
  const applied = await migrate(db)
  process.stdout.write(applied.length === 0 ? 'nothing to migrate\n' : `${applied.join('\n')}\n`)
} catch (error) {
  process.stderr.write(`${codeOf(error)}: ${messageOf(error)}\n`)
  if (error instanceof CodedError && error.hint !== undefined) process.stderr.write(`${error.hint}\n`)
  process.exitCode = 1
} finally {
  await db.close()
}
