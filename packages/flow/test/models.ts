import { fileURLToPath } from 'node:url'
import { type ModelManifest, readManifest } from '@millrace/embed'

/** The folder of a model of this repository. */
export const modelDir = (id: string): string =>
  fileURLToPath(new URL(`../../../models/${id}/`, import.meta.url))

export const MINILM = 'all-minilm-l6-v2'
export const BGE_ZH = 'bge-small-zh-v1.5'

export const manifestOf = (id: string): ModelManifest => readManifest(modelDir(id))
