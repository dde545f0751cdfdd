import { ref } from 'vue'

export interface Toast {
  readonly id: number
  readonly text: string
  readonly tone: 'good' | 'bad'
}

const SHOWN_MS = 6_000
let last = 0
export const toasts = ref<readonly Toast[]>([])

/** Says that something was done, for a moment and to screen readers. What failed is said where it failed. */
export function say(text: string, tone: Toast['tone'] = 'good'): void {
  const id = ++last
  toasts.value = [...toasts.value, { id, text, tone }]
  setTimeout(() => hush(id), SHOWN_MS)
}

export function hush(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id)
}
