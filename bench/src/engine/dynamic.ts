import { createHash } from 'node:crypto'
import { copyFile, cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MANIFEST_FILE, readFolder } from '@millrace/embed'
import { ROOT, shared } from '../place.js'

const MODEL = 'bge-small-zh-v1.5'
const FILE = 'model_dynamic_int8.onnx'

/**
 * bge-small-zh-v1.5 with the file it was published as for a second variant, `bge-small-zh-v1.5@int8-dynamic`.
 * @returns the folder of models, for the engine
 */
export async function withDynamic(modelsDir: string): Promise<string> {
  const dir = join(modelsDir, MODEL)
  await cp(join(ROOT, 'models', MODEL), dir, { recursive: true })
  await copyFile(shared('models', MODEL, FILE), join(dir, FILE))
  const folder = readFolder(dir)
  const bytes = await readFile(join(dir, FILE))
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const variants = folder.variants.flatMap((variant) => [
    variant,
    {
      ...variant,
      precision: 'int8-dynamic' as const,
      revision: `int8-dynamic-${sha256.slice(0, 12)}`,
      batchInvariant: false,
      onnx: { ...variant.onnx, file: FILE },
      files: [{ path: FILE, bytes: bytes.length, sha256 }],
    },
  ])
  await writeFile(join(dir, MANIFEST_FILE), JSON.stringify({ ...folder, variants }))
  return modelsDir
}
