/**
 * How much of an outlier goes from the activations into the weights: 0.5, the balance that the paper found best
 * for most models (Xiao et al., SmoothQuant, 2023, https://arxiv.org/abs/2211.10438, section 4.1).
 */
export const SMOOTHING = 0.5

/** Channels that are this small in the calibration, or in the weights, say nothing: they are left alone. */
const CHANNEL_MIN = 1e-6

/**
 * The factor of each input channel, SmoothQuant's equation 4: max|X|^α / max|W|^(1-α). The activation is divided by
 * it and the channel's weights are multiplied with it, so that the product is the same and outliers are spread
 * over both.
 * @param inputMax largest absolute value of each channel of the activation
 * @param weightMax largest absolute value of each row of the weights, over all products that share the input
 * @param alpha 0: all stays in the activation; 1: all goes into the weights. Default 0.5
 */
export function smoothing(
  inputMax: Float32Array,
  weightMax: Float32Array,
  alpha: number = SMOOTHING,
): Float32Array {
  return inputMax.map((input, k) => {
    const weight = weightMax[k] ?? 0
    return input < CHANNEL_MIN || weight < CHANNEL_MIN ? 1 : input ** alpha / weight ** (1 - alpha)
  })
}
