import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../../', import.meta.url))

test('the example in the README prints what the README says', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const [, code, output] = readme.match(/```js\n(.*?)```.*?```\n(.*?)```/s) ?? []
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code ?? ''], { cwd: root })
  expect(stdout).toBe(output)
})
