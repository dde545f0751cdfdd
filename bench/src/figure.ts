/** One measured number, with what it was to be. */
export interface Figure {
  readonly name: string
  readonly value: number | string
  readonly unit: string
  readonly aim?: string
}

/** A figure rounded so that what is printed is what was measured, not noise. */
export const figure = (name: string, value: number | string, unit: string, aim?: string): Figure => ({
  name,
  value: typeof value === 'number' ? Number(value.toPrecision(4)) : value,
  unit,
  ...(aim === undefined ? {} : { aim }),
})
