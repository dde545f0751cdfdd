import type { PullProgress, QuantizeProgress } from '@millrace/models'
import { MultiBar, SingleBar } from 'cli-progress'
import { durationText, sizeText, speedMeter } from './units.js'

/** Files below this have no bar of their own, in bytes: they are there before anybody reads it. */
const BAR_BYTES_MIN = 1_000_000

export interface Bars extends PullProgress {
  stop(): void
}

/**
 * Bars on standard error, one a large file and one for all, with speed and time left. Where that is no terminal
 * there are none, and only what one should know is said in lines: retries, and whom it waits for.
 */
export function pullBars(id: string): Bars {
  // Where it is no terminal, MultiBar would still draw its last state.
  const multi = process.stderr.isTTY
    ? new MultiBar({
        // Within 80 columns: what is longer is cut off.
        format: '{name} {bar} {percentage}% {done}/{size} {speed} {left}',
        barsize: 14,
        hideCursor: true,
        stream: process.stderr,
        forceRedraw: true,
      })
    : undefined
  const say = (line: string) => {
    if (multi === undefined) process.stderr.write(`${line}\n`)
    else multi.log(`${line}\n`)
  }
  const lanes = new Map<string, Lane>()
  let all: Lane | undefined
  const there = new Map<string, number>()
  return {
    waiting: ({ pid, host, since }) =>
      say(`process ${pid} on ${host} has been working on ${id} since ${since}: waiting for it`),
    checking: ({ path, bytes }) => {
      if (bytes >= BAR_BYTES_MIN) say(`checking ${path} (${sizeText(bytes)}), which is here`)
    },
    start: (files) => {
      if (multi === undefined) return
      const large = files.filter(({ file }) => file.bytes >= BAR_BYTES_MIN)
      const width = Math.max(id.length, ...large.map(({ file }) => file.path.length))
      for (const { file, there: before } of files) there.set(file.path, before)
      for (const { file, there: before } of large) {
        lanes.set(file.path, openLane(multi, file.path.padEnd(width), file.bytes, before))
      }
      const total = files.reduce((sum, { file }) => sum + file.bytes, 0)
      const done = files.reduce((sum, { there: before }) => sum + before, 0)
      if (files.length > 0) all = openLane(multi, id.padEnd(width), total, done)
    },
    bytes: (path, bytes) => {
      const came = bytes - (there.get(path) ?? 0)
      there.set(path, bytes)
      lanes.get(path)?.move(came)
      all?.move(came)
    },
    retry: (path, why, pauseMs) => say(`${path}: ${why}; again in ${durationText(pauseMs / 1_000)}`),
    done: () => undefined,
    stop: () => multi?.stop(),
  }
}

interface Lane {
  /** Bytes that came; below zero when a file is begun anew. */
  move(bytes: number): void
}

function openLane(multi: MultiBar, name: string, total: number, there: number): Lane {
  const meter = speedMeter(() => performance.now())
  let done = there
  const payload = () => {
    const speed = meter.perSecond()
    const left = total - done
    return {
      name,
      done: sizeText(done),
      size: sizeText(total),
      speed: left === 0 || speed === 0 ? '' : `${sizeText(speed)}/s`,
      left: left === 0 ? 'done' : speed === 0 ? '' : durationText(left / speed),
    }
  }
  const bar = multi.create(total, done, payload())
  return {
    move: (bytes) => {
      done += bytes
      if (bytes > 0) meter.add(bytes)
      bar.update(done, payload())
    },
  }
}

export interface StageBar {
  update(progress: QuantizeProgress): void
  stop(): void
}

const STAGES: Readonly<Record<QuantizeProgress['stage'], string>> = {
  calibrate: 'float model reads',
  quantize: 'quantizing',
  verify: 'comparing',
}

/** A bar on standard error for one stage after the other; nothing where that is no terminal. */
export function stageBar(): StageBar {
  const bar = new SingleBar({
    format: '{stage} {bar} {value}/{total} {unit}',
    barsize: 30,
    hideCursor: true,
    stream: process.stderr,
    forceRedraw: true,
  })
  let stage: string | undefined
  return {
    update: ({ stage: now, done, total }) => {
      const payload = { stage: STAGES[now].padEnd(17), unit: now === 'quantize' ? 'tensors' : 'texts' }
      if (now !== stage) {
        if (stage !== undefined) bar.stop()
        stage = now
        bar.start(total, done, payload)
      }
      bar.update(done, payload)
    },
    stop: () => bar.stop(),
  }
}
