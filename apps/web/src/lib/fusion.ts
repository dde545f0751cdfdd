const PRESETS = {
  bm25: ['bm25', 'rrf'],
  learned: ['m3-miracl', 'm3-mldr', 'rrf'],
} as const
const WITH_COLBERT = ['m3-mldr-all', 'm3-pairs'] as const

/** The presets that make sense for words of that kind; the first is what holds when none is named. */
export const presetsOf = (lexical: string | null, hasColbert: boolean): string[] => [
  ...PRESETS[lexical === 'learned' ? 'learned' : 'bm25'],
  ...(hasColbert ? WITH_COLBERT : []),
]

/** A fusion as one text: the name of a preset, or weights of a domain's own as JSON; '' is the usual one. */
export const fusionText = (fusion: string | Readonly<Record<string, unknown>> | null): string =>
  fusion === null ? '' : typeof fusion === 'string' ? fusion : JSON.stringify(fusion)
