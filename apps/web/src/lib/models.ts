interface Model {
  readonly id: string
  readonly languages: readonly string[]
}

/** The model to begin with: the default where it reads the language of the page, else the first that does. */
export function suggestedOf(models: readonly Model[], byDefault: string, language: string): string {
  const reads = ({ languages }: Model) => languages.some((tag) => tag.split('-')[0] === language)
  const first = models.find(({ id }) => id === byDefault)
  return (first !== undefined && reads(first) ? first : (models.find(reads) ?? first ?? models[0]))?.id ?? ''
}
