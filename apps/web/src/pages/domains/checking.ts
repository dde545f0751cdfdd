import { computed, nextTick, type Ref, ref } from 'vue'
import type { Problem } from '../../api/problem.ts'
import type { Wrong, Wrongs } from './checks.ts'
import { type FieldErrors, fieldErrors } from './form.ts'

interface Words {
  readonly t: (key: `wrong.${Wrong['key']}`, values: Readonly<Record<string, string>>) => string
  readonly number: (value: number) => string
}

/**
 * What is wrong with which field: what the page saw when it was to be sent, until it is mended, else what the server
 * said.
 */
export function useChecked(
  check: () => Wrongs,
  problem: Readonly<Ref<Problem | undefined>>,
  { t, number }: Words,
) {
  const told = ref<readonly string[]>([])
  const sentence = (wrong: Wrong) => {
    const { key } = wrong
    if (key === 'below') return t('wrong.below', { n: String(wrong.n) })
    if (key === 'number' || key === 'whole')
      return t(`wrong.${key}`, { least: number(wrong.least), most: number(wrong.most) })
    return t(`wrong.${key}`, {})
  }
  const errors = computed<FieldErrors>(() => {
    const wrong = Object.entries(check()).filter(([path]) => told.value.includes(path))
    if (wrong.length === 0) return fieldErrors(problem.value)
    return Object.fromEntries(wrong.map(([path, one]) => [path, sentence(one)]))
  })
  const forget = () => {
    told.value = []
  }
  /** Whether it can be sent. What is still wrong is said anew: a part that was closed opens again. */
  const isRight = async (): Promise<boolean> => {
    forget()
    await nextTick()
    told.value = Object.keys(check())
    return told.value.length === 0
  }
  return { errors, isRight, forget }
}
