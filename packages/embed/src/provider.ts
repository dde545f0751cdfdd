/** Execution providers of onnxruntime: the processor, Nvidia's, DirectML's (Windows), Apple's. */
export const PROVIDERS = ['cpu', 'cuda', 'dml', 'coreml'] as const
export type Provider = (typeof PROVIDERS)[number]
