#!/usr/bin/env node
// Committed, because npm does not link a bin that is missing when it installs.
import { existsSync } from 'node:fs'

const program = new URL('../dist/main.js', import.meta.url)
if (existsSync(program)) {
  await import(program.href)
} else {
  process.stderr.write('Millrace is not built yet: run `npm run build`\n')
  process.exitCode = 1
}
