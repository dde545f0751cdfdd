// What the engine is compared with: a module here, so that it is found in this folder's node_modules.
export { env, pipeline } from '@huggingface/transformers'
