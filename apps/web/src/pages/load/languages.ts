/** More are told as a number. */
const NAMED = 3

interface Model {
  readonly id: string
  readonly languages: readonly string[]
}

/** What languages are called in one: of many the number is told. `und`: not stated. */
export function languagesOf({ languages }: Model, inLanguage: string, many: (n: number) => string): string {
  const known = languages.filter((tag) => tag !== 'und')
  if (known.length > NAMED) return many(known.length)
  const names = new Intl.DisplayNames([inLanguage], { type: 'language' })
  return known.map((tag) => names.of(tag) ?? tag).join(', ')
}

/** The model to begin with: the default where it reads the language of the page, else the first that does. */
export function suggestedOf(models: readonly Model[], byDefault: string, language: string): string {
  const reads = ({ languages }: Model) => languages.some((tag) => tag.split('-')[0] === language)
  const first = models.find(({ id }) => id === byDefault)
  return (first !== undefined && reads(first) ? first : (models.find(reads) ?? first ?? models[0]))?.id ?? ''
}
