import { CodedError, messageOf } from '@millrace/errors'

/** Execution providers of onnxruntime: the processor, Nvidia's, DirectML's (Windows), Apple's. */
export const PROVIDERS = ['cpu', 'cuda', 'dml', 'coreml'] as const
export type Provider = (typeof PROVIDERS)[number]

/**
 * Says at the start whether graphs can run where they are to run, rather than at the first text: runs one node
 * there. Loads onnxruntime into this process, unless it is `cpu`, which is always there.
 * @throws CodedError PROVIDER_UNAVAILABLE, naming those that this onnxruntime was built with
 */
export async function checkProvider(provider: Provider): Promise<void> {
  if (provider === 'cpu') return
  const { InferenceSession, listSupportedBackends } = await import('onnxruntime-node')
  const built = listSupportedBackends().map(({ name }) => name)
  const unavailable = (why: string, cause?: unknown) =>
    new CodedError('PROVIDER_UNAVAILABLE', `Models cannot run on ${provider} here: ${why}`, {
      hint: `PROVIDER=cpu works everywhere; this onnxruntime was built with ${built.join(', ')}`,
      cause,
    })
  if (!built.includes(provider)) throw unavailable('onnxruntime was built without it')
  const { buildGraph, encodeModel } = await import('./onnx/index.js')
  const build = buildGraph('check')
  build.output(build.node('Relu', [build.input('x', [1])]), [1])
  try {
    const session = await InferenceSession.create(encodeModel(build.model()), {
      executionProviders: [provider],
    })
    await session.release()
  } catch (error) {
    throw unavailable(messageOf(error), error)
  }
}
