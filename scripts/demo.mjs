// npm run demo: installs, builds, then runs apps/standalone's demo with the same arguments.
import { spawn } from 'node:child_process'
import { build, install, root } from './workspace.mjs'

install()
build()
// Ctrl+C is the demo's to answer: this waits until it has stopped.
process.on('SIGINT', () => undefined)
const demo = spawn(process.execPath, [`${root}/apps/standalone/dist/demo.js`, ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
})
process.on('SIGTERM', () => demo.kill('SIGTERM'))
demo.on('exit', (code) => process.exit(code ?? 1))
