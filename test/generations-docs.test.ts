import { spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { backends } from './support/backends.js'
import { ROOT } from './support/processes.js'
import { openWorld, type World } from './support/world.js'

interface Command {
  readonly line: string
  readonly exit: number
}

let world: World
let folder: string
beforeAll(async () => {
  const [embedded] = backends()
  if (embedded === undefined) throw new Error('There is no embedded backend')
  world = await openWorld(embedded)
  folder = await mkdtemp(join(tmpdir(), 'millrace-story-'))
  await cp(`${ROOT}samples`, join(folder, 'samples'), { recursive: true })
})
afterAll(async () => {
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

test('the story of docs/generations.md runs as it is told', { timeout: 180_000 }, async () => {
  const docs = await readFile(`${ROOT}docs/generations.md`, 'utf8')
  const story = docs.split('## A story')[1]?.split(/^## /m)[0] ?? ''
  const [, questions = ''] = /```csv\n([\s\S]+?)```/.exec(story) ?? []
  await writeFile(join(folder, 'questions.csv'), questions)
  const commands = commandsOf(story)
  expect(commands.length).toBeGreaterThan(15)
  let output = ''
  for (const { line, exit } of commands) {
    const ended = await run(line)
    expect([line, ended.code, ended.code === exit ? '' : ended.output]).toEqual([line, exit, ''])
    output += ended.output
  }
  // What is shown is what is said, but for what depends on the machine or the moment.
  const shown = [...story.matchAll(/```text\n([\s\S]+?)```/g)].flatMap(([, text = '']) =>
    text.trimEnd().split('\n'),
  )
  const said = plain(output)
  expect(shown.filter((line) => !/^ {2}(time|on disk) /.test(line) && !said.includes(plain(line)))).toEqual(
    [],
  )
})

/** Columns are as wide as what stands in them. */
const plain = (text: string): string => text.replace(/[ \t]+/g, ' ')

/** The lines of its shell blocks; a comment says which exit code is expected, where it is not 0. */
const commandsOf = (text: string): Command[] =>
  [...text.matchAll(/```sh\n([\s\S]+?)```/g)].flatMap(([, block = '']) =>
    block
      .trimEnd()
      .split('\n')
      .map((line) => {
        const [command = '', exit = '0'] = line.split(' # exit code ')
        return { line: command, exit: Number(exit) }
      }),
  )

/** In a shell, as a reader would; `npx millrace` is the program of this repository. */
async function run(line: string): Promise<{ readonly code: number; readonly output: string }> {
  const program = `"${process.execPath}" "${ROOT}apps/cli/bin/millrace.js"`
  const child = spawn('sh', ['-c', line.replace(/^npx millrace/, program)], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, MILLRACE_URL: world.url, LANG: 'en_US.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (part) => (output += part))
  child.stderr.on('data', (part) => (output += part))
  const code = await new Promise<number>((resolve) => child.on('close', (ended) => resolve(ended ?? -1)))
  return { code, output }
}
