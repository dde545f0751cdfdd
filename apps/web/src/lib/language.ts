import { ref, watch } from 'vue'

export type Language = 'zh' | 'en'
export const LANGUAGES = ['zh', 'en'] as const

const STORED = 'millrace.language'

/** What was chosen here before, else the first of the browser's languages that there is, else English. */
export function chooseLanguage(stored: string | null, wished: readonly string[]): Language {
  const known = [stored ?? '', ...wished].map((tag) => tag.toLowerCase().split('-')[0])
  return known.find((tag): tag is Language => tag === 'zh' || tag === 'en') ?? 'en'
}

export const language = ref<Language>(chooseLanguage(localStorage.getItem(STORED), navigator.languages))

watch(
  language,
  (now) => {
    document.documentElement.lang = now === 'zh' ? 'zh-Hans' : 'en'
  },
  { immediate: true },
)

export function setLanguage(chosen: Language): void {
  language.value = chosen
  localStorage.setItem(STORED, chosen)
}
