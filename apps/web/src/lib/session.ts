import { ref } from 'vue'

const STORED = 'millrace.key'

/** The API key: kept for this session of the browser, in this tab, and nowhere else. */
function openSession(store: Storage) {
  const key = ref(store.getItem(STORED) ?? '')
  const isAsked = ref(false)
  const isWrong = ref(false)
  return {
    key,
    /** A call was refused for want of a key. */
    isAsked,
    /** The key that was given is not one. */
    isWrong,
    ask: () => {
      isWrong.value = key.value !== ''
      isAsked.value = true
    },
    keep: (given: string) => {
      key.value = given
      store.setItem(STORED, given)
      isAsked.value = false
      isWrong.value = false
    },
    forget: () => {
      key.value = ''
      store.removeItem(STORED)
    },
  }
}

export const session = openSession(sessionStorage)
