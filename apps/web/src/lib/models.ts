interface Model {
  readonly id: string
  readonly languages: readonly string[]
}

/** Whether a model is for texts in a language. */
export const reads = ({ languages }: Pick<Model, 'languages'>, language: string): boolean =>
  languages.some((tag) => tag.toLowerCase().split('-')[0] === language)

/** The model to begin with: the default where it reads the language of the page, else the first that does. */
export function suggestedOf(models: readonly Model[], byDefault: string, language: string): string {
  const suits = (model: Model) => reads(model, language)
  const first = models.find(({ id }) => id === byDefault)
  return (first !== undefined && suits(first) ? first : (models.find(suits) ?? first ?? models[0]))?.id ?? ''
}

/** More are told as a number. */
const NAMED = 3

/** What languages are called in one: of many the number is told. `und`: not stated. */
export function languagesOf(
  { languages }: Pick<Model, 'languages'>,
  inLanguage: string,
  many: (n: number) => string,
): string {
  const known = languages.filter((tag) => tag !== 'und')
  if (known.length > NAMED) return many(known.length)
  const names = new Intl.DisplayNames([inLanguage], { type: 'language' })
  return known.map((tag) => names.of(tag) ?? tag).join(', ')
}
