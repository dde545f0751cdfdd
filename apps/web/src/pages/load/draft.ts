import { computed, reactive, ref, shallowRef } from 'vue'
import type { Goods } from './batches.ts'
import { addFound, type Found, sortFound } from './picked.ts'
import { documentOf, NOTHING_TYPED, readMetadata, readUrls } from './typed.ts'

export const TABS = ['files', 'text', 'urls'] as const
export type Tab = (typeof TABS)[number]

/** What keeps a draft from being loaded; the words for it are under `missing`. */
export type Missing = 'files' | 'text' | 'urls' | 'metadata'

/** What is to be loaded, before it is; it outlives the page, so that another one can be opened meanwhile. */
function openDraft() {
  const tab = ref<Tab>('files')
  const found = shallowRef<readonly Found<File>[]>([])
  const withFolder = ref(false)
  const typed = reactive({ ...NOTHING_TYPED })
  const addresses = ref('')

  const sorted = computed(() => sortFound(found.value, withFolder.value))
  const pages = computed(() => readUrls(addresses.value))
  const goods = computed<Goods>(() => {
    if (tab.value === 'files') return { items: sorted.value.items, documents: [] }
    if (tab.value === 'urls') return { items: [], documents: pages.value.urls.map((url) => ({ url })) }
    const document = documentOf(typed)
    return { items: [], documents: document === undefined ? [] : [document] }
  })
  const missing = computed<Missing | undefined>(() => {
    if (tab.value === 'text' && readMetadata(typed.metadata) === undefined) return 'metadata'
    const { items, documents } = goods.value
    return items.length + documents.length === 0 ? tab.value : undefined
  })
  return {
    tab,
    found,
    withFolder,
    typed,
    addresses,
    sorted,
    pages,
    goods,
    missing,
    add: (added: readonly Found<File>[]) => {
      found.value = addFound(found.value, added)
      tab.value = 'files'
    },
    remove: (path: string) => {
      found.value = found.value.filter((one) => one.path !== path)
    },
    /** After it was loaded: the form is empty again. */
    clear: () => {
      if (tab.value === 'files') found.value = []
      else if (tab.value === 'urls') addresses.value = ''
      else Object.assign(typed, NOTHING_TYPED)
    },
  }
}

export const draft = openDraft()
