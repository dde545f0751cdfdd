import { defineConfig } from 'vitest/config'

// Tests import the packages by name, that is, what `npm run build` wrote: worker threads and child processes
// load compiled files, so nothing else would test what ships.
export default defineConfig({
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'apps/*/test/**/*.test.ts',
      'bench/test/**/*.test.ts',
      'test/**/*.test.ts',
    ],
    globalSetup: ['test/support/setup.ts'],
    // Compiled files are Node's to load, as in the programs: transforming them took seconds in each test file.
    server: { deps: { external: [/\/dist\//] } },
    pool: 'forks',
    // The embedded database inherits it: its optimizing compiler takes seconds that short tests never get back.
    execArgv: ['--liftoff-only'],
    maxWorkers: 2,
    // Two processes run all files, so that the packages are loaded twice and not once a file. A file leaves nothing
    // behind: what it opened it closes, and what its helpers keep is given back in its own afterAll.
    isolate: false,
    // Tests that kill processes share CI's machine with others; what fails twice there is broken.
    retry: process.env.CI === 'true' ? 1 : 0,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
