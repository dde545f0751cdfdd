import { computed, onScopeDispose, ref } from 'vue'
import { theme } from './theme.ts'

const NAMES = ['text', 'muted', 'line', 'accent', 'good', 'fair', 'poor', 'bad', 'surface'] as const
export type Colours = Readonly<Record<(typeof NAMES)[number], string>>

/** A token holds both themes: what it is now is what an element that has it gets. */
function resolve(): Colours {
  const probe = document.createElement('span')
  document.body.append(probe)
  const entries = NAMES.map((name) => {
    probe.style.color = `var(--${name})`
    return [name, getComputedStyle(probe).color] as const
  })
  probe.remove()
  return Object.fromEntries(entries) as Colours
}

/** The colours of the theme as they are now, for what is drawn and not styled. */
export function useColours() {
  const dark = matchMedia('(prefers-color-scheme: dark)')
  const changes = ref(0)
  const onChange = () => {
    changes.value++
  }
  dark.addEventListener('change', onChange)
  onScopeDispose(() => dark.removeEventListener('change', onChange))
  return computed(() => {
    void changes.value
    void theme.value
    return resolve()
  })
}
