import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

const CGROUP = '/sys/fs/cgroup'

/**
 * Cores this process may use, at least 1: the scheduler's affinity, and the processor quota of the control group
 * (a container's limit), which `availableParallelism` does not see. Quotas of a fraction are rounded down:
 * a thread more than the quota is a thread that stops in mid-pass.
 */
export function coresAvailable(): number {
  const quota = quotaOf(read)
  return Math.max(1, Math.min(availableParallelism(), Math.floor(quota)))
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // no such control group here: no quota
  }
}

/**
 * The smallest processor quota on the way from this process's control group up to the root, in cores; Infinity
 * without one. Version 2 has `cpu.max` ("200000 100000" or "max 100000", microseconds), version 1 two files.
 * @param readText a file's text, undefined when there is none
 */
export function quotaOf(readText: (path: string) => string | undefined): number {
  const lines = (readText('/proc/self/cgroup') ?? '').split('\n')
  const own = lines.find((line) => line.startsWith('0::'))?.slice(3) ?? '/'
  const parts = own.split('/').filter((part) => part !== '')
  const quotas = [
    parseQuota(readText(`${CGROUP}/cpu/cpu.cfs_quota_us`), readText(`${CGROUP}/cpu/cpu.cfs_period_us`)),
  ]
  for (let depth = parts.length; depth >= 0; depth--) {
    const [quota, period] = (readText([CGROUP, ...parts.slice(0, depth), 'cpu.max'].join('/')) ?? '').split(
      ' ',
    )
    quotas.push(parseQuota(quota, period))
  }
  return Math.min(...quotas)
}

function parseQuota(quota: string | undefined, period: string | undefined): number {
  const cores = Number(quota) / Number(period)
  return Number.isFinite(cores) && cores > 0 ? cores : Number.POSITIVE_INFINITY
}
