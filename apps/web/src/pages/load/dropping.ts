import { onBeforeUnmount, onMounted, ref } from 'vue'
import { draft } from './draft.ts'
import { filesOfDrop, filesOfInput } from './entries.ts'

const bringsFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') === true

/** Takes files that are dropped anywhere in the window: elsewhere the browser would open them and leave the page. */
export function useDropping(onDrop: () => void) {
  const isOver = ref(false)
  /** Files found so far, while folders are looked into. */
  const read = ref<number>()
  const isUnreadable = ref(false)

  const over = (event: DragEvent) => {
    if (!bringsFiles(event)) return
    event.preventDefault()
    isOver.value = true
  }
  const leave = (event: DragEvent) => {
    // Out of the window, not from one element to the next.
    if (event.relatedTarget === null) isOver.value = false
  }
  const drop = async (event: DragEvent) => {
    if (!bringsFiles(event) || event.dataTransfer === null) return
    event.preventDefault()
    isOver.value = false
    isUnreadable.value = false
    read.value = 0
    try {
      const found = await filesOfDrop(event.dataTransfer, (count) => {
        read.value = count
      })
      draft.add(found)
      isUnreadable.value = found.length === 0
      onDrop()
    } catch {
      isUnreadable.value = true
    } finally {
      read.value = undefined
    }
  }
  const choose = ({ target }: Event) => {
    const input = target as HTMLInputElement
    const found = input.files === null ? [] : filesOfInput(input.files)
    // The same file may be chosen again.
    input.value = ''
    isUnreadable.value = false
    if (found.length > 0) draft.add(found)
  }

  onMounted(() => {
    window.addEventListener('dragover', over)
    window.addEventListener('dragleave', leave)
    window.addEventListener('drop', drop)
  })
  onBeforeUnmount(() => {
    window.removeEventListener('dragover', over)
    window.removeEventListener('dragleave', leave)
    window.removeEventListener('drop', drop)
  })
  return { isOver, read, isUnreadable, choose }
}
