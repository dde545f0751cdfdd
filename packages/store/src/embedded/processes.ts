import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** A process as something that can be recognised later, when its number may belong to another. */
export interface ProcessId {
  readonly pid: number
  /** Boot id and start time; absent where there is no /proc to read them from. */
  readonly started?: string
}

export function identify(pid: number): ProcessId {
  const seen = readProc(pid)
  return seen === undefined ? { pid } : { pid, started: seen.started }
}

/** Whether this very process still runs; by its number alone where nothing more is known of it. */
export function isRunning(known: ProcessId): boolean {
  if (!answers(known.pid)) return false
  const seen = readProc(known.pid)
  if (seen === undefined) return true
  if (seen.ended) return false
  return known.started === undefined || known.started === seen.started
}

function answers(pid: number): boolean {
  // 0 and below mean whole groups of processes.
  if (pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It is there, and someone else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: field 3 is the state, field 22 the start time. */
function readProc(pid: number): { readonly started: string; readonly ended: boolean } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in field 2 may contain spaces and brackets; what follows its last bracket starts at field 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    const [state, ticks] = [fields[0], fields[19]]
    if (state === undefined || ticks === undefined) return undefined
    return { started: `${boot}:${ticks}`, ended: state === 'Z' || state === 'X' }
  } catch {
    return undefined
  }
}

/**
 * Where process numbers mean the same: this machine, and in it this container. Another container on the same
 * folder has other numbers, and cannot be asked whether its processes live.
 */
export function placeOf(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return hostname()
  }
}
