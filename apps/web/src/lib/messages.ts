import type { ComputedRef } from 'vue'
import { computed } from 'vue'
import { createI18n, useI18n } from 'vue-i18n'
import { language } from './language.ts'

interface Tree {
  readonly [key: string]: string | Tree
}
type Same<T> = { readonly [K in keyof T]: T[K] extends string ? string : Same<T[K]> }
type Path<T> = {
  [K in keyof T & string]: T[K] extends string ? K : `${K}.${Path<T[K]>}`
}[keyof T & string]

/** Both languages of a part of the page; what one has and the other lacks does not compile. */
export const defineMessages = <T extends Tree>(both: { readonly en: T; readonly zh: Same<T> }) => ({
  en: asWritten(both.en),
  zh: asWritten(both.zh),
})

/** vue-i18n reads an @ as a link to another message; ours are the sign. */
function asWritten<T>(tree: T): T {
  if (typeof tree === 'string') return tree.replaceAll('@', "{'@'}") as T
  return Object.fromEntries(Object.entries(tree as Tree).map(([key, value]) => [key, asWritten(value)])) as T
}

export const i18n = createI18n({
  legacy: false,
  locale: language.value,
  fallbackLocale: 'en',
  messages: { en: {}, zh: {} },
})

type Values = Readonly<Record<string, string | number>>

/**
 * The words of a part in the language of the page: `t('key', {name})`; `t('key', {n}, n)` chooses the plural.
 * Numbers and times in the way of the language.
 */
export function useMessages<T extends Tree>(both: { readonly en: T; readonly zh: Same<T> }) {
  const { t } = useI18n({
    useScope: 'local',
    inheritLocale: true,
    messages: both as unknown as Record<string, Tree>,
  })
  return {
    t: (key: Path<T>, values: Values = {}, plural?: number): string =>
      plural === undefined ? t(key, values) : t(key, values, plural),
    /** Whether there are words for it: for codes that the server names. */
    has: (key: string): key is Path<T> => lookUp(both.en, key) !== undefined,
    ...useNumbers(),
  }
}

function lookUp(tree: Tree, key: string): string | undefined {
  const found = key
    .split('.')
    .reduce<string | Tree | undefined>((at, part) => (typeof at === 'object' ? at[part] : undefined), tree)
  return typeof found === 'string' ? found : undefined
}

/** Numbers and times as the language writes them. */
export function useNumbers() {
  const tag: ComputedRef<string> = computed(() => (language.value === 'zh' ? 'zh-CN' : 'en'))
  return {
    /** 12,345 */
    number: (value: number, digits = 0): string =>
      value.toLocaleString(tag.value, { maximumFractionDigits: digits, minimumFractionDigits: digits }),
    /** A share of 0 to 1: 42.5% */
    percent: (share: number, digits = 1): string =>
      share.toLocaleString(tag.value, {
        style: 'percent',
        maximumFractionDigits: digits,
        minimumFractionDigits: digits,
      }),
    /** A score: as many digits always, so that columns align. */
    score: (value: number, digits = 4): string => value.toFixed(digits),
    /** Date and time of an ISO string. */
    time: (iso: string): string =>
      new Date(iso).toLocaleString(tag.value, { dateStyle: 'medium', timeStyle: 'short' }),
    /** 90 → 1 min 30 s */
    duration: (seconds: number): string => duration(seconds, language.value),
    bytes: (count: number): string => bytesOf(count),
  }
}

const UNITS = {
  en: { d: ' d', h: ' h', min: ' min', s: ' s' },
  zh: { d: ' 天', h: ' 小时', min: ' 分', s: ' 秒' },
} as const

/** The two largest units: nobody waits for a minute of a day. */
export function duration(seconds: number, unit: 'en' | 'zh'): string {
  const names = UNITS[unit]
  const whole = Math.max(0, Math.round(seconds))
  const parts = [
    [Math.floor(whole / 86_400), names.d],
    [Math.floor(whole / 3_600) % 24, names.h],
    [Math.floor(whole / 60) % 60, names.min],
    [whole % 60, names.s],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  if (first === -1) return `0${names.s}`
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, name]) => `${count}${name}`)
    .join(' ')
}

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** 1,536 → 1.5 kB, by thousands. */
export function bytesOf(count: number): string {
  let value = count
  let size = 0
  while (value >= 1_000 && size < SIZES.length - 1) {
    value /= 1_000
    size++
  }
  return `${size === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${SIZES[size]}`
}
