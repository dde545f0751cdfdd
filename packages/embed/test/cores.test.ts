import { coresAvailable } from '@millrace/embed'
import { quotaOf } from '@millrace/embed/cores'
import { expect, test } from 'vitest'

const files = (texts: Record<string, string>) => (path: string) => texts[path]

test('this process may use at least one core', () => {
  expect(coresAvailable()).toBeGreaterThanOrEqual(1)
})

test('no control group, no quota', () => {
  expect(quotaOf(files({}))).toBe(Number.POSITIVE_INFINITY)
})

test('a container with 2 cores has a quota of 2', () => {
  const read = files({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '200000 100000\n' })
  expect(quotaOf(read)).toBe(2)
})

test('the narrowest group on the way to the root counts', () => {
  const read = files({
    '/proc/self/cgroup': '0::/a/b\n',
    '/sys/fs/cgroup/cpu.max': 'max 100000',
    '/sys/fs/cgroup/a/cpu.max': '150000 100000',
    '/sys/fs/cgroup/a/b/cpu.max': '400000 100000',
  })
  expect(quotaOf(read)).toBe(1.5)
})

test('version 1 groups say it in two files, -1 for none', () => {
  const quota = (text: string) =>
    files({ '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': text, '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000' })
  expect(quotaOf(quota('300000'))).toBe(3)
  expect(quotaOf(quota('-1'))).toBe(Number.POSITIVE_INFINITY)
})
