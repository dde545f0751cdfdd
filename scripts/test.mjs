// npm test: installs, builds, checks the types of the tests, runs them. Last line: N passed, N failed.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build, install, root, run } from './workspace.mjs'

install()
build()
const bin = (name, path) => join(root, 'node_modules', name, path)
for (const project of ['tsconfig.tests.json', 'apps/web/tsconfig.test.json']) {
  run(process.execPath, [bin('typescript', 'bin/tsc'), '-p', project])
}
const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
const report = join(folder, 'report.json')
const vitest = spawnSync(
  process.execPath,
  [
    bin('vitest', 'vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
)
const { numPassedTests, numFailedTests, numPendingTests } = readReport()
rmSync(folder, { recursive: true, force: true })
// A file that does not load fails without a failed test.
const failed = numFailedTests === 0 && vitest.status !== 0 ? 1 : numFailedTests
if (numPendingTests > 0) console.log(`${numPendingTests} skipped`)
console.log(`${numPassedTests} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)

function readReport() {
  try {
    return JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0 }
  }
}
