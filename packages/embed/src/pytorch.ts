import { readFile } from 'node:fs/promises'
import { CodedError, messageOf } from '@millrace/errors'
import { unzipSync } from 'fflate'

/** The floats of PyTorch that weights are kept in. */
export type TorchType = 'float16' | 'bfloat16' | 'float32'

/** A linear layer, y = W·x + b, as PyTorch wrote it: raw little-endian bytes. */
export interface LinearLayer {
  readonly type: TorchType
  /** Numbers of y. */
  readonly outputs: number
  /** Numbers of x. */
  readonly inputs: number
  /** W, `outputs` × `inputs`, row-major. */
  readonly weight: Uint8Array
  /** b, `outputs`. */
  readonly bias: Uint8Array
}

const TYPES: Readonly<Record<string, { readonly type: TorchType; readonly bytes: number }>> = {
  HalfStorage: { type: 'float16', bytes: 2 },
  BFloat16Storage: { type: 'bfloat16', bytes: 2 },
  FloatStorage: { type: 'float32', bytes: 4 },
}

/**
 * Reads the state of one linear layer that `torch.save` wrote: a zip archive with a pickle that names `weight` and
 * `bias`, in this order, and their raw bytes in `data/0` and `data/1`. The pickle is not run, as that could
 * execute anything: its type of storage is looked up by name, and the shapes follow from the sizes.
 * @param inputs the layer's: the dims of the model's hidden state
 * @throws CodedError INVALID_HEAD when it is anything else
 */
export async function readLinear(path: string, inputs: number): Promise<LinearLayer> {
  const refuse = (why: string, cause?: unknown) =>
    new CodedError('INVALID_HEAD', `Cannot read the head ${path}: ${why}`, {
      hint: `It must be the state of one linear layer with ${inputs} inputs, saved by PyTorch`,
      cause,
    })
  let entries: Record<string, Uint8Array>
  try {
    entries = unzipSync(await readFile(path))
  } catch (error) {
    throw refuse(messageOf(error), error)
  }
  const entry = (end: string) => Object.entries(entries).find(([name]) => name.endsWith(`/${end}`))?.[1]
  const [pickle, weight, bias] = [entry('data.pkl'), entry('data/0'), entry('data/1')]
  if (pickle === undefined || weight === undefined || bias === undefined) {
    throw refuse(`it holds ${Object.keys(entries).join(', ')}, not data.pkl, data/0 and data/1`)
  }
  const state = Buffer.from(pickle).toString('latin1')
  const found = Object.entries(TYPES).find(([name]) => state.includes(`ctorch\n${name}\n`))?.[1]
  if (found === undefined) throw refuse('its numbers are neither float16, bfloat16 nor float32')
  const order = entry('byteorder')
  if (order !== undefined && Buffer.from(order).toString() !== 'little') throw refuse('it is big-endian')
  if (!(state.indexOf('weight') >= 0 && state.indexOf('weight') < state.indexOf('bias'))) {
    throw refuse('it does not name a weight and then a bias')
  }
  const outputs = bias.length / found.bytes
  if (outputs < 1 || weight.length !== outputs * inputs * found.bytes) {
    throw refuse(`its weight has ${weight.length} bytes, its bias ${bias.length}`)
  }
  return { type: found.type, outputs, inputs, weight, bias }
}
