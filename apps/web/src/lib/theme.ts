import { ref, watch } from 'vue'

/** auto: as the system is. */
export const THEMES = ['auto', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

const STORED = 'millrace.theme'

const stored = localStorage.getItem(STORED)
export const theme = ref<Theme>(THEMES.find((one) => one === stored) ?? 'auto')

watch(
  theme,
  (now) => {
    document.documentElement.style.colorScheme = now === 'auto' ? 'light dark' : now
    localStorage.setItem(STORED, now)
  },
  { immediate: true },
)
