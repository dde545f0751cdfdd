import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  coresAvailable,
  type LocalManifest,
  type Output,
  openEngine,
  openTokenizer,
  readManifest,
} from '@millrace/embed'
import { startProcess } from '@millrace/embed/host-process'
import { openSession, type Session, sessionOptions } from '@millrace/embed/session'
import { type Figure, figure } from '../figure.js'
import { inFolder } from './folder.js'
import { openGemm } from './gemm.js'
import { best, type Lap, race, type Side } from './race.js'
import { makeStandIn, STAND_IN } from './standin.js'

/** Rows × tokens of a pass. */
const PASSES = [
  [1, 32],
  [16, 32],
  [1, 512],
  [1, 2_048],
] as const
/** Attention not fused, so that scores are kept whole: asked for where there is memory, and minutes, for it. */
const LONG_PASS = [1, 8_192] as const
const ROUNDS = 2
const GEMM_TOKENS = 512
const HEAD_ROUNDS = 5
const HEAD_PASS = [2, 128] as const
const GB = 1e9

/** What a token costs in a pass of rows of this length, in floating-point operations: layers, attention. */
const operationsOf = (length: number): number => (0.61 + 0.0001 * length) * 1e9

function localManifest(dir: string): LocalManifest {
  const manifest = readManifest(dir)
  if (manifest.remote === undefined) return manifest
  throw new TypeError(`${manifest.id} has no graph here`)
}

/** bge-m3's real graph, heads and tokenizer with stand-in weights. */
export async function benchM3(): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const modelsDir = await makeStandIn(folder)
    const memory = await measureMemory(modelsDir)
    const dir = join(modelsDir, STAND_IN)
    const setting = { threads: coresAvailable(), provider: 'cpu', saturates: false } as const
    const session = await openSession(dir, localManifest(dir), await openTokenizer(dir), setting)
    try {
      return [...memory, ...(await measureSpeed(session, setting)), ...(await measureHeads(session))]
    } finally {
      await session.close()
    }
  })
}

/** Of the inference process: how long until it can embed, and the most memory it has had. */
async function measureMemory(modelsDir: string): Promise<Figure[]> {
  let loadMs = Number.NaN
  let pid: number | undefined
  const engine = openEngine(
    {
      modelDirs: [modelsDir],
      log: {
        info: (fields) => {
          if ('ms' in fields) loadMs = Number(fields.ms)
        },
        error: () => undefined,
      },
    },
    (data, events) => {
      const host = startProcess(data, events)
      pid = host.pid
      return host
    },
  )
  try {
    await engine.load(STAND_IN)
    const loaded = await peakMemory(pid)
    const figures: Figure[] = []
    for (const tokens of [512, 2_048]) {
      const text = ' a'.repeat(tokens - 2)
      await engine.embed({ model: STAND_IN, texts: [text], kind: 'document' })
      figures.push(figure(`most memory after ${tokens} tokens`, (await peakMemory(pid)) / GB, 'GB'))
    }
    return [
      figure('load', loadMs / 1_000, 's'),
      figure('most memory after load', loaded / GB, 'GB'),
      ...figures,
    ]
  } finally {
    await engine.close()
  }
}

/** The largest resident size a process has had, in bytes; NaN where the system does not tell. */
async function peakMemory(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1_024
}

async function measureSpeed(
  session: Session,
  setting: Parameters<typeof sessionOptions>[0],
): Promise<Figure[]> {
  const gemm = await openGemm(GEMM_TOKENS, sessionOptions(setting))
  const sides: Record<string, Side> = { gemm: gemm.run }
  const pass = ([rows, length]: readonly [number, number]) => runPass(session, rows, length, ['dense'])
  for (const [rows, length] of PASSES) sides[`${rows} × ${length}`] = pass([rows, length])
  await gemm.run()
  const laps = await race(sides, ROUNDS)
  // Its best of many: it is short, and what all else is measured against.
  const more = (await race({ gemm: gemm.run }, 4 * ROUNDS)).gemm
  await gemm.close()
  const gemmLaps = [...(laps.gemm ?? []), ...more]
  const rate = (clock: keyof Lap) => gemm.operations / best(gemmLaps, clock)
  const figures = [
    figure(
      `float32 matrix products of ${GEMM_TOKENS} tokens, ${setting.threads} threads`,
      rate('ms') / 1e6,
      'GFLOP/s',
    ),
  ]
  const long = process.env.M3_LONG === 'true' ? await race({ long: pass(LONG_PASS) }, 1) : { long: [] }
  for (const [rows, length] of [...PASSES, ...(long.long.length > 0 ? [LONG_PASS] : [])]) {
    const name = `${rows} × ${length} tokens a pass`
    const these = laps[`${rows} × ${length}`] ?? long.long
    const share = (clock: keyof Lap) =>
      (100 * rows * length * operationsOf(length)) / best(these, clock) / rate(clock)
    figures.push(
      figure(name, ((rows * length) / best(these)) * 1_000, 'tokens/s'),
      figure(`${name}: of the rate of matrix products`, share('ms'), '%'),
      figure(`${name}: the same in processor time`, share('cpuMs'), '%'),
    )
  }
  return figures
}

/** What the other outputs cost on top of dense. */
async function measureHeads(session: Session): Promise<Figure[]> {
  const [rows, length] = HEAD_PASS
  const pass = (...outputs: Output[]) => runPass(session, rows, length, outputs)
  const sides = {
    dense: pass('dense'),
    sparse: pass('dense', 'sparse'),
    colbert: pass('dense', 'colbert'),
    all: pass('dense', 'sparse', 'colbert'),
  }
  await sides.all()
  const laps = await race(sides, HEAD_ROUNDS)
  const more = (name: keyof typeof sides, clock: keyof Lap) =>
    100 * (best(laps[name], clock) / best(laps.dense, clock) - 1)
  return [
    figure(`sparse on top of dense, ${rows} × ${length}`, more('sparse', 'ms'), '%', '≤ 3'),
    figure('sparse on top of dense, processor time', more('sparse', 'cpuMs'), '%', '≤ 3'),
    figure(`colbert on top of dense, ${rows} × ${length}`, more('colbert', 'ms'), '%', '≤ 10'),
    figure('colbert on top of dense, processor time', more('colbert', 'cpuMs'), '%', '≤ 10'),
    figure('both on top of dense', more('all', 'ms'), '%'),
  ]
}

/** A pass over rows of ordinary tokens between the special ones. */
function runPass(session: Session, rows: number, length: number, outputs: readonly Output[]): Side {
  const row = (seed: number) =>
    Int32Array.from({ length }, (_, i) =>
      i === 0 ? 0 : i === length - 1 ? 2 : 10 + ((i * 7_919 + seed * 104_729) % 200_000),
    )
  const all = Array.from({ length: rows }, (_, i) => row(i))
  const wanted = new Set(outputs)
  return () => session.run(all, wanted)
}
