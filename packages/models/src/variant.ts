import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { basename, dirname, join, posix } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ModelFile,
  type ModelFolder,
  type ModelVariant,
  readFolder,
  requireEmbedder,
} from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { freeBytes, lockPath, requireSpace, writeManifest } from './folder.js'
import { lockFolder } from './pull/lock.js'
import { type Quantized, type QuantizeOptions, quantize } from './quantize/quantize.js'

export interface QuantizeModelOptions extends Pick<QuantizeOptions, 'bits' | 'onProgress' | 'signal'> {
  /** Writes it again when it is there. Default: refuses. */
  readonly force?: boolean
}

export interface Made extends Omit<Quantized, 'files'> {
  /** What the variant is asked for with. */
  readonly id: string
  readonly dir: string
  readonly files: readonly ModelFile[]
  readonly bytes: number
  /** Of the float32 variant's own files. */
  readonly floatBytes: number
}

/**
 * Writes the int8-row variant of the model in a folder, checked against its float32 variant, and takes it into the
 * manifest as the last step: whatever breaks off before, the model is what it was.
 * @throws CodedError NOT_AN_EMBEDDER, NO_FLOAT_VARIANT, VARIANT_EXISTS, MODEL_FILE_MISSING, DISK_TOO_SMALL, INTERRUPTED,
 * MODELS_DIR_UNUSABLE, INVALID_MANIFEST, and those of `quantize`
 */
export async function quantizeModel(dir: string, options: QuantizeModelOptions = {}): Promise<Made> {
  const lock = await lockFolder(lockPath(dirname(dir), basename(dir)), {
    sleep: (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
    signal: options.signal,
    onWait: () => undefined,
  })
  try {
    return await quantizeLocked(dir, options)
  } catch (error) {
    if (options.signal?.aborted && !(error instanceof CodedError)) {
      throw new CodedError('INTERRUPTED', 'Stopped; the model is as it was', { cause: error })
    }
    throw error
  } finally {
    await lock.release()
  }
}

async function quantizeLocked(dir: string, options: QuantizeModelOptions): Promise<Made> {
  const folder = readFolder(dir)
  // How near int8 is to float32 is checked on vectors, and a score has none.
  requireEmbedder(folder)
  const float = floatVariant(folder, dir)
  const floatBytes = float.files.reduce((sum, { bytes }) => sum + bytes, 0)
  if (folder.variants.some(({ precision }) => precision === 'int8-row') && options.force !== true) {
    throw new CodedError('VARIANT_EXISTS', `${folder.id}@int8-row is there already`, {
      hint: 'Use it as it is, or write it again with --force',
    })
  }
  // The result has about a quarter of the bytes, embeddings included.
  await requireSpace(dir, Math.ceil(floatBytes / 3), freeBytes)
  const { onnx } = float
  const outFile = posix.join(posix.dirname(onnx.file), 'model_int8row.onnx')
  const made = await quantize({
    dir,
    onnxFile: onnx.file,
    outFile,
    inputs: onnx.inputs,
    output: onnx.output,
    pooling: folder.pooling,
    padId: folder.padId,
    tokensMax: folder.tokensMax,
    ...options,
  })
  const variant: ModelVariant = {
    precision: 'int8-row',
    revision: `int8-row-${hashOf(made.files).slice(0, 12)}`,
    batchInvariant: true,
    onnx: { ...onnx, file: outFile },
    batchTokens: float.batchTokens,
    files: [...made.files],
  }
  const others = folder.variants.filter(({ precision }) => precision !== 'int8-row')
  await writeManifest(dir, { ...folder, variants: [...others, variant] })
  return {
    ...made,
    id: `${folder.id}@int8-row`,
    dir,
    bytes: made.files.reduce((sum, { bytes }) => sum + bytes, 0),
    floatBytes,
  }
}

function floatVariant({ id, variants }: ModelFolder, dir: string): ModelVariant {
  const float = variants.find(({ precision }) => precision === 'float32')
  if (float === undefined) {
    const has = variants.map(({ precision }) => precision).join(', ') || 'none: a server computes its vectors'
    throw new CodedError('NO_FLOAT_VARIANT', `${id} is not here in float32; its variants: ${has}`, {
      hint: 'Import or pull the float32 export of the model',
    })
  }
  for (const { path, bytes } of float.files) {
    if (statSync(join(dir, path), { throwIfNoEntry: false })?.size === bytes) continue
    throw new CodedError('MODEL_FILE_MISSING', `${join(dir, path)} is not there with its ${bytes} bytes`, {
      hint: `millrace models pull ${id}`,
    })
  }
  return float
}

/** Changes whenever the vectors do: of all files, by their hashes. */
function hashOf(files: readonly ModelFile[]): string {
  const hash = createHash('sha256')
  for (const { sha256 } of files) hash.update(sha256)
  return hash.digest('hex')
}
