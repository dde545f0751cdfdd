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
