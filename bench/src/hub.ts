import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { LocalManifest } from '@millrace/embed'

/**
 * Copies a model into the layout that transformers.js wants, the very file of its graph as `fp32`.
 * @param hub the folder of all models there
 * @returns the model's name below it
 */
export async function toHub(dir: string, { id, onnx }: LocalManifest, hub: string): Promise<string> {
  const name = id.replaceAll('@', '-') // it takes an @ for a revision
  const place = async (from: string, to: string) => {
    await mkdir(dirname(join(hub, name, to)), { recursive: true })
    await copyFile(join(dir, from), join(hub, name, to))
  }
  await place(onnx.file, 'onnx/model.onnx')
  for (const file of ['config.json', 'tokenizer_config.json']) await place(file, file)
  // It would cut at 128 tokens or pad to them where tokenizer.json says so, and do other work than the engine.
  const tokenizer = JSON.parse(await readFile(join(dir, 'tokenizer.json'), 'utf8'))
  await writeFile(
    join(hub, name, 'tokenizer.json'),
    JSON.stringify({ ...tokenizer, truncation: null, padding: null }),
  )
  return name
}
