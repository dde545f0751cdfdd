import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/support/order.js'

// Tests import the packages by name, that is, what `npm run build` wrote: worker threads and child processes
// load compiled files, so nothing else would test what ships.
const shared = {
  globalSetup: ['test/support/setup.ts'],
  // Compiled files are Node's to load, as in the programs: transforming them took seconds in each test file.
  server: { deps: { external: [/\/dist\//] } },
  pool: 'forks' as const,
  // The embedded database inherits it: its optimizing compiler takes seconds that short tests never get back.
  execArgv: ['--liftoff-only'],
  // Tests that kill processes share CI's machine with others; what fails twice there is broken.
  retry: process.env.CI === 'true' ? 1 : 0,
  testTimeout: 60_000,
  hookTimeout: 120_000,
  // A shared machine is slow at times; what is waited for comes or does not.
  expect: { poll: { timeout: 15_000 } },
}

/** It holds as many connections as the API takes, and needs a process that nobody else waits for. */
const APART = ['apps/api/test/door.test.ts']

export default defineConfig({
  test: {
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...shared,
          name: 'together',
          include: [
            'apps/*/test/**/*.test.ts',
            'packages/*/test/**/*.test.ts',
            'bench/test/**/*.test.ts',
            'test/**/*.test.ts',
          ],
          exclude: APART,
          // The files share processes, so that what they import is loaded once in each and not once a file. A file
          // leaves nothing behind: what it opened it closes, and what it set it sets back.
          isolate: false,
        },
      },
      { test: { ...shared, name: 'apart', include: APART } },
    ],
  },
})
