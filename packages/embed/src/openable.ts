import { dirname } from 'node:path'
import { encodeModel, openTensorData, readModel } from './onnx/index.js'
import { toSevenBit } from './seven.js'

/** What `InferenceSession.create` is given. */
export interface Openable {
  /** A path, or the bytes of a graph. */
  readonly graph: string | Uint8Array
  /** To be added to the options, under `extra.session`: where external data lies, when the graph is in memory. */
  readonly session: Readonly<Record<string, string>>
}

/**
 * What to open for a graph on this processor: its file, or, where products of 8 bits saturate, the same with weights
 * of 7 bits, in memory. A graph without integer products is opened as it is. Cosines between the vectors of both,
 * all-minilm and bge-small-zh: .997 on average, least .995. Takes memory for about four times the weights while it
 * is made.
 * @param saturates what `saturates()` found; ask it only for int8-row models
 * @throws CodedError INVALID_GRAPH
 */
export async function openableGraph(path: string, saturates: boolean): Promise<Openable> {
  if (!saturates) return { graph: path, session: {} }
  const dir = dirname(path)
  const model = await readModel(path)
  const data = openTensorData(dir)
  try {
    const halved = await toSevenBit(model, data)
    if (halved === 0) return { graph: path, session: {} }
    return {
      graph: encodeModel(model),
      session: { model_external_initializers_file_folder_path: dir },
    }
  } finally {
    await data.close()
  }
}
